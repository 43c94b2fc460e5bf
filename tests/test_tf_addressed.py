# SPDX-License-Identifier: Apache-2.0
"""With row ids: the bits of `maskcore.mask_positions`, in eager code and in graphs, on every implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import (
    DTYPES,
    IMPLEMENTATIONS,
    SHAPES,
    maskable_rows,
    reference,
    segment_ids,
    word_ids,
)

import maskcore
import tfshim

pytestmark = pytest.mark.tensorflow


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


def assert_same(result: tf.Tensor, expected: np.ndarray) -> None:
    assert result.dtype.as_numpy_dtype == expected.dtype
    assert tuple(result.shape) == expected.shape
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_with_everything(dtype: str, implementation: str) -> None:
    shape = (4, 37)
    rows, words, segments = maskable_rows(shape, dtype), word_ids(shape), segment_ids(shape)
    options: dict[str, Any] = {
        "max_n": 4,
        "ngram_weights": (4, 0, 2, 1),
        "seed": 2**63 - 1,
        "epoch": [0, 1, 2**31 - 1, 5],
        "row_ids": [0, 2**32, 2**63 - 1, 7],
    }
    budgets = [0, 3, 9, 2**62]
    expected = reference(rows, budgets, word_ids=words, segment_ids=segments, **options)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(rows)

    @tf.function(input_signature=[tf.TensorSpec(None, dtype)], autograph=False)
    def masked(rows: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows,
            num_tokens_to_mask=tf.constant(budgets, tf.int64),
            word_ids=tf.constant(words, tf.int64),
            segment_ids=tf.constant(segments),
            implementation=implementation,
            **options,
        )

    assert_same(masked(rows), expected)
    eager = tfshim.get_masking_position(
        rows,
        num_tokens_to_mask=budgets,
        word_ids=words,
        segment_ids=segments,
        implementation=implementation,
        **options,
    )
    assert_same(eager, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_words", [False, True], ids=["tokens", "words"])
def test_every_shape(shape: tuple[int, ...], with_words: bool, implementation: str) -> None:
    rows = maskable_rows(shape)
    row_ids = np.arange(3, 3 + shape[0]) if len(shape) == 2 else np.int64(3)
    words = word_ids(shape) if with_words else None
    expected = reference(rows, 7, seed=5, row_ids=row_ids, word_ids=words, epoch=2)
    options: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": 7, "seed": 5, "epoch": 2}
    result = tfshim.get_masking_position(
        tf.constant(rows), row_ids=row_ids, word_ids=words, implementation=implementation, **options
    )
    assert_same(result, expected)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None] * len(shape), tf.float32),
            tf.TensorSpec(None, tf.int64),
        ]
    )
    def masked(rows: tf.Tensor, row_ids: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, row_ids=row_ids, word_ids=words, implementation=implementation, **options
        )

    assert_same(masked(rows, row_ids), expected)


@pytest.mark.parametrize("max_n", [1, 2, 3, 8, 9, 254, 255])
def test_every_size_of_the_length_law(max_n: int) -> None:
    rows = maskable_rows((2, 70), "uint8")
    expected = reference(rows, 30, max_n=max_n, seed=8, row_ids=[1, 2])
    result = tfshim.get_masking_position(
        rows, max_n=max_n, num_tokens_to_mask=30, seed=8, row_ids=[1, 2]
    )
    assert_same(result, expected)


def test_a_batch_of_realistic_size_equals_the_native_backend() -> None:
    rows = maskable_rows((256, 512), "int32", seed=3)
    row_ids = np.random.default_rng(4).integers(0, 2**63 - 1, 256)
    expected = maskcore.mask_positions(rows, 76, seed=23, epoch=9, row_ids=row_ids)
    result = tfshim.get_masking_position(
        rows, max_n=3, num_tokens_to_mask=76, epoch=9, row_ids=row_ids
    )
    assert_same(result, expected)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_integer_arguments_of_any_dtype(dtype: str, implementation: str) -> None:
    rows = maskable_rows((2, 9))
    numbers = np.array([1, 2], dtype)
    words = np.arange(18).reshape(2, 9).astype(dtype) // 2
    expected = reference(
        rows, [1, 2], seed=1, epoch=[1, 2], row_ids=[1, 2], word_ids=words, segment_ids=words
    )
    for convert in (np.asarray, tf.constant):
        result = tfshim.get_masking_position(
            rows,
            max_n=3,
            num_tokens_to_mask=convert(numbers),
            seed=convert(numbers[0]),
            epoch=convert(numbers),
            row_ids=convert(numbers),
            word_ids=convert(words),
            segment_ids=convert(words),
            implementation=implementation,
        )
        assert_same(result, expected)


def test_a_budget_beyond_every_integer_masks_all(implementation: str) -> None:
    rows = maskable_rows((2, 9))
    for budget in (2**63 - 1, 2**70, tf.constant(2**64 - 1, tf.uint64), np.uint64(2**64 - 1)):
        options: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": budget}
        for row_ids in (None, [1, 2]):
            mask = tfshim.get_masking_position(
                rows, row_ids=row_ids, implementation=implementation, **options
            )
            assert_same(mask, rows)


def test_what_counts_as_maskable_in_floats(implementation: str) -> None:
    """Denormals are not zero, whatever TensorFlow's arithmetic makes of them; -0.0 is."""
    for dtype, tiny in (("float32", 1e-45), ("float64", 5e-324)):
        rows = np.array([0.0, -0.0, tiny, -tiny, np.inf, -1.0], dtype)
        result = tfshim.get_masking_position(
            tf.constant(rows),
            max_n=3,
            num_tokens_to_mask=6,
            row_ids=0,
            implementation=implementation,
        )
        assert result.numpy().tolist() == [0, 0, 1, 1, 1, 1]


