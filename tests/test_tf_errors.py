# SPDX-License-Identifier: Apache-2.0
"""Bad input to tfshim: maskcore's own text, as a Python error where it is known, else as InvalidArgument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import IMPLEMENTATIONS, maskable_rows, text_of_error

import tfshim

pytestmark = pytest.mark.tensorflow

ROWS = maskable_rows((3, 6))
ONE_OF_TWO = "pass a number of tokens, or a fraction of the maskable ones"
BUDGET_REMEDY = "pass 0 to mask nothing; more than maskable masks all"
MAX_N_REMEDY = "it is the longest n-gram in units, 3 in ALBERT"
ROWS_MUST_BE = "maskable_positions must be"
KINDS = "bool, integer, float32 or float64"
SHAPE_OF_ROWS = "of the shape of maskable_positions"
TO_DENSE = "call its to_tensor(), or tf.sparse.to_dense"
ONE_EACH, GOT = "one for each row, shape (None,)", "got shape"
GOOD: dict[str, Any] = {"num_tokens_to_mask": 2, "seed": 1, "epoch": 0, "row_ids": [1, 2, 3]}
FEW = np.zeros((3, 5), np.int32)
WIDE = np.full((3, 6), 2**31)
LOW = np.array([[0] * 6, [-(2**31) - 1] + [2**31] * 5, [0] * 6])

# One line for each check on values: what is wrong, and (where it is not ROWS) the rows it is wrong for.
BAD_VALUES: dict[str, tuple[dict[str, Any], Any]] = {
    "budget": ({"num_tokens_to_mask": -1}, ROWS),
    "budget in a row": ({"num_tokens_to_mask": [2, 2**63 - 1, -7]}, ROWS),
    "budgets too few": ({"num_tokens_to_mask": [1, 2]}, ROWS),
    "budgets of rank 2": ({"num_tokens_to_mask": [[1, 2, 3]]}, ROWS),
    "budgets for one row": ({"num_tokens_to_mask": [1], "row_ids": 1}, ROWS[0]),
    "epoch": ({"epoch": -1}, ROWS),
    "epoch too large": ({"epoch": 2**31}, ROWS),
    "epoch in a row": ({"epoch": [0, 0, 2**31]}, ROWS),
    "epochs too many": ({"epoch": [0, 0, 0, 0]}, ROWS),
    "seed": ({"seed": -1}, ROWS),
    "row id": ({"row_ids": [0, -5, 0]}, ROWS),
    "row id of one row": ({"row_ids": -5}, ROWS[0]),
    "row ids too few": ({"row_ids": [1]}, ROWS),
    "one row id for a batch": ({"row_ids": 1}, ROWS),
    "row ids for one row": ({"row_ids": [1]}, ROWS[0]),
    "word_ids too short": ({"word_ids": FEW}, ROWS),
    "word_ids of rank 1": ({"word_ids": FEW[0]}, ROWS),
    "segment_ids too short": ({"segment_ids": FEW[0], "row_ids": 1}, ROWS[0]),
    "word_ids too large": ({"word_ids": WIDE}, ROWS),
    "segment_ids too low": ({"segment_ids": LOW}, ROWS),
    "NaN": ({}, np.array([[1, 0], [1, 1], [0, np.nan]], np.float32)),
    "NaN with a sign": ({"row_ids": 1}, np.array([1, -np.nan, np.nan])),
    "NaN past a block": ({"row_ids": 1}, np.where(np.arange(200) == 190, np.nan, 1)),
    "rank 0": ({"row_ids": 1}, np.float32(1)),
    "rank 3": ({}, np.zeros((3, 2, 2), np.float32)),
    "two at once": ({"num_tokens_to_mask": -1, "epoch": -1, "seed": -1, "row_ids": [-1, 0, 0]}, ROWS),
}  # fmt: skip

bad_values = pytest.mark.parametrize("name", BAD_VALUES)


def bad_call(name: str) -> tuple[Any, dict[str, Any], str]:
    """Return rows, arguments of tfshim, and the text of maskcore."""
    wrong, rows = BAD_VALUES[name]
    arguments = {**GOOD, **wrong}
    budget = arguments["num_tokens_to_mask"]
    rest = {key: value for key, value in arguments.items() if key != "num_tokens_to_mask"}
    return rows, {"max_n": 3, **arguments}, text_of_error(rows, budget, **rest)


@bad_values
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_host_values_raise_what_maskcore_raises(name: str, implementation: str) -> None:
    rows, arguments, text = bad_call(name)
    with pytest.raises((ValueError, TypeError)) as caught:
        tfshim.get_masking_position(rows, implementation=implementation, **arguments)
    assert str(caught.value) == text


@bad_values
def test_eager_tensors_raise_the_same_text(name: str) -> None:
    """And the same type: in eager code numpy_function raised ValueError where the op raises InvalidArgumentError."""
    rows, arguments, text = bad_call(name)
    tensors = {key: tf.constant(value, int_dtype(key, value)) for key, value in arguments.items()}
    raised = set()
    for implementation in IMPLEMENTATIONS:
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught:
            tfshim.get_masking_position(tf.constant(rows), implementation=implementation, **tensors)
        assert text in str(caught.value)
        raised.add(type(caught.value))
    assert len(raised) == 1


@bad_values
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_graphs_raise_the_same_text_when_they_run(name: str, implementation: str) -> None:
    rows, arguments, text = bad_call(name)
    max_n = arguments.pop("max_n")
    tensors = {key: tf.constant(value, int_dtype(key, value)) for key, value in arguments.items()}

    @tf.function(
        input_signature=[
            tf.TensorSpec(None, rows.dtype),
            {key: tf.TensorSpec(None, tensor.dtype) for key, tensor in tensors.items()},
        ]
    )
    def masked(rows: tf.Tensor, arguments: dict[str, tf.Tensor]) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, max_n=max_n, implementation=implementation, **arguments
        )

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        masked(rows, tensors)
    assert text in str(caught.value)


def int_dtype(argument: str, value: Any) -> tf.DType:
    """Return int32 for ids that fit, else int64."""
    return tf.as_dtype(value.dtype) if argument.endswith(("word_ids", "segment_ids")) else tf.int64


def test_static_shapes_are_checked_while_the_graph_is_made() -> None:
    with tf.Graph().as_default():
        rows = tf.compat.v1.placeholder(tf.float32, [None, 6])
        short = tf.compat.v1.placeholder(tf.int32, [None, 5])
        numbers = tf.compat.v1.placeholder(tf.int64, [2, 2])
        cube = tf.compat.v1.placeholder(tf.float32, [None, 2, 3])
        endless = tf.compat.v1.placeholder(tf.float32, [None, 2**26 + 1])
        options: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": 2}
        for given, text in (
            ({"word_ids": short}, f"word_ids must be {SHAPE_OF_ROWS}, (None, 6), {GOT} (None, 5); pass one for each token"),
            ({"num_tokens_to_mask": numbers}, f"num_tokens_to_mask must be {ONE_EACH}, {GOT} (2, 2); {BUDGET_REMEDY}"),
            ({"epoch": numbers}, f"epoch must be {ONE_EACH}, {GOT} (2, 2); pass the number of the pass over the data"),
            ({"row_ids": numbers}, f"row_ids must be {ONE_EACH}, {GOT} (2, 2); pass the ids stored with the rows"),
            ({"seed": numbers}, "seed must be a scalar, got shape (2, 2); pass a number, the same for all epochs"),
            ({"maskable_positions": cube}, f"{ROWS_MUST_BE} of shape (L,) or (B, L), {GOT} (None, 2, 3); pass one row, or a batch of rows"),
            ({"maskable_positions": endless}, f"{ROWS_MUST_BE} rows of at most 2**26 tokens, got 67108865; split longer rows"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=r".") as caught:
                tfshim.get_masking_position(
                    **{"maskable_positions": rows, "row_ids": [1, 2], **options, **given}
                )
            assert str(caught.value) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_n": 0}, f"max_n must be in [1, 255], got 0; {MAX_N_REMEDY}"),
        ({"max_n": 256}, f"max_n must be in [1, 255], got 256; {MAX_N_REMEDY}"),
        ({"max_n": 2.5}, f"max_n must be an integer, got 2.5; {MAX_N_REMEDY}"),
        ({"ngram_weights": [1, 2]}, "ngram_weights must be max_n = 3 numbers, got 2 numbers; give one weight for each length 1 .. max_n"),
        ({"ngram_weights": [1, -2, 1]}, "ngram_weights must be weights >= 0, got -2; use 0 for what must not occur"),
        ({"num_tokens_to_mask": None}, f"num_tokens_to_mask or masking_ratio must be given, one of the two, got neither; {ONE_OF_TWO}"),
        ({"num_tokens_to_mask": 1.5}, f"num_tokens_to_mask must be an integer, got 1.5; {BUDGET_REMEDY}"),
        ({"seed": None}, "seed must be an integer, got None; a graph would keep one draw for ever: pass a number"),
        ({"implementation": "xyz"}, "implementation must be one of custom_op, xla, numpy_function, got 'xyz'; spell it so"),
    ],
)  # fmt: skip
def test_texts_of_what_is_never_a_tensor(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        tfshim.get_masking_position(ROWS, **{**GOOD, "max_n": 3, **arguments})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"maskable_positions": tf.constant([[1]], tf.float16)}, f"{ROWS_MUST_BE} {KINDS}, got dtype float16; convert it first"),
        ({"maskable_positions": tf.constant([["1"]])}, f"{ROWS_MUST_BE} {KINDS}, got dtype string; convert it first"),
        ({"maskable_positions": tf.ragged.constant([[1], [1, 1]])}, f"{ROWS_MUST_BE} a dense tensor, got RaggedTensor; {TO_DENSE}"),
        ({"num_tokens_to_mask": tf.constant(1.5)}, f"num_tokens_to_mask must be integers, got dtype float32; {BUDGET_REMEDY}"),
        ({"row_ids": tf.constant([1.0, 2.0, 3.0])}, "row_ids must be integers, got dtype float32; pass the ids stored with the rows"),
        ({"word_ids": tf.zeros((3, 6))}, "word_ids must be integers, got dtype float32; use -1 for tokens without a word"),
        ({"segment_ids": tf.zeros((3, 6))}, "segment_ids must be integers, got dtype float32; number the segments"),
    ],
)  # fmt: skip
def test_tensors_of_a_wrong_kind(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        tfshim.get_masking_position(**{"maskable_positions": ROWS, **GOOD, "max_n": 3, **arguments})
    assert str(caught.value) == text


def test_uint64_beyond_int64_is_refused_everywhere() -> None:
    huge = tf.constant([2**64 - 1] * 3, tf.uint64)
    words = tf.fill((3, 6), huge[0])
    for arguments in (
        {"epoch": huge},
        {"row_ids": huge},
        {"seed": huge[0]},
        {"word_ids": words},
        {"segment_ids": words},
    ):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=f"{next(iter(arguments))} must be"
        ):
            tfshim.get_masking_position(ROWS, **{**GOOD, "max_n": 3, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [{"epoch": 1}, {"epoch": tf.constant(0)}, {"word_ids": FEW}, {"segment_ids": FEW}, {"ngram_weights": [1, 1, 1]}],
    ids=lambda arguments: next(iter(arguments)),
)  # fmt: skip
def test_arguments_without_a_meaning_to_the_classic_op(arguments: dict[str, Any]) -> None:
    name = next(iter(arguments))
    with pytest.raises(
        ValueError, match=f"^{name} must be left out where there are no row_ids, got a value; pass"
    ):
        tfshim.get_masking_position(ROWS, max_n=3, num_tokens_to_mask=2, **arguments)


CLASSIC_BAD_VALUES: dict[str, tuple[dict[str, Any], Any]] = {
    "max_n": ({"max_n": 0}, ROWS),
    "max_n too large": ({"max_n": 256}, ROWS),
    "budget": ({"num_tokens_to_mask": -1}, ROWS),
    "budget in a row": ({"num_tokens_to_mask": [1, -2, 3]}, ROWS),
    "budgets too many": ({"num_tokens_to_mask": [1, 2, 3, 4]}, ROWS),
    "NaN": ({}, np.array([1, np.nan], np.float32)),
    "NaN in float64": ({}, np.array([1, np.nan])),
    "rank": ({}, np.ones((1, 1, 1), np.float32)),
    "seed": ({"seed": -1}, ROWS),
}


@pytest.mark.parametrize("name", CLASSIC_BAD_VALUES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_classic_op_raises_the_same_text(name: str, implementation: str) -> None:
    wrong, rows = CLASSIC_BAD_VALUES[name]
    arguments = {"max_n": 3, "num_tokens_to_mask": 1, "seed": 23, **wrong}
    rest = {key: value for key, value in arguments.items() if key != "num_tokens_to_mask"}
    text = text_of_error(rows, arguments["num_tokens_to_mask"], **rest)
    with pytest.raises(ValueError, match=r".") as caught:
        tfshim.get_masking_position(rows, implementation=implementation, **arguments)
    assert str(caught.value) == text
    seed = arguments.pop("seed")

    @tf.function(
        input_signature=[
            tf.TensorSpec(None, rows.dtype),
            {key: tf.TensorSpec(None, tf.int32) for key in arguments},
        ]
    )
    def masked(rows: tf.Tensor, arguments: dict[str, tf.Tensor]) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, seed=seed, implementation=implementation, **arguments
        )

    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught:
        masked(rows, {key: tf.constant(value, tf.int32) for key, value in arguments.items()})
    assert text in str(caught.value)


def test_classic_op_called_raw_checks_seed_and_scalars() -> None:
    rows = tf.ones((2, 4))
    text = "seed must be in [0, 2**63), got -1; pass a number, the same for all epochs"
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tfshim.raw_ops.get_masking_position(rows, 3, 2, seed=-1)
    assert text in str(caught.value)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tfshim.raw_ops.get_masking_position(rows, [3], 2)
    assert "max_n must be a scalar, got shape (1,); it is the longest" in str(caught.value)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_row_of_more_than_2_to_the_26_tokens(implementation: str) -> None:
    text = (
        "maskable_positions must be rows of at most 2**26 tokens, got 67108865; split longer rows"
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.bool)])
    def masked(rows: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, max_n=3, num_tokens_to_mask=2, row_ids=1, implementation=implementation
        )

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        masked(np.zeros(2**26 + 1, bool))
    assert text in str(caught.value)
