# SPDX-License-Identifier: Apache-2.0
"""What arrays go in and come out, on every backend: dtypes, shapes, memory layouts, outputs that overlap inputs.

Owns the forms of input and output, and that the three forms of one choice agree. Which positions are chosen is tested in
test_contract.py.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from helpers import MASKABLE_DTYPES, Backend, assert_identical, random_maskable, random_words
from numpy.typing import NDArray

import maskcore


@pytest.mark.parametrize("dtype", MASKABLE_DTYPES)
def test_the_mask_has_the_inputs_dtype(dtype: str, backend: Backend) -> None:
    mask = maskcore.mask_positions(np.array([[1, 0, 1], [0, 0, 1]]).astype(dtype), 9, seed=1)
    assert_identical(mask, np.array([[1, 0, 1], [0, 0, 1]]).astype(dtype))


def test_nonzero_is_judged_by_value(backend: Backend) -> None:
    """Denormals are nonzero, -0.0 is zero, and so are no other values."""
    for dtype, tiny in (("float32", 1e-45), ("float64", 5e-324)):
        values = np.array([tiny, -tiny, -0.0, 0.0, np.inf, -np.inf, 0.5, -1.0], dtype)
        mask = maskcore.mask_positions(values, 8, seed=1)
        assert_identical(mask, np.array([1, 1, 0, 0, 1, 1, 1, 1], dtype))
    mask = maskcore.mask_positions(np.array([256, 0, -(2**63)]), 8, seed=1)
    assert_identical(mask, np.array([1, 0, 1]))
    mask = maskcore.mask_positions(np.array([2, 0, 255], np.uint8).view(bool), 8, seed=1)
    assert mask.view(np.uint8).tolist() == [1, 0, 1]


def test_one_row_and_a_batch_of_one(backend: Backend) -> None:
    row = random_maskable(1, 1, 33)
    assert_identical(
        maskcore.mask_positions(row[0], 5, seed=1), maskcore.mask_positions(row, 5, seed=1)[0]
    )
    indices = maskcore.mask_indices(row[0], 5, seed=1)
    assert (indices.positions.shape, indices.weights.shape) == ((5,), (5,))
    assert maskcore.mask_spans(row[0], 5, seed=1).shape == (33,)


def test_memory_layouts(backend: Backend) -> None:
    """Strided, transposed, read-only, byte-swapped and unaligned arrays hold the same rows."""
    maskable = random_maskable(5, 6, 40).astype(np.int32)
    words = random_words(np.random.default_rng(5), (6, 40))
    expected = maskcore.mask_positions(maskable, 9, word_ids=words, seed=2)

    def layouts(array: NDArray[np.int32]) -> list[NDArray[Any]]:
        strided = np.full((6, 80), 7, np.int32)
        strided[:, ::2] = array
        read_only = array.copy()
        read_only.flags.writeable = False
        unaligned = np.frombuffer(b"x" + array.tobytes(), np.int32, offset=1).reshape(6, 40)
        return [
            strided[:, ::2],
            np.asfortranarray(array),
            read_only,
            array.astype(">i4"),
            unaligned,
        ]

    for given, given_words in zip(layouts(maskable), layouts(words), strict=True):
        mask = maskcore.mask_positions(given, 9, word_ids=given_words, seed=2)
        assert_identical(mask, expected)


@pytest.mark.parametrize("shape", [(0,), (0, 0), (3, 0), (0, 5)])
def test_empty_rows_and_batches(shape: tuple[int, ...], backend: Backend) -> None:
    empty = np.zeros(shape, np.float32)
    assert_identical(maskcore.mask_positions(empty, 3, seed=1), empty)
    assert_identical(maskcore.mask_spans(empty, 3, seed=1), np.zeros(shape, np.int32))
    indices = maskcore.mask_indices(empty, 3, max_predictions=4, seed=1)
    assert_identical(indices.positions, np.zeros((*shape[:-1], 4), np.int32))
    assert_identical(indices.weights, np.zeros((*shape[:-1], 4), np.float32))
    assert maskcore.mask_indices(empty, masking_ratio=0.15, seed=1).positions.shape == (
        *shape[:-1],
        1,
    )


def test_lists_and_numpy_scalars(backend: Backend) -> None:
    assert_identical(maskcore.mask_positions([], 1, seed=1), np.array([], np.int64))
    mask = maskcore.mask_positions(
        [True, False, True], np.int16(2), seed=np.int64(3), max_n=np.uint8(2), epoch=np.int32(1)
    )
    assert_identical(mask, np.array([True, False, True]))


def test_out_and_in_place(backend: Backend) -> None:
    maskable = random_maskable(6, 4, 50).astype(np.float32)
    expected = maskcore.mask_positions(maskable, 9, seed=1)
    out = np.full((4, 50), 7, np.float32)
    assert maskcore.mask_positions(maskable, 9, seed=1, out=out) is out
    assert_identical(out, expected)
    given = maskable.copy()
    assert maskcore.mask_positions(given, 9, seed=1, out=given) is given
    assert_identical(given, expected)


def test_out_that_overlaps_an_input(backend: Backend) -> None:
    """Inputs are read as they were given, wherever the output lies."""
    words = random_words(np.random.default_rng(1), (4, 50))
    memory = np.zeros(201, np.int32)
    memory[:200] = np.abs(words.ravel()) % 2
    maskable = memory[:200].reshape(4, 50)
    expected = maskcore.mask_positions(maskable.copy(), 9, seed=1, word_ids=words)
    shifted = memory[1:].reshape(4, 50)
    assert_identical(
        maskcore.mask_positions(maskable, 9, seed=1, word_ids=words, out=shifted), expected
    )
    out = words.copy()
    expected = maskcore.mask_positions(np.ones((4, 50), np.int32), 9, seed=1, word_ids=words)
    maskcore.mask_positions(np.ones((4, 50), np.int32), 9, seed=1, word_ids=out, out=out)
    assert_identical(out, expected)


def test_no_array_is_kept(backend: Backend) -> None:
    """A backend that reads buffers lets them go: their reference counts are what they were."""
    arrays: dict[str, Any] = {
        "maskable_positions": random_maskable(1, 3, 40),
        "word_ids": random_words(np.random.default_rng(1), (3, 40)),
        "segment_ids": np.zeros((3, 40), np.int32),
        "row_ids": np.arange(3),
        "epoch": np.arange(3),
        "num_tokens_to_mask": np.arange(3),
        "out": np.zeros((3, 40), np.uint8),
    }
    before = [sys.getrefcount(array) for array in arrays.values()]
    for _ in range(3):
        maskcore.mask_positions(**arrays, seed=1)
    gc.collect()
    assert [sys.getrefcount(array) for array in arrays.values()] == before


def test_inputs_are_not_changed(backend: Backend) -> None:
    maskable, words = random_maskable(7, 3, 40), random_words(np.random.default_rng(7), (3, 40))
    before = maskable.copy(), words.copy()
    maskcore.mask_positions(maskable, 9, word_ids=words, segment_ids=words, seed=1)
    assert_identical(maskable, before[0])
    assert_identical(words, before[1])


@pytest.mark.parametrize("units", ["tokens", "words"])
def test_positions_weights_and_spans_are_the_mask(units: str, backend: Backend) -> None:
    maskable = random_maskable(8, 20, 90)
    words = random_words(np.random.default_rng(8), (20, 90)) if units == "words" else None
    keywords: dict[str, Any] = {"masking_ratio": 0.2, "word_ids": words, "seed": 9}
    mask = maskcore.mask_positions(maskable, **keywords)
    numbers = maskcore.mask_spans(maskable, **keywords)
    positions, weights = maskcore.mask_indices(maskable, **keywords, max_predictions=30)
    assert_identical((numbers > 0).astype(np.uint8), mask)
    for row in range(20):
        masked = np.flatnonzero(mask[row]).tolist()
        padding = 30 - len(masked)
        assert positions[row].tolist() == masked + [0] * padding
        assert weights[row].tolist() == [1.0] * len(masked) + [0.0] * padding
        in_order = [n for n in numbers[row].tolist() if n]
        assert sorted(set(in_order)) == list(range(1, max(in_order) + 1))
        assert in_order == sorted(in_order)


def test_default_room_for_positions(backend: Backend) -> None:
    """The most that a row of this length can need, whatever the rows hold."""
    row = np.zeros((2, 128), np.uint8)
    assert maskcore.mask_indices(row, masking_ratio=0.15, seed=1).positions.shape == (2, 19)
    assert maskcore.mask_indices(row, 20, seed=1).positions.shape == (2, 20)
    assert maskcore.mask_indices(row, 2000, seed=1).positions.shape == (2, 128)
    assert maskcore.mask_indices(row, [3, 5], seed=1).positions.shape == (2, 5)
