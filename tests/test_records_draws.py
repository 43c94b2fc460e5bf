# SPDX-License-Identifier: Apache-2.0
"""The draws for rows: published vectors, and the reference generator at the documented addresses."""

import numpy as np
import pytest
from helpers import known_answers

from maskcore._reference.philox import philox4x32_10 as reference
from maskcore.records.rows.draws import (
    DrawAddress,
    RowDraws,
    bounded,
    draw_blocks,
    numbered_rows,
    philox4x32_10,
)

SEED = 0x0123456789ABCDEF
HASHES = np.array([0, 1, 2**32 - 1, 2**32, 2**63 - 1])


def test_the_generator_gives_the_published_vectors():
    entries = known_answers("philox4x32_10.json")
    assert entries
    for entry in entries:
        counter, key, words = (
            [int(word, 16) for word in entry[name]] for name in ("counter", "key", "words")
        )
        found = philox4x32_10(np.array(counter, np.uint64)[:, None], (key[0], key[1]))
        assert found.tolist() == [words]


@pytest.mark.parametrize("num_blocks", [0, 1, 4095, 4096, 4097])  # 4096 are made at once
def test_blocks_are_those_of_their_addresses(num_blocks):
    documents = np.arange(num_blocks) % len(HASHES)
    numbers = (np.arange(num_blocks) * 4099) % 2**24
    blocks = draw_blocks(DrawAddress(SEED, HASHES, 5), 17, documents, numbers)
    assert blocks.shape == (num_blocks, 4)
    for at in {0, 1, 2, 3, 4, 4094, 4095, 4096} & set(range(num_blocks)):
        address = int(HASHES[documents[at]])
        counter = (17 * 2**24 + int(numbers[at]), address % 2**32, address // 2**32, 5)
        expected = reference(counter, (SEED % 2**32, SEED // 2**32))
        assert tuple(blocks[at].tolist()) == expected, at


def test_draws_of_rows_go_on_as_far_as_rows_do():
    address = DrawAddress(SEED, HASHES, 0)
    draws = RowDraws(address, np.array([1, 0, 3, 2, 1]))
    for document, known in enumerate([1, 0, 3, 2, 1]):
        words = draws.of_document(document)
        assert len(words) == 4 * known
        for _ in range(3):
            draws.extend(document, words)
        numbers = np.arange(len(words) // 4)
        documents = np.full(len(numbers), document)
        assert words == draw_blocks(address, 16, documents, numbers).ravel().tolist()
        assert len(numbers) >= known + 3


def test_a_document_may_have_2_24_rows():
    address, document = DrawAddress(0, HASHES, 0), np.array([0])
    assert draw_blocks(address, 16, document, np.array([2**24 - 1])).shape == (1, 4)
    with pytest.raises(ValueError, match=r"at most 2\*\*24 rows, got row 16777216; split"):
        draw_blocks(address, 16, document, np.array([2**24]))


def test_bounded_integers_reach_their_ends():
    words = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    assert bounded(words, 1).tolist() == [0, 0, 0, 0]
    assert bounded(words, 2).tolist() == [0, 0, 1, 1]
    assert bounded(words, 2**31).tolist() == [0, 0, 2**30, 2**31 - 1]
    assert bounded(words, np.array([7, 7, 7, 7])).tolist() == [0, 0, 3, 6]


def test_rows_are_numbered_in_their_documents():
    documents, numbers = numbered_rows(np.array([0, 2, 0, 1, 3]))
    assert documents.tolist() == [1, 1, 3, 4, 4, 4]
    assert numbers.tolist() == [0, 1, 0, 0, 1, 2]
    assert [part.tolist() for part in numbered_rows(np.array([], np.int64))] == [[], []]
