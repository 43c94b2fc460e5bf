# SPDX-License-Identifier: Apache-2.0
"""What goes into which row, how words are numbered, and what a row is called."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcore.records.readers import DocumentKey
from maskcore.records.rows import RowPacker, bucket_of, make_rows, row_id_of
from maskcore.records.tokenise import SpecialToken, TokenBatch

SPECIAL = {
    "pad": SpecialToken("[PAD]", 0),
    "cls": SpecialToken("[CLS]", 1),
    "sep": SpecialToken("[SEP]", 2),
    "mask": SpecialToken("[MASK]", 3),
}
A, B, C = DocumentKey("a.txt", 0), DocumentKey("a.txt", 90), DocumentKey("b.txt", 0)


def batch_of(documents, is_open=False):
    """Return a batch from [(key, [sentence, ...])]; a sentence is a list of words, a word a list of ids."""
    sentences = [(number, s) for number, (_, ss) in enumerate(documents) for s in ss]
    words = [word for _, sentence in sentences for word in sentence]
    ids = [token for word in words for token in word]
    starts = [at == 0 for word in words for at in range(len(word))]
    return TokenBatch(
        np.array(ids, np.int32),
        np.array(starts, bool),
        np.isin(ids, [0, 1, 2, 3]),
        np.array([sum(map(len, sentence)) for _, sentence in sentences], np.int64),
        np.array([number for number, _ in sentences], np.int64),
        [key for key, _ in documents],
        is_open,
        0,
    )


def rows_of(packed):
    """Return [(document, row number, ids)]."""
    parts = np.split(packed.ids, np.cumsum(packed.lengths)[:-1]) if len(packed.lengths) else []
    return [
        (key, index, part.tolist())
        for key, index, part in zip(packed.documents, packed.indices, parts, strict=True)
    ]


def single(*sentences):
    """Return sentences whose words have one token each."""
    return [[[token] for token in sentence] for sentence in sentences]


def test_whole_sentences_are_packed_and_documents_kept_apart():
    packer = RowPacker(5)
    batch = batch_of(
        [
            (A, single([10, 11], [12, 13, 14], [15], [16, 17])),
            (B, single([18])),
            (C, single([19] * 5)),
        ]
    )
    assert rows_of(packer.pack(batch)) == [
        (A, 0, [10, 11, 12, 13, 14]),
        (A, 1, [15, 16, 17]),
        (B, 0, [18]),
        (C, 0, [19] * 5),
    ]
    assert packer.num_cut_sentences == packer.num_cut_words == 0


def test_a_long_sentence_is_cut_at_the_last_word_that_fits():
    packer = RowPacker(5)
    long = [[20, 21], [22], [23, 24, 25], [26, 27], [28]]
    batch = batch_of([(A, [[[10]], long, [[11], [12]]])])
    assert rows_of(packer.pack(batch)) == [
        (A, 0, [10, 20, 21, 22]),
        (A, 1, [23, 24, 25, 26, 27]),
        (A, 2, [28, 11, 12]),
    ]
    assert (packer.num_cut_sentences, packer.num_cut_words) == (1, 0)


def test_a_word_longer_than_a_row_is_cut_and_counted():
    packer = RowPacker(3)
    packed = packer.pack(batch_of([(A, [[[10, 11, 12, 13, 14, 15, 16], [17]]])]))
    assert [row[2] for row in rows_of(packed)] == [[10, 11, 12], [13, 14, 15], [16, 17]]
    assert packed.starts_word.tolist() == [1, 0, 0, 1, 0, 0, 1, 1]
    assert (packer.num_cut_sentences, packer.num_cut_words) == (1, 2)


def test_columns_of_rows():
    packed = RowPacker(6).pack(
        batch_of([(A, [[[10, 11], [12]], [[3], [14]]]), (B, [[[15, 16, 17]]])])
    )
    columns = make_rows(packed, 8, SPECIAL)
    assert columns["input_ids"].tolist() == [
        [1, 10, 11, 12, 3, 14, 2, 0],
        [1, 15, 16, 17, 2, 0, 0, 0],
    ]
    assert columns["attention_mask"].tolist() == [
        [1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
    ]
    # 3 is [MASK], which the text gave: it is no word.
    assert columns["word_ids"].tolist() == [[0, 1, 1, 2, 0, 4, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0]]
    assert columns["token_type_ids"].tolist() == [[0] * 8] * 2
    assert columns["row_id"].tolist() == [[row_id_of(A, 0)], [row_id_of(B, 0)]]
    assert all(column.dtype == np.int64 for column in columns.values())


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_parts_are_the_rows(size):
    packed = RowPacker(2).pack(
        batch_of([(A, single([10, 11], [12], [13, 14], [15])), (B, single([16]))])
    )
    parts = list(packed.parts(size))
    assert [row for part in parts for row in rows_of(part)] == rows_of(packed)
    assert all(len(part.lengths) <= size for part in parts)


def test_row_ids_are_those_of_the_document():
    """Published in docs/records.md; computed by hand with hashlib.blake2b."""
    assert row_id_of(DocumentKey("a.txt", 0), 0) == 8910017425970107781
    assert row_id_of(DocumentKey("a/한글.txt", 2**40), 7, 1) == 929230479250376470
    assert bucket_of(DocumentKey("a.txt", 0), 23, 8) == 7


def test_row_ids_tell_rows_apart():
    ids = [
        row_id_of(DocumentKey(name, offset), index, duplicate)
        for name in ("a", "b", "a\0")
        for offset in (0, 1, 256, 2**32)
        for index in range(50)
        for duplicate in (0, 1)
    ]
    assert len(set(ids)) == len(ids)
    assert all(0 <= row_id < 2**63 for row_id in ids)
    assert max(ids) > 2**62


def pack_plainly(documents, capacity):
    """The same rules, one token at a time: the oracle."""
    rows = []
    for key, sentences in documents:
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
                rows.append((key, index, row))
                row, index = [], index + 1
            row = row + piece
        if row:
            rows.append((key, index, row))
    return rows


WORDS = st.lists(st.integers(10, 99), min_size=1, max_size=5)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=4), st.integers(1, 12), st.data())
def test_rows_do_not_depend_on_the_batches(documents, capacity, data):
    """Any cut of the corpus into batches gives the rows of the plain packer, and loses no token."""
    named = [(DocumentKey("a.txt", 100 * n), sentences) for n, sentences in enumerate(documents)]
    flat = [(key, sentence) for key, sentences in named for sentence in sentences]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(flat)))) | {0, len(flat)})
    packer, rows = RowPacker(capacity), []
    for start, stop in pairwise(cuts):
        grouped = {} if start == 0 else {flat[start - 1][0]: []}
        for key, sentence in flat[start:stop]:
            grouped.setdefault(key, []).append(sentence)
        is_open = data.draw(st.booleans()) if stop < len(flat) else False
        is_open |= stop < len(flat) and flat[stop][0] == flat[stop - 1][0]
        rows += rows_of(packer.pack(batch_of(list(grouped.items()), is_open)))
    assert rows == pack_plainly(named, capacity)
