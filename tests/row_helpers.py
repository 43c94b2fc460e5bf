# SPDX-License-Identifier: Apache-2.0
"""Small documents for the tests of rows, and rows read back as lists of tokens.

Owns no expectation. A sentence is a list of words, a word a list of ids.
"""

import numpy as np
from hypothesis import strategies as st

from maskcore.records.rows.row_identity import document_key
from maskcore.records.tokenising.tokenised import SpecialToken, TokenisedDocuments

SPECIAL = {
    "pad": SpecialToken("[PAD]", 0),
    "cls": SpecialToken("[CLS]", 1),
    "sep": SpecialToken("[SEP]", 2),
    "mask": SpecialToken("[MASK]", 3),
}


def key_of(number):
    return document_key("a.txt", 100 * number)


def tokens_of(documents, keys=None):
    """Return documents, lists of sentences, as flat arrays; ids 0 to 3 are special tokens."""
    sentences = [sentence for document in documents for sentence in document]
    words = [word for sentence in sentences for word in sentence]
    ids = [token for word in words for token in word]
    return TokenisedDocuments(
        np.array(ids, np.int32),
        np.array([at == 0 for word in words for at in range(len(word))], bool),
        np.isin(ids, [0, 1, 2, 3]),
        np.array([sum(map(len, sentence)) for sentence in sentences], np.int64),
        np.array([len(document) for document in documents], np.int64),
        [key_of(number) for number in range(len(documents))] if keys is None else keys,
        0,
    )


def single(*sentences):
    """Return sentences whose words have one token each."""
    return [[[token] for token in sentence] for sentence in sentences]


def numbered(*documents, words=1):
    """Return documents from the lengths of their sentences; every token has an id of its own.

    Words have `words` tokens, the last one of a sentence perhaps fewer.
    """
    made, token = [], 100
    for lengths in documents:
        sentences = []
        for length in lengths:
            ids = list(range(token, token + length))
            sentences.append([ids[at : at + words] for at in range(0, length, words)])
            token += length
        made.append(sentences)
    return made


def slices_of(tokens, table):
    """Return for each row its slices, as lists of ids."""
    parts = [
        tokens.ids[start : start + length].tolist()
        for start, length in zip(table.start.tolist(), table.length.tolist(), strict=True)
    ]
    stops = np.cumsum(table.slices_per_row).tolist()
    return [
        parts[stop - number : stop]
        for stop, number in zip(stops, table.slices_per_row.tolist(), strict=True)
    ]


def rows_of(tokens, table):
    """Return [(document, row number, ids of the first slice, ...)]."""
    return [
        (document, index, *slices)
        for document, index, slices in zip(
            table.document.tolist(), table.row_index.tolist(), slices_of(tokens, table), strict=True
        )
    ]


WORDS = st.lists(st.integers(10, 99), min_size=1, max_size=5)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=0, max_size=8)
DOCUMENTS = st.lists(SENTENCES, min_size=0, max_size=5)
