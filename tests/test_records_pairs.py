# SPDX-License-Identifier: Apache-2.0
"""Rows of two segments: by hand, against the rules told token by token, and their statistics."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs_oracle import pairs_plainly
from row_helpers import DOCUMENTS, numbered, rows_of, tokens_of

from maskcore.records.rows.row_table import RowRecipe, make_row_table


def made(documents, **recipe):
    tokens = tokens_of(documents)
    table, counts = make_row_table(tokens, RowRecipe(**recipe))
    rows = [
        (document, number, label, first, second)
        for (document, number, first, second), label in zip(
            rows_of(tokens, table), table.label.tolist(), strict=True
        )
    ]
    return rows, counts


def lengths_of(documents, seeds=range(20), **recipe):
    """Return the sets of (first, second) lengths, in the order of the text, that seeds give."""
    found = set()
    for seed in seeds:
        rows, _ = made(documents, seed=seed, **recipe)
        found.add(
            tuple((len(a), len(b)) if not label else (len(b), len(a)) for *_, label, a, b in rows)
        )
    return found


def agrees_with_the_rules(documents, recipe):
    """Compare with the oracle: rows, and the account."""
    tokens = tokens_of(documents)
    table, counts = make_row_table(tokens, recipe)
    found = [
        (document, number, label, first, second)
        for (document, number, first, second), label in zip(
            rows_of(tokens, table), table.label.tolist(), strict=True
        )
    ]
    expected, skipped = [], 0
    for duplicate in range(recipe.dupe_factor):
        rows, left = pairs_plainly(documents, tokens.keys, recipe, duplicate)
        expected += rows
        skipped += len(left)
    assert found == expected
    assert counts.skipped.total() == skipped
    assert counts.tokens_read == recipe.dupe_factor * len(tokens.ids)
    assert counts.tokens_read == counts.tokens_written + skipped
    in_rows = sum(len(first) + len(second) for *_, first, second in expected)
    assert counts.tokens_borrowed == in_rows - counts.tokens_written
    assert all(a and b and len(a) + len(b) <= recipe.capacity for *_, a, b in expected)


@settings(max_examples=100, deadline=None)
@given(
    DOCUMENTS,
    st.sampled_from(["sop", "nsp"]),
    st.integers(2, 14),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(0, 2**63 - 1),
)
def test_rows_are_those_of_the_rules_told_plainly(documents, kind, capacity, short, seed):
    recipe = RowRecipe(
        seq_length=capacity + 3, pairs=kind, short_seq_prob=short, dupe_factor=2, seed=seed
    )
    agrees_with_the_rules(documents, recipe)


@pytest.mark.parametrize("kind", ["sop", "nsp"])
@pytest.mark.parametrize("seed", range(12))
def test_rows_of_longer_documents_are_those_of_the_rules(kind, seed):
    """Sentences of 1 to 30 tokens in words of 1 to 4, in documents of up to 40 sentences."""
    random = np.random.default_rng(seed)
    documents = []
    for size in random.integers(0, 40, 6).tolist():
        sentences = []
        for _ in range(size):
            left, sentence = int(random.integers(1, 31)), []
            while left > 0:
                length = min(left, int(random.integers(1, 5)))
                sentence.append(random.integers(10, 1000, length).tolist())
                left -= length
            sentences.append(sentence)
        documents.append(sentences)
    seq_length = int(random.integers(5, 60))
    agrees_with_the_rules(
        documents, RowRecipe(seq_length=seq_length, pairs=kind, short_seq_prob=0.3, seed=seed)
    )


def test_two_sentences_are_two_segments_in_either_order():
    rows = [
        made([[[[10, 11]], [[12], [13]]]], seq_length=8, pairs="sop", seed=seed)[0]
        for seed in range(30)
    ]
    in_order, swapped = [(0, 0, 0, [10, 11], [12, 13])], [(0, 0, 1, [12, 13], [10, 11])]
    assert {str(row) for row in rows} == {str(in_order), str(swapped)}


def test_a_chunk_is_split_between_sentences_only():
    assert lengths_of(numbered([3, 4, 5]), seq_length=16, pairs="sop") == {((3, 9),), ((7, 5),)}


def test_a_last_sentence_gets_another_one_to_go_with():
    """Filled up, the first row would hold 4 + 3 + 3 and leave 5 alone, to be cut."""
    assert lengths_of(numbered([4, 3, 3, 5]), seq_length=13, pairs="sop") == {((4, 3), (3, 5))}


def test_a_last_word_gets_the_word_before_it():
    """Both sentences fill a row, so that the third would be alone; [CLS] x [SEP] is no pair."""
    lengths = lengths_of(numbered([5, 5, 1]), seq_length=13, pairs="sop")
    assert lengths == {((5, 4), (1, 1))}
    _, counts = made(numbered([5, 5, 1]), seq_length=13, pairs="sop")
    assert (counts.sentences_cut, counts.words_cut, counts.skipped.total()) == (1, 0, 0)


def test_a_word_before_a_sentence_that_does_not_fit_takes_its_first_words():
    rows, counts = made(numbered([1, 9], words=2), seq_length=12, pairs="sop", seed=1)
    parts = [sorted([a, b]) for *_, a, b in rows]
    # Nine tokens fit, but then the last word, 109, would be alone.
    assert parts == [[[100], [101, 102, 103, 104, 105, 106]], [[107, 108], [109]]]
    assert (counts.tokens_written, counts.sentences_cut, counts.words_cut) == (10, 1, 0)


def test_a_heading_goes_with_the_beginning_of_a_long_paragraph():
    assert lengths_of(numbered([3, 12]), seq_length=13, pairs="sop", seeds=range(40)) == {
        ((3, 7), (first, 5 - first)) for first in (1, 2, 3, 4)
    }


def test_a_sentence_alone_is_split_at_a_word():
    lengths = lengths_of(numbered([7], words=2), seq_length=16, pairs="sop", seeds=range(40))
    assert lengths == {((2, 5),), ((4, 3),), ((6, 1),)}
    _, counts = made(numbered([7], words=2), seq_length=16, pairs="sop")
    assert (counts.sentences_cut, counts.words_cut) == (1, 0)


def test_a_word_alone_is_split_and_a_token_alone_skipped():
    rows, counts = made(numbered([3], [1], [2, 2], words=3), seq_length=16, pairs="sop")
    assert [document for document, *_ in rows] == [0, 2]
    assert (counts.words_cut, counts.sentences_cut) == (1, 1)
    assert counts.skipped == {"one_token": 1}
    assert (counts.tokens_read, counts.tokens_written) == (8, 7)


def test_half_of_the_pairs_are_swapped_and_splits_are_uniform():
    rows, counts = made(numbered(*[[2, 2, 2, 2, 2]] * 8000), seq_length=13, pairs="sop", seed=11)
    assert len(rows) == 8000 == counts.labels[0] + counts.labels[1]
    assert abs(counts.labels[1] - 4000) < 5 * (8000 / 4) ** 0.5
    splits = Counter((len(a) if label == 0 else len(b), label) for *_, label, a, b in rows)
    assert set(splits) == {(length, label) for length in (2, 4, 6, 8) for label in (0, 1)}
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in splits.values())


def test_partners_are_drawn_uniformly_from_other_documents():
    """Six documents, one without text; sentences of two tokens, four to a document."""
    documents = [[] if n == 2 else d for n, d in enumerate(numbered(*[[2] * 4] * 6))]
    sentence_of = {s[0][0]: (d, n) for d, ss in enumerate(documents) for n, s in enumerate(ss)}
    tokens = tokens_of(documents)
    table, counts = make_row_table(
        tokens, RowRecipe(seq_length=9, pairs="nsp", dupe_factor=2000, seed=5)
    )
    random = [
        (document, sentence_of[second[0]])
        for (document, _, _, second), label in zip(
            rows_of(tokens, table), table.label.tolist(), strict=True
        )
        if label
    ]
    assert counts.labels[1] == len(random)
    assert all(own != partner for own, (partner, _) in random)
    per_pair = Counter((own, partner) for own, (partner, _) in random)
    assert len(per_pair) == 5 * 4
    assert all(abs(n - len(random) / 20) < 5 * (len(random) / 20) ** 0.5 for n in per_pair.values())
    per_sentence = Counter(sentence for _, (_, sentence) in random)
    assert all(
        abs(per_sentence[n] - len(random) / 4) < 5 * len(random) ** 0.5 / 2 for n in range(4)
    )


def test_a_random_second_segment_puts_its_sentences_back():
    """Four sentences, rows of two: a row with a random partner uses one sentence of its own."""
    documents = numbered([2, 2, 2, 2], [30])
    for seed in range(20):
        rows, counts = made(documents, seq_length=7, pairs="nsp", seed=seed)
        own = [row for row in rows if row[0] == 0]
        text = [token for _, _, label, a, b in own for token in (a if label else a + b)]
        assert text == list(range(100, 108))
        assert all(b[0] >= 108 for _, _, label, _, b in own if label)
        assert counts.tokens_borrowed == sum(len(b) for *_, label, _, b in rows if label)


def test_half_of_the_next_sentences_are_random():
    """Documents of 64 sentences, so that a chunk of one sentence is rare."""
    _, counts = made(numbered(*[[3] * 64] * 400), seq_length=21, pairs="nsp", seed=2)
    drawn = counts.rows - counts.pairs_with_forced_partner
    random = counts.labels[1] - counts.pairs_with_forced_partner
    assert drawn > 3000
    assert abs(random - drawn / 2) < 5 * drawn**0.5 / 2


def test_a_single_document_has_real_neighbours_only():
    rows, counts = made([*numbered([4] * 40), []], seq_length=13, pairs="nsp", seed=4)
    assert {label for _, _, label, *_ in rows} == {0}
    assert [token for *_, a, b in rows for token in a + b] == list(range(100, 260))
    assert counts.tokens_borrowed == counts.pairs_with_forced_partner == 0
    assert 0 < counts.pairs_without_partner < len(rows)
    assert counts.labels == {0: len(rows), 1: 0}


def test_a_partner_has_the_whole_sentences_that_fit():
    """A has 6 tokens of 10 that there is room for; the partner's sentences have 2, 2 and 3."""
    seen = set()
    for seed in range(40):
        rows, _ = made(numbered([6], [2, 2, 3]), seq_length=13, pairs="nsp", seed=seed)
        assert rows[0][:4] == (0, 0, 1, list(range(100, 106)))
        seen.add(tuple(rows[0][4]))
    assert seen == {(106, 107, 108, 109), (108, 109), (110, 111, 112)}