def test_inputs_keep_their_values() -> None:
    """The op may write to the memory of its input, but only where nobody reads it any more."""
    memory = np.empty(4 * 64 + 64, np.uint8)
    aligned = memory[-memory.ctypes.data % 64 :][: 4 * 64].view(np.float32).reshape(2, 32)
    aligned[:] = 1  # aligned as TensorFlow takes numpy memory over without a copy
    tensor, variable = tf.constant(aligned), tf.Variable(aligned)
    for rows in (aligned, tensor, variable, tf.identity(tensor)):
        result = tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=4, row_ids=[1, 2])
        assert int(tf.reduce_sum(result)) == 8
        assert int(tf.reduce_sum(tf.convert_to_tensor(rows))) == 64

    @tf.function
    def sums(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        doubled = rows * 2
        mask = tfshim.get_masking_position(doubled, max_n=3, num_tokens_to_mask=4, row_ids=[1, 2])
        return tf.reduce_sum(mask), tf.reduce_sum(doubled)

    assert [int(total) for total in sums(tensor)] == [8, 128]


@pytest.mark.parametrize(
    "spec", [None, [None], [None, None], [None, 8], [3, None], [3, 8], [8]], ids=str
)
def test_static_shapes_are_inferred(spec: list[int | None] | None, implementation: str) -> None:
    @tf.function(input_signature=[tf.TensorSpec(spec, tf.int32), tf.TensorSpec(None, tf.int64)])
    def masked(rows: tf.Tensor, row_ids: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, max_n=2, num_tokens_to_mask=1, row_ids=row_ids, implementation=implementation
        )

    assert masked.get_concrete_function().output_shapes == tf.TensorShape(spec)


@pytest.mark.parametrize(
    ("implementation", "addressed", "classic"),
    [
        ("custom_op", "Maskcore>MaskPositions", "Maskcore>GetMaskingPosition"),
        ("numpy_function", "PyFuncStateless", "PyFunc"),
    ],
)
def test_the_implementation_asked_for_is_in_the_graph(
    implementation: str, addressed: str, classic: str
) -> None:
    with tf.Graph().as_default() as graph:
        rows = tf.constant([1.0, 1.0])
        options: dict[str, Any] = {
            "max_n": 2,
            "num_tokens_to_mask": 1,
            "implementation": implementation,
        }
        tfshim.get_masking_position(rows, row_ids=4, **options)
        tfshim.get_masking_position(rows, **options)
    types = [operation.type for operation in graph.get_operations()]
    assert [types.count(addressed), types.count(classic)] == [1, 1]


def test_there_is_no_gradient(implementation: str) -> None:
    rows = tf.Variable([1.0, 1.0, 1.0])
    with tf.GradientTape() as tape:
        mask = tfshim.get_masking_position(
            rows, max_n=2, num_tokens_to_mask=2, row_ids=4, implementation=implementation
        )
        loss = tf.reduce_sum(mask)
    assert tape.gradient(loss, rows) is None


def test_raw_op_takes_the_optional_ids_as_lists() -> None:
    rows = maskable_rows((2, 12), "int8")
    words = word_ids((2, 12))
    raw: dict[str, Any] = {
        "maskable_positions": rows,
        "num_tokens_to_mask": np.int64(5),
        "length_thresholds": np.array([35747, 53620], np.int32),  # of 1, 1/2, 1/3
        "seed": np.int64(1),
        "epoch": np.int64(2),
        "row_ids": np.array([3, 4]),
    }
    for given, options in (
        ({"word_ids": [], "segment_ids": []}, {}),
        ({"word_ids": [words], "segment_ids": []}, {"word_ids": words}),
        ({"word_ids": [], "segment_ids": [words]}, {"segment_ids": words}),
        ({"word_ids": [words], "segment_ids": [words]}, {"word_ids": words, "segment_ids": words}),
    ):
        expected = reference(rows, 5, seed=1, epoch=2, row_ids=[3, 4], **options)
        assert_same(tfshim.raw_ops.mask_positions(**raw, **given), expected)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="word_ids must be a list of at most one"
    ):
        tfshim.raw_ops.mask_positions(**raw, word_ids=[words, words], segment_ids=[])
    for wrong in ([2, 1], [-1, 1], [1, 2**16 + 1]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="length_thresholds must be in"):
            tfshim.raw_ops.mask_positions(
                **raw | {"length_thresholds": np.array(wrong, np.int32)},
                word_ids=[],
                segment_ids=[],
            )
