# SPDX-License-Identifier: Apache-2.0
"""`tfshim.mask_tokens`, and budgets from a ratio: the bits of maskcore in eager code and in graphs."""

from __future__ import annotations

import itertools
import json
import runpy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import DTYPES, ROOT, SHAPES, maskable_rows, segment_ids, word_ids
from tf_token_support import (
    IMPLEMENTATIONS,
    MASK_ID,
    OPTIONS,
    OUTPUTS,
    SPECIAL,
    WITHOUT_XLA,
    assert_same,
    reference,
    token_ids,
)

import maskcore
import tfshim

pytestmark = pytest.mark.tensorflow


@pytest.fixture(params=WITHOUT_XLA)
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


# "xla" compiles for seconds, so test_tf_xla_tokens.py has cases of its own of what is not marked by this.
EVERY_IMPLEMENTATION = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest) -> str:
    return request.param


def in_a_graph(options: dict[str, Any], shapes_known: bool = False, **tensors: Any) -> Any:
    """Run mask_tokens with `tensors` of unknown shape as inputs of a graph."""
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    specs = {
        name: tf.TensorSpec(tensor.shape if shapes_known else None, tensor.dtype)
        for name, tensor in given.items()
    }
    function = tf.function(lambda given: tfshim.mask_tokens(**given, **options), (specs,))
    return function(given)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
