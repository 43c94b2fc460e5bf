# SPDX-License-Identifier: Apache-2.0
"""Columns masked in the dtypes in which records hold them: the bits of int32 ids and of words that count from 0.

Owns the conversions inside of the op. Records and pipelines are those of test_tf_dataset*.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tf_token_support import IMPLEMENTATIONS, OUTPUTS, assert_same, reference

import maskcore
import tfshim
from tfshim.tokens import mask_stored_tokens

pytestmark = pytest.mark.tensorflow

IDS_TYPES = ("uint16", "int32", "int64")
WORDS_TYPES = ("uint8", "uint16", "int32", "int64")
WRITTEN: dict[str, Any] = {
    "mask_id": 3,
    "random_ids": range(10, 60_000),
    "replacement": (0.5, 0.3, 0.2),
    "ignore_index": -100,
}
CHOICE: dict[str, Any] = {
    "max_n": 3,
    "ngram_weights": None,
    "masking_ratio": 0.4,
    "max_predictions": 17,
    "seed": 2**62 + 5,
}
SHAPES = ((0, 5), (3, 0), (1, 1), (5, 31), (3, 129))  # no row, no token, one; words of bits


def columns(shape: tuple[int, int], seed: int = 8) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ids up to 2**16 - 1, and words from 1 on with runs of 0 in them, up to 255."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, 2**16, shape)
    words = 120 + (random.random(shape) < 0.6).cumsum(axis=1)
    return ids, np.where(random.random(shape) < 0.2, 0, words)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("by_words", [True, False], ids=["words", "tokens"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_stored_dtype(shape: tuple[int, int], by_words: bool, output: str) -> None:
    ids, words = columns(shape)
    addresses = {"row_ids": np.arange(shape[0]) + 2**40, "epoch": np.arange(shape[0])}
    expected = reference(
        ids.astype(np.int32),
        words > 0,
        word_ids=words - 1 if by_words else None,
        output=output,
        **addresses,
        **CHOICE,
        **WRITTEN,
    )
    for ids_type in IDS_TYPES:
        for words_type in WORDS_TYPES:
            found = mask_stored_tokens(
                tf.constant(ids, ids_type),
                tf.constant(words, words_type),
                CHOICE | addresses,
                by_words=by_words,
                output=output,
                implementation="custom_op",
                **WRITTEN,
            )
            assert_same(found, expected)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("types", [("uint16", "uint8"), ("int64", "int64")], ids=str)
def test_implementations_agree(types: tuple[str, str], implementation: str) -> None:
    ids, words = columns((4, 40))
    addresses = {"row_ids": np.arange(4), "epoch": 7}
    expected = reference(
        ids.astype(np.int32), words > 0, word_ids=words - 1, **addresses, **CHOICE, **WRITTEN
    )

    @tf.function(input_signature=[tf.TensorSpec([None, 40], dtype) for dtype in types])
    def masked(ids: tf.Tensor, words: tf.Tensor) -> Any:
        return mask_stored_tokens(
            ids,
            words,
            CHOICE | addresses,
            by_words=True,
            output="labels",
            implementation=implementation,
            **WRITTEN,
        )

    assert_same(masked(tf.constant(ids, types[0]), tf.constant(words, types[1])), expected)


@pytest.mark.parametrize("first_word_id", [0, 1, 5, 2**31 - 1])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_word_ids_count_from_the_first(dtype: Any, first_word_id: int) -> None:
    """Smaller ones, the smallest of int32 among them, are tokens without a word."""
    words = columns((4, 33))[1].astype(np.int64) % 9 + first_word_id - 4
    words = words.clip(-(2**31), 2**31 - 1)
    words[:, ::7] = -(2**31)
    raw = {
        "maskable_positions": np.ones((4, 33), np.int8),
        "num_tokens_to_mask": np.int64(9),
        "length_thresholds": np.array([35747, 53620], np.int32),  # of 1, 1/2, 1/3
        "seed": np.int64(1),
        "epoch": np.int64(2),
        "row_ids": np.arange(4),
        "word_ids": [words.astype(dtype)],
        "segment_ids": [],
        "first_word_id": first_word_id,
    }
    from_zero = np.where(words < first_word_id, -1, words - first_word_id)
    with maskcore.use_backend("reference"):
        expected = maskcore.mask_positions(
            np.ones((4, 33), np.int8), 9, word_ids=from_zero, seed=1, epoch=2, row_ids=np.arange(4)
        )
    np.testing.assert_array_equal(tfshim.raw_ops.mask_positions(**raw), expected)
