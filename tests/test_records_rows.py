# SPDX-License-Identifier: Apache-2.0
"""What goes into which row without pairs, what a recipe may be, and what a row is called."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_helpers import DOCUMENTS, key_of, numbered, rows_of, single, tokens_of

from maskcore.records.rows.row_counts import RowCounts, check_all_tokens
from maskcore.records.rows.row_identity import (
    bucket_hash,
    document_hash,
    document_key,
    row_id_of,
    row_ids,
    user_document_key,
)
from maskcore.records.rows.row_table import RowRecipe, make_row_table
from maskcore.records.tokenising.tokenised import TokenisedDocuments


def made(documents, **recipe):
    tokens = tokens_of(documents)
    table, counts = make_row_table(tokens, RowRecipe(**recipe))
    return rows_of(tokens, table), counts


def test_whole_sentences_are_packed_and_documents_kept_apart():
    rows, counts = made(
        [
            single([10, 11], [12, 13, 14], [15], [16, 17]),
            single([18]),
            [],
            single([19] * 5),
        ],
        seq_length=7,
    )
    assert rows == [
        (0, 0, [10, 11, 12, 13, 14]),
        (0, 1, [15, 16, 17]),
        (1, 0, [18]),
        (3, 0, [19] * 5),
    ]
    assert counts.sentences_cut == counts.words_cut == 0
    assert (counts.tokens_read, counts.tokens_written) == (14, 14)
    assert (counts.special_tokens_added, counts.padding_tokens) == (8, 6)


def test_a_long_sentence_is_cut_at_the_last_word_that_fits():
    long = [[20, 21], [22], [23, 24, 25], [26, 27], [28]]
    rows, counts = made([[[[10]], long, [[11], [12]]]], seq_length=7)
    assert rows == [
        (0, 0, [10, 20, 21, 22]),
        (0, 1, [23, 24, 25, 26, 27]),
        (0, 2, [28, 11, 12]),
    ]
    assert (counts.sentences_cut, counts.words_cut) == (1, 0)


def test_a_word_longer_than_a_row_is_cut_and_counted():
    rows, counts = made([[[[10, 11, 12, 13, 14, 15, 16], [17]]]], seq_length=5)
    assert [ids for _, _, ids in rows] == [[10, 11, 12], [13, 14, 15], [16, 17]]
    assert (counts.sentences_cut, counts.words_cut) == (1, 2)


@pytest.mark.parametrize(
    ("length", "rows"),
    [
        (1, [1]),
        (125, [125]),
        (126, [126]),
        (127, [126, 1]),
        (252, [126, 126]),
        (253, [126, 126, 1]),
    ],
)
def test_lengths_around_a_row(length, rows):
    made_rows, _ = made(numbered([length]), seq_length=128)
    assert [len(ids) for _, _, ids in made_rows] == rows


@pytest.mark.parametrize("recipe", [{}, {"pairs": "sop"}, {"pairs": "nsp"}, {"pack": True}])
@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_no_text_gives_no_rows(documents, recipe):
    rows, counts = made(documents, seq_length=8, dupe_factor=2, short_seq_prob=0.5, **recipe)
    assert rows == []
    assert (counts.rows, counts.tokens_read, counts.padding_tokens) == (0, 0, 0)


def pack_plainly(documents, capacity):
    """The same rules, one token at a time: the oracle."""
    rows = []
    for document, sentences in enumerate(documents):
        pieces = []
        for sentence in sentences:
            ids = [token for word in sentence for token in word]
            starts = [at == 0 for word in sentence for at in range(len(word))]
            while len(ids) > capacity:
                cut = capacity
                while cut > 0 and not starts[cut]:
                    cut -= 1
                cut = cut or capacity
                pieces.append(ids[:cut])
                ids, starts = ids[cut:], starts[cut:]
            pieces.append(ids)
        row, index = [], 0
        for piece in pieces:
            if row and len(row) + len(piece) > capacity:
                rows.append((document, index, row))
                row, index = [], index + 1
            row = row + piece
        if row:
            rows.append((document, index, row))
    return rows


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.integers(1, 12))
def test_rows_are_those_of_the_plain_packer(documents, capacity):
    rows, counts = made(documents, seq_length=capacity + 2)
    assert rows == pack_plainly(documents, capacity)
    assert counts.rows == len(rows)
    assert counts.tokens_written == sum(len(row[2]) for row in rows)


def test_shorter_targets_are_drawn_for_their_share_of_the_rows():
    """3,000 documents of 30 one-token sentences: a target of t tokens is a first row of t tokens."""
    documents = numbered(*[[1] * 30 for _ in range(3000)])
    rows, counts = made(documents, seq_length=32, short_seq_prob=0.25, seed=3)
    firsts = np.array([len(ids) for _, index, ids in rows if index == 0])
    # Uniform in [2, 30]; a target of 30 is a full row.
    observed = np.bincount(firsts, minlength=31)
    expected = 3000 * 0.25 / 29
    assert observed[:2].sum() == 0
    assert np.all(np.abs(observed[2:30] - expected) < 5 * expected**0.5)
    assert abs(observed[30] - 3000 * (0.75 + 0.25 / 29)) < 5 * (3000 * 0.25 * 0.75) ** 0.5
    assert counts.rows_with_short_target > (firsts < 30).sum()
    all_short, counts = made(documents, seq_length=32, short_seq_prob=1.0, seed=3)
    assert counts.rows_with_short_target == len(all_short) == counts.rows


def test_a_sentence_is_not_cut_for_a_shorter_target():
    rows, counts = made(numbered([9, 9, 9, 9]), seq_length=20, short_seq_prob=1.0)
    assert {len(ids) for _, _, ids in rows} <= {9, 18}
    assert counts.sentences_cut == 0


def test_a_row_goes_to_the_smallest_bin_that_holds_it():
    tokens = tokens_of(numbered([2], [3], [6], [7], [14], [15]))
    table, counts = make_row_table(tokens, RowRecipe(seq_length=16, bins=(4, 8, 16)))
    assert table.bin_length.tolist() == [4, 8, 8, 16, 16, 16, 4]
    assert counts.rows_per_bin == {4: 2, 8: 2, 16: 3}
    assert counts.padding_tokens == 0 + 3 + 0 + 7 + 0 + 0 + 1


def test_duplicates_have_rows_of_their_own():
    documents = numbered(*[[5, 4, 6, 3] * 5 for _ in range(20)])
    tokens = tokens_of(documents)
    recipe = {"seq_length": 32, "pairs": "sop", "short_seq_prob": 0.3, "seed": 1}
    table, counts = make_row_table(tokens, RowRecipe(dupe_factor=3, **recipe))
    once, counts_once = make_row_table(tokens, RowRecipe(**recipe))
    rows = rows_of(tokens, table)
    by_duplicate = [
        [row for row, d in zip(rows, table.duplicate.tolist(), strict=True) if d == duplicate]
        for duplicate in range(3)
    ]
    assert by_duplicate[0] == rows_of(tokens, once)
    assert by_duplicate[0] != by_duplicate[1] != by_duplicate[2]
    assert len(set(table.row_id.tolist())) == len(rows)
    assert table.row_id.tolist() == [
        row_id_of(key_of(document), index, duplicate)
        for document, index, duplicate in zip(
            table.document.tolist(), table.row_index.tolist(), table.duplicate.tolist(), strict=True
        )
    ]
    assert counts.tokens_read == counts.tokens_written == 3 * counts_once.tokens_read


@pytest.mark.parametrize("pairs", ["none", "sop", "nsp"])
@pytest.mark.parametrize("shape", ["one sentence", "one word", "sentences of one token"])
def test_a_long_document_takes_linear_time(shape, pairs):
    """A million tokens; where the time grew with the square of the length, this would not end."""
    num_tokens = 10**6
    starts_word = np.zeros(num_tokens, bool)
    starts_word[:: num_tokens if shape == "one word" else 1] = True
    lengths = np.ones(num_tokens, np.int64)
    tokens = TokenisedDocuments(
        np.arange(num_tokens, dtype=np.int32),
        starts_word,
        np.zeros(num_tokens, bool),
        lengths if shape == "sentences of one token" else np.array([num_tokens]),
        np.array([num_tokens if shape == "sentences of one token" else 1]),
        [key_of(0)],
        0,
    )
    table, counts = make_row_table(tokens, RowRecipe(seq_length=128, pairs=pairs))
    assert counts.tokens_written == num_tokens
    assert table.num_rows == -(-num_tokens // (126 if pairs == "none" else 125))


def test_row_ids_are_those_of_the_document():
    """Published in docs/records.md; computed by hand with hashlib.blake2b."""
    assert row_id_of(document_key("a.txt", 0), 0) == 8910017425970107781
    assert row_id_of(document_key("a/한글.txt", 2**40), 7, 1) == 929230479250376470
    assert bucket_hash(document_key("a.txt", 0), 23) % 8 == 7
    keys = [document_key("a.txt", 0), document_key("b", 1), document_key("a/한글.txt", 2**40)]
    ids = row_ids(keys, [1, 0, 8], 1).tolist()
    assert ids[-1] == 929230479250376470
    assert len(ids) == 9
    assert document_hash(user_document_key("")) != document_hash(document_key("", 0))


def test_row_ids_tell_rows_apart():
    keys = [
        document_key(name, offset) for name in ("a", "b", "a\0") for offset in (0, 1, 256, 2**32)
    ] + [user_document_key(name) for name in ("a", "b", "")]
    ids = [
        row_id
        for duplicate in (0, 1)
        for row_id in row_ids(keys, [50] * len(keys), duplicate).tolist()
    ]
    assert len(set(ids)) == len(ids)
    assert all(0 <= row_id < 2**63 for row_id in ids)
    assert max(ids) > 2**62


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"seq_length": 2}, ValueError, "seq_length must be in [3, 67108864], got 2"),
        ({"seq_length": 4, "pairs": "sop"}, ValueError, "seq_length must be in [5, 67108864], got 4"),
        ({"seq_length": "8"}, TypeError, "seq_length must be an integer, got '8'"),
        ({"seq_length": 8, "pairs": "all"}, ValueError, "pairs must be \"none\", \"sop\" or \"nsp\", got 'all'"),
        ({"seq_length": 8, "pack": True, "pairs": "nsp"}, ValueError, "pack must be False with pairs"),
        ({"seq_length": 8, "pack": 1}, TypeError, "pack must be True or False, got 1"),
        ({"seq_length": 8, "bins": (8, 4)}, ValueError, "bins must be ascending lengths, got (8, 4)"),
        ({"seq_length": 8, "bins": (4, 4, 8)}, ValueError, "bins must be ascending"),
        ({"seq_length": 8, "bins": ()}, ValueError, "bins must be ascending"),
        ({"seq_length": 8, "bins": (2, 8)}, ValueError, "bins must be in [3, 67108864], got 2"),
        ({"seq_length": 9, "bins": (4, 8)}, ValueError, "seq_length must be the largest bin, 8, got 9"),
        ({"seq_length": 8, "short_seq_prob": 1.5}, ValueError, "short_seq_prob must be in [0, 1], got 1.5"),
        ({"seq_length": 8, "short_seq_prob": float("nan")}, ValueError, "short_seq_prob must be in [0, 1], got nan"),
        ({"seq_length": 8, "short_seq_prob": "0.1"}, TypeError, "short_seq_prob must be a number in [0, 1]"),
        ({"seq_length": 8, "dupe_factor": 0}, ValueError, "dupe_factor must be in [1, 2**31), got 0"),
        ({"seq_length": 8, "seed": -1}, ValueError, "seed must be in [0, 2**63), got -1"),
    ],
)  # fmt: skip
def test_a_recipe_out_of_range_is_refused(fields, error, text):
    with pytest.raises(error) as caught:
        RowRecipe(**fields)
    assert text in str(caught.value)


def test_a_recipe_is_plain():
    recipe = RowRecipe(seq_length=np.int64(128), bins=[64, np.int32(128)], short_seq_prob=1)
    assert recipe.bins == (64, 128)
    assert type(recipe.seq_length) is int
    assert type(recipe.short_seq_prob) is float
    assert (
        recipe.short_threshold,
        RowRecipe(seq_length=8, short_seq_prob=0.1).short_threshold,
    ) == (
        2**32,
        429496730,
    )


def test_counts_merge_and_come_back_from_json():
    _, a = made(numbered([3, 9], [1]), seq_length=8, pairs="sop", bins=(6, 8))
    _, b = made(numbered([2, 2, 2]), seq_length=8, pairs="nsp", bins=(6, 8))
    merged = RowCounts()
    merged.merge(a)
    merged.merge(b)
    assert merged.tokens_read == 13 + 6
    assert merged.skipped == {"one_token": 1}
    assert merged.tokens_written == 12 + 6
    assert merged.rows == a.rows + b.rows == sum(merged.rows_per_bin.values())
    assert RowCounts.from_json(merged.to_json()) == merged


@pytest.mark.parametrize(
    "segments", [[(0, 2), (3, 5)], [(0, 3), (2, 5)], [(1, 5)], [(0, 4)], [(0, 6)], []]
)
def test_a_lost_or_repeated_token_is_a_defect(segments):
    with pytest.raises(RuntimeError, match="defect of maskcore"):
        check_all_tokens(np.array(segments, np.int64).reshape(-1, 2), 5)


def test_segments_in_any_order_may_cover_all_tokens():
    check_all_tokens(np.array([(2, 5), (0, 2)]), 5)
    check_all_tokens(np.empty((0, 2), np.int64), 0)