@pytest.mark.parametrize("ignore_index", [-100, -(2**31)])
def test_everything_given(dtype: str, ignore_index: int, output: str, implementation: str) -> None:
    """Labels are int32 where -2**31 does not fit the ids."""
    shape = (4, 70)
    ids = token_ids(shape, dtype)
    tensors: dict[str, Any] = {
        "maskable_positions": maskable_rows(shape, "float64"),
        "num_tokens_to_mask": [0, 3, 19, 2**62],
        "word_ids": word_ids(shape),
        "segment_ids": segment_ids(shape),
        "epoch": [0, 1, 2**31 - 1, 5],
        "row_ids": [0, 2**32, 2**63 - 1, 7],
    }
    options = {
        **OPTIONS,
        "max_n": 4,
        "ngram_weights": (4, 0, 2, 1),
        "ignore_index": ignore_index,
        "output": output,
    }
    expected = reference(ids, **tensors, **options)
    assert not np.array_equal(expected.input_ids, ids)
    options["implementation"] = implementation
    assert_same(tfshim.mask_tokens(ids, **tensors, **options), expected)
    assert_same(in_a_graph(options, input_ids=ids, **tensors), expected)
    assert_same(in_a_graph(options, shapes_known=True, input_ids=ids, **tensors), expected)
    seed = options.pop("seed")
    assert_same(in_a_graph(options, input_ids=ids, seed=np.int64(seed), **tensors), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("budget", [{"num_tokens_to_mask": 9}, {"masking_ratio": 0.3}], ids=str)
def test_every_shape(
    shape: tuple[int, ...], budget: dict[str, Any], output: str, implementation: str
) -> None:
    ids = token_ids(shape)
    row_ids = np.arange(3, 3 + shape[0]) if len(shape) == 2 else np.int64(3)
    options = {**OPTIONS, **budget, "output": output}
    expected = reference(ids, row_ids=row_ids, **options)
    options["implementation"] = implementation
    assert_same(tfshim.mask_tokens(ids, row_ids=row_ids, **options), expected)
    assert_same(in_a_graph(options, input_ids=ids, row_ids=row_ids), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_maskable_positions_of_every_dtype(dtype: str, implementation: str) -> None:
    ids, maskable = token_ids((3, 40)), maskable_rows((3, 40), dtype)
    options: dict[str, Any] = {**OPTIONS, "masking_ratio": 0.4, "row_ids": [1, 2, 3]}
    expected = reference(ids, maskable, **options)
    assert (expected.labels[maskable == 0] == -100).all()
    options["implementation"] = implementation
    assert_same(tfshim.mask_tokens(ids, maskable, **options), expected)
    graph = in_a_graph(options, input_ids=ids, maskable_positions=maskable)
    assert_same(graph, expected)


@pytest.mark.parametrize(
    "random_ids",
    [range(10, 60), [range(10, 60), (100, 130)], np.arange(10, 60), [10, 11, 12], maskcore.allowed_ids(130, SPECIAL)],
    ids=["range", "ranges", "table", "list", "allowed_ids"],
)  # fmt: skip
def test_random_ids_of_every_form(random_ids: Any, implementation: str) -> None:
    ids = token_ids((3, 40))
    options = {**OPTIONS, "random_ids": random_ids, "num_tokens_to_mask": 20, "row_ids": [1, 2, 3]}
    expected = reference(ids, **options)
    options["implementation"] = implementation
    assert_same(tfshim.mask_tokens(ids, **options), expected)
    assert_same(in_a_graph(options, input_ids=ids), expected)
    if isinstance(random_ids, np.ndarray):
        options["random_ids"] = tf.constant(random_ids)
        assert_same(in_a_graph(options, input_ids=ids), expected)


@EVERY_IMPLEMENTATION
def test_a_table_that_changes_after_the_trace(implementation: str) -> None:
    """A graph keeps the ids that it was made with."""
    ids, table = token_ids((3, 40)), np.arange(10, 60, dtype=np.int32)
    options = {**OPTIONS, "num_tokens_to_mask": 20, "row_ids": [1, 2, 3], "random_ids": table}
    expected = reference(ids, **options)
    masked = tf.function(
        lambda ids: tfshim.mask_tokens(ids, implementation=implementation, **options)
    )
    assert_same(masked(ids), expected)
    table[:] = 100
    assert_same(masked(ids), expected)


@pytest.mark.parametrize("replacement", [(1, 0, 0), (0, 0, 1), (0.5, 0, 0.5)])
def test_without_random_ids(replacement: tuple[float, ...], implementation: str) -> None:
    ids = token_ids((3, 40))
    options: dict[str, Any] = {
        "mask_id": MASK_ID,
        "maskable_positions": np.ones((3, 40), bool),
        "num_tokens_to_mask": 20,
        "row_ids": [1, 2, 3],
        "replacement": replacement,
    }
    expected = reference(ids, seed=23, **options)
    assert_same(tfshim.mask_tokens(ids, implementation=implementation, **options), expected)


def test_a_batch_of_realistic_size_equals_the_native_backend(output: str) -> None:
    shape = (256, 512)
    ids = np.random.default_rng(5).integers(0, 30_000, shape)
    options: dict[str, Any] = {
        **OPTIONS,
        "random_ids": range(100, 30_000),
        "masking_ratio": 0.15,
        "word_ids": word_ids(shape),
        "row_ids": np.random.default_rng(4).integers(0, 2**63 - 1, 256),
        "output": output,
        "epoch": 9,
    }
    assert_same(tfshim.mask_tokens(ids, **options), maskcore.mask_tokens(ids, **options))


def test_inputs_keep_their_values() -> None:
    """The op may write to the memory of its input, but only where nobody reads it any more."""
    options = {**OPTIONS, "num_tokens_to_mask": 20, "row_ids": [1, 2, 3]}
    ids = token_ids((3, 40))
    expected = reference(ids, **options)
    tensor = tf.constant(ids)
    assert_same(tfshim.mask_tokens(tensor, **options), expected)
    np.testing.assert_array_equal(tensor, ids)

    @tf.function
    def with_sum(ids: tf.Tensor) -> Any:
        larger = ids + 1
        return (
            tfshim.mask_tokens(larger - 1, **options),
            tfshim.mask_tokens(larger, **options),
            larger,
        )

    first, second, larger = with_sum(tensor)
    assert_same(first, expected)
    assert_same(second, reference(ids + 1, **options))
    np.testing.assert_array_equal(larger, ids + 1)


# Budgets from a ratio.


@pytest.mark.parametrize("cap", [None, 1, 7, 50])
@pytest.mark.parametrize("with_words", [False, True], ids=["tokens", "words"])
def test_masking_ratio_in_get_masking_position(
    cap: int | None, with_words: bool, implementation: str
) -> None:
    rows = maskable_rows((9, 81), "uint8")
    options: dict[str, Any] = {"seed": 5, "row_ids": range(9), "epoch": 3, "max_predictions": cap}
    options["word_ids"] = word_ids((9, 81)) if with_words else None
    for ratio in (1e-9, 0.15, 0.5, 1):
        with maskcore.use_backend("reference"):
            expected = maskcore.mask_positions(rows, masking_ratio=ratio, **options)
        given = {**options, "masking_ratio": ratio, "implementation": implementation, "max_n": 3}
        masked = tfshim.get_masking_position(rows, **given)
        np.testing.assert_array_equal(masked, expected, strict=True)

        @tf.function(input_signature=[tf.TensorSpec(None, tf.uint8)])
        def in_graph(rows: tf.Tensor, given: Any = given) -> Any:
            return tfshim.get_masking_position(rows, **given)

        np.testing.assert_array_equal(in_graph(rows), expected, strict=True)


@pytest.mark.parametrize(
    ("ratio", "maskable", "masked"),
    [(0.15, 10, 2), (0.15, 9, 1), (0.25, 2, 1), (0.35, 10, 4), (1e-9, 5, 1), (1.0, 7, 7), (0.15, 0, 0)],
)  # fmt: skip
def test_a_ratio_is_rounded_half_up_in_decimal(
    ratio: float, maskable: int, masked: int, implementation: str
) -> None:
    row = np.arange(12) < maskable
    options: dict[str, Any] = {
        "masking_ratio": ratio,
        "row_ids": 4,
        "implementation": implementation,
    }
    mask = tfshim.get_masking_position(row, max_n=3, **options)
    assert int(tf.math.count_nonzero(mask)) == masked
    result = tfshim.mask_tokens(
        tf.range(12), row, mask_id=1, replacement=(1, 0, 0), output="positions", **options
    )
    assert float(tf.reduce_sum(result.masked_lm_weights)) == masked


@EVERY_IMPLEMENTATION
def test_a_ratio_counts_only_words_that_may_be_masked(implementation: str) -> None:
    """Half of the four tokens of whole words, not of all six that may be masked."""
    options: dict[str, Any] = {"word_ids": [0, 0, 1, 1, 2, 2, 3, 3], "row_ids": 1}
    mask = tfshim.get_masking_position(
        [1, 1, 1, 1, 1, 0, 0, 1],
        max_n=1,
        masking_ratio=0.5,
        implementation=implementation,
        **options,
    )
    assert int(tf.reduce_sum(mask)) == 2
    assert mask.numpy().tolist() in ([1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0])


# Golden vectors.

GOLDEN = json.loads((ROOT / "tests" / "kat" / "golden_rows.json").read_text())
MAKER = runpy.run_path(str(ROOT / "tests" / "kat" / "make_golden.py"))


@pytest.mark.parametrize("entry", GOLDEN["entries"], ids=lambda entry: entry["name"])
def test_golden_rows(entry: dict[str, Any], implementation: str) -> None:
    options = {"max_n": 3, **MAKER["arguments"](entry), "implementation": implementation}
    maskable = np.array(entry["row"]["maskable"], np.uint8).reshape(1, -1)
    ids = np.array(entry["row"]["input_ids"], np.int32).reshape(1, -1)
    mask = tfshim.get_masking_position(maskable, **options)
    result = tfshim.mask_tokens(ids, maskable, **options, **MAKER["token_arguments"]())
    expected = entry["expected"]
    assert np.flatnonzero(mask).tolist() == expected["positions"]
    assert np.flatnonzero(result.labels != -100).tolist() == expected["token_positions"]
    masked_ids = ids.copy()
    masked_ids[0, expected["token_positions"]] = expected["masked_ids"]
    np.testing.assert_array_equal(result.input_ids, masked_ids, strict=True)


# Graphs: what they hold and what is known of them.


def traced(spec: Sequence[int | None] | None, **options: Any) -> Any:
    function = tf.function(
        lambda ids, row_ids: tfshim.mask_tokens(ids, row_ids=row_ids, **{**OPTIONS, **options}),
        [tf.TensorSpec(spec, tf.int32), tf.TensorSpec(None, tf.int64)],
    )
    return function.get_concrete_function().structured_outputs


@pytest.mark.parametrize(
    ("spec", "implementation"),
    [
        *itertools.product([None, [None], [None, None], [None, 40], [3, 40], [40]], WITHOUT_XLA),
        *itertools.product([[None, 40], [3, 40], [40]], ["xla"]),
    ],
    ids=str,
)
def test_static_shapes_are_inferred(spec: list[int | None] | None, implementation: str) -> None:
    rows = tf.TensorShape(spec)
    options: dict[str, Any] = {"implementation": implementation}
    labels = traced(spec, masking_ratio=0.3, **options)
    assert [tensor.shape for tensor in labels] == [rows, rows]
    length = None if spec is None else spec[-1]
    for budget, size in (
        ({"masking_ratio": 0.3}, length and 12),
        ({"masking_ratio": 0.3, "max_predictions": 5}, 5),
        ({"num_tokens_to_mask": 50}, length and 40),
        ({"num_tokens_to_mask": 0}, length and 1),
        ({"num_tokens_to_mask": tf.constant(7)}, length and 7),
        ({"num_tokens_to_mask": 5, "max_predictions": 9}, 9),
    ):
        given = traced(spec, output="positions", **budget, **options)
        fixed = rows[:-1].concatenate([size])
        assert [tensor.shape.as_list() if tensor.shape.rank else None for tensor in given[1:]] == [
            fixed.as_list() if fixed.rank else None
        ] * 3
        assert given.input_ids.shape.as_list() == rows.as_list() if spec else True


def test_the_length_of_maskable_positions_is_used_too() -> None:
    function = tf.function(
        lambda ids, maskable: tfshim.mask_tokens(ids, maskable, row_ids=[1, 2], masking_ratio=0.5, output="positions", **OPTIONS),
        [tf.TensorSpec([2, None], tf.int32), tf.TensorSpec([None, 40], tf.bool)],
    )  # fmt: skip
    outputs = function.get_concrete_function().structured_outputs
    assert [tensor.shape.as_list() for tensor in outputs] == [[2, 40], [2, 20], [2, 20], [2, 20]]


def test_the_implementation_asked_for_is_in_the_graph() -> None:
    operations = {
        "custom_op": "Maskcore>MaskTokens",
        "xla": "PartitionedCall",
        "numpy_function": "PyFuncStateless",
    }
    for implementation, operation in operations.items():
        with tf.Graph().as_default() as graph:
            ids = tf.compat.v1.placeholder(tf.int32, [2, 30])
            tfshim.mask_tokens(
                ids, row_ids=[1, 2], masking_ratio=0.3, implementation=implementation, **OPTIONS
            )
        types = [node.type for node in graph.get_operations()]
        assert types.count(operation) == 1
        others = {"PyFunc", "EagerPyFunc", *operations.values()} - {operation}
        assert not others & set(types)
        found = next(node for node in graph.get_operations() if node.type == operation)
        assert not found.op_def.is_stateful


@EVERY_IMPLEMENTATION
def test_there_is_no_gradient_and_no_control_flow_in_the_way(implementation: str) -> None:
    """AutoGraph leaves the function alone, inside of what it converts."""

    @tf.function
    def masked(ids: tf.Tensor) -> Any:
        if tf.reduce_sum(ids) > 0:  # converted
            ids = tfshim.mask_tokens(
                ids, row_ids=1, masking_ratio=0.3, implementation=implementation, **OPTIONS
            ).input_ids
        return ids

    ids = token_ids((50,))
    expected = reference(ids, row_ids=1, masking_ratio=0.3, **OPTIONS).input_ids
    np.testing.assert_array_equal(masked(ids), expected)
