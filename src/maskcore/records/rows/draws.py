# SPDX-License-Identifier: Apache-2.0
"""Random draws for making rows: Philox4x32-10 over arrays, addressed as docs/records.md says.

Owns the purposes of the record builder and how a draw is found from (seed, document, duplicate,
purpose, number); docs/algorithm.md, section 2, owns the generator. Knows nothing of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PACK_ORDER",
    "PARTNER",
    "PARTNER_DOCUMENT",
    "PARTNER_SENTENCE",
    "ROW",
    "ROW_FILLER_TARGET",
    "ROW_IS_FILLER",
    "ROW_IS_SHORT",
    "ROW_LABEL",
    "ROW_SPLIT",
    "ROW_TARGET",
    "WORDS_PER_BLOCK",
    "DrawAddress",
    "RowDraws",
    "bounded",
    "draw_blocks",
    "numbered_rows",
    "philox4x32_10",
]

# docs/algorithm.md leaves the purposes 16 to 255 to the record builder. Block `i` of a purpose
# belongs to row `i` of the document; the numbers of the words in it are below.
ROW = 16
ROW_IS_SHORT, ROW_TARGET = 0, 1
ROW_SPLIT, ROW_LABEL = 2, 3  # of pairs
ROW_IS_FILLER, ROW_FILLER_TARGET = 2, 3  # with packing, which has no pairs
PARTNER = 17
PARTNER_DOCUMENT, PARTNER_SENTENCE = 0, 1
PACK_ORDER = 18  # words 0 and 1 are one number of 64 bits

WORDS_PER_BLOCK = 4
MAX_BLOCKS = 1 << 24  # a block's number has 24 bits: docs/algorithm.md, section 2

# Salmon et al., SC 2011, table 2 and section 3.3.
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_NUM_ROUNDS = 10
_U32 = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_BLOCKS_AT_ONCE = 1 << 12  # six arrays of 8 bytes each stay in a cache of 256 KiB

UInt32s = NDArray[np.uint32]
UInt64s = NDArray[np.uint64]
Ints = NDArray[np.int64]


def philox4x32_10(counters: UInt64s, key: tuple[int, int]) -> UInt32s:
    """Return the blocks of some counters under one key.

    Parameters
    ----------
    counters : uint64 array, shape (4, n)
        Words below 2**32.
    key : two ints in [0, 2**32)

    Returns
    -------
    uint32 array, shape (n, 4)

    >>> [hex(word) for word in philox4x32_10(np.zeros((4, 1), np.uint64), (0, 0))[0].tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']

    """
    blocks = np.empty((counters.shape[1], WORDS_PER_BLOCK), np.uint32)
    for first in range(0, len(blocks), _BLOCKS_AT_ONCE):
        c0, c1, c2, c3 = counters[:, first : first + _BLOCKS_AT_ONCE]
        k0, k1 = key
        for _ in range(_NUM_ROUNDS):
            product_0, product_1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
            c0 = (product_1 >> _HALF) ^ (c1 ^ np.uint64(k0))
            c2 = (product_0 >> _HALF) ^ (c3 ^ np.uint64(k1))
            c1, c3 = product_1 & _U32, product_0 & _U32
            k0, k1 = (k0 + _WEYL_0) & 0xFFFFFFFF, (k1 + _WEYL_1) & 0xFFFFFFFF
        blocks[first : first + _BLOCKS_AT_ONCE] = np.stack([c0, c1, c2, c3], axis=1)
    return blocks


@dataclass(frozen=True, slots=True)
class DrawAddress:
    """What draws depend on, beside their purpose and number."""

    seed: int
    """In [0, 2**63)."""
    document_hashes: Ints
    """Shape (D,), in [0, 2**63): `row_identity.document_hash` of each document."""
    duplicate: int
    """In [0, 2**31)."""


def draw_blocks(address: DrawAddress, purpose: int, documents: Ints, numbers: Ints) -> UInt32s:
    """Return block `numbers[i]` of the draws of document `documents[i]`, for each `i`.

    Parameters
    ----------
    address : DrawAddress
    purpose : int in [16, 256)
    documents : int64 array in [0, D), shape (n,)
    numbers : int64 array in [0, 2**24), shape (n,)

    Returns
    -------
    uint32 array, shape (n, 4)

    Raises
    ------
    ValueError
        For a document with more than 2**24 rows.

    """
    if numbers.size and int(numbers.max()) >= MAX_BLOCKS:
        raise ValueError(
            f"a document must have at most 2**24 rows, got row {int(numbers.max())}; split the "
            "document, or raise seq_length"
        )
    hashes = address.document_hashes[documents].astype(np.uint64)
    counters = np.empty((WORDS_PER_BLOCK, len(numbers)), np.uint64)
    counters[0] = numbers.astype(np.uint64) | np.uint64(purpose << 24)
    counters[1] = hashes & _U32
    counters[2] = hashes >> _HALF
    counters[3] = address.duplicate
    return philox4x32_10(counters, (address.seed & 0xFFFFFFFF, address.seed >> 32))


def bounded(words: UInt32s, bounds: Ints | int) -> Ints:
    """Return integers in [0, bound) from 32-bit draws: floor(word * bound / 2**32), bounds <= 2**31.

    >>> bounded(np.array([0, 2**31, 2**32 - 1], np.uint32), 10).tolist()
    [0, 5, 9]
    """
    product: Ints = words.astype(np.int64) * bounds >> 32
    return product


def numbered_rows(rows_per_document: Ints) -> tuple[Ints, Ints]:
    """Return the document of each row, and the row's number in it.

    >>> [column.tolist() for column in numbered_rows(np.array([2, 0, 1]))]
    [[0, 0, 2], [0, 1, 0]]
    """
    documents = np.repeat(np.arange(len(rows_per_document)), rows_per_document)
    first_rows = np.cumsum(rows_per_document) - rows_per_document
    return documents, np.arange(len(documents)) - first_rows[documents]


class RowDraws:
    """The blocks of the purpose ROW for the rows of each document.

    Blocks are made for all documents at once, as many as are expected, and more where a document
    has more rows; what a block holds depends on its address alone.
    """

    def __init__(self, address: DrawAddress, expected_rows: Ints) -> None:
        self._address = address
        expected_rows = np.minimum(expected_rows, MAX_BLOCKS)
        blocks = draw_blocks(address, ROW, *numbered_rows(expected_rows))
        self._words: list[int] = blocks.ravel().tolist()
        self._stops: list[int] = [0, *(WORDS_PER_BLOCK * np.cumsum(expected_rows)).tolist()]

    def of_document(self, document: int) -> list[int]:
        """Return the words of the document's first blocks, four to a block."""
        return self._words[self._stops[document] : self._stops[document + 1]]

    def pack_keys(self, rows_per_document: Ints) -> UInt64s:
        """Return 64 bits for each row, by which packing breaks ties."""
        documents, numbers = numbered_rows(rows_per_document)
        words = draw_blocks(self._address, PACK_ORDER, documents, numbers).astype(np.uint64)
        return words[:, 0] << _HALF | words[:, 1]

    def extend(self, document: int, words: list[int]) -> None:
        """Append blocks to `words`: as many as it holds, and some."""
        known = len(words) // WORDS_PER_BLOCK
        numbers = np.arange(known, max(known + 1, min(2 * known + 16, MAX_BLOCKS)))
        documents = np.full(len(numbers), document)
        words += draw_blocks(self._address, ROW, documents, numbers).ravel().tolist()