def test_a_partner_that_does_not_fit_is_cut_at_a_word():
    documents = numbered([6], [9], words=2)
    rows, counts = made(documents, seq_length=13, pairs="nsp")
    assert [(document, label, len(a), len(b)) for document, _, label, a, b in rows] == [
        (0, 1, 6, 4),
        (1, 1, 9, 1),
    ]
    assert rows[1][4] == [100]  # not even a word fits, so that one is cut
    assert (counts.tokens_written, counts.tokens_borrowed) == (15, 5)
    assert counts.pairs_with_forced_partner == 2


@pytest.mark.parametrize("kind", ["sop", "nsp"])
def test_rows_depend_on_the_key_and_not_on_the_company(kind):
    """A document's rows are the same in another bucket; partners of NSP apart."""
    documents = numbered(*[[3, 4, 5, 2, 6] * 4] * 4)
    tokens = tokens_of(documents)
    alone = tokens_of(documents[2:], keys=tokens.keys[2:])
    recipe = RowRecipe(seq_length=20, pairs=kind, short_seq_prob=0.2, seed=9)
    table, _ = make_row_table(tokens, recipe)
    other, _ = make_row_table(alone, recipe)
    rows = [(row[:2], row[2]) for row in rows_of(tokens, table) if row[0] >= 2]
    expected = [((d + 2, n), first) for d, n, first, _ in rows_of(alone, other)]
    assert rows == expected
    assert table.row_id[table.document >= 2].tolist() == other.row_id.tolist()
    other_seed, _ = make_row_table(tokens, RowRecipe(seq_length=20, pairs=kind, seed=10))
    assert not np.array_equal(table.start, other_seed.start)
