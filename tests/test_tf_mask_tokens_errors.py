# SPDX-License-Identifier: Apache-2.0
"""Bad input to `tfshim.mask_tokens`, to ratios and to the raw ops: maskcore's own text, at the earliest place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import maskable_rows
from tf_token_support import IMPLEMENTATIONS, WITHOUT_XLA

import maskcore
import tfshim

pytestmark = pytest.mark.tensorflow

IDS = np.arange(18, dtype=np.int32).reshape(3, 6) + 10
ROWS = maskable_rows((3, 6))
GOOD: dict[str, Any] = {
    "input_ids": IDS,
    "maskable_positions": ROWS,
    "num_tokens_to_mask": 2,
    "row_ids": [1, 2, 3],
    "mask_id": 4,
    "replacement": (1, 0, 0),
    "seed": 1,
}
CAPPED = {"max_predictions": 3}

# One line for each check on values that only mask_tokens has, or words otherwise than the op of masks.
BAD_VALUES: dict[str, dict[str, Any]] = {
    "ids of rank 0": {"input_ids": np.int32(3)},
    "ids of rank 3": {"input_ids": np.zeros((3, 2, 2), np.int32)},
    "maskable too short": {"maskable_positions": ROWS[:, :5]},
    "maskable of one row": {"maskable_positions": ROWS[0]},
    "maskable of rank 0": {"maskable_positions": np.float32(1)},
    "maskable of rank 3": {"maskable_positions": np.zeros((3, 2, 2))},
    "NaN": {
        "maskable_positions": np.array([[1, 0], [1, np.nan]]),
        "input_ids": IDS[:2, :2],
        "row_ids": [1, 2],
    },
    "word_ids too short": {"word_ids": np.zeros((3, 5), np.int32)},
    "segment_ids of one row": {"segment_ids": np.zeros(6, np.int32)},
    "budget": {"num_tokens_to_mask": -1},
    "budget above the cap": {"num_tokens_to_mask": 4, **CAPPED},
    "budgets above the cap": {"num_tokens_to_mask": [0, 4, 5], **CAPPED},
    "budget beyond every row": {"num_tokens_to_mask": 2**62, **CAPPED},
    "epoch": {"epoch": -1},
    "row ids too few": {"row_ids": [1, 2]},
    "row id": {"row_ids": [1, 2, -3]},
}


def bad_call(name: str) -> tuple[dict[str, Any], str]:
    """Return all arguments, and the text of maskcore."""
    arguments = {**GOOD, **BAD_VALUES[name]}
    with pytest.raises((ValueError, TypeError)) as caught:
        maskcore.mask_tokens(**arguments)
    return arguments, str(caught.value)


def as_tensors(arguments: dict[str, Any]) -> tuple[dict[str, tf.Tensor], dict[str, Any]]:
    """Return what may be a tensor as one, and the rest."""
    names = ("mask_id", "replacement", "max_predictions")
    tensors = {
        name: tf.convert_to_tensor(value, None if hasattr(value, "dtype") else tf.int64, name=name)
        for name, value in arguments.items()
        if name not in names
    }
    return tensors, {name: arguments[name] for name in names if name in arguments}


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_host_values_raise_what_maskcore_raises(name: str, implementation: str) -> None:
    arguments, text = bad_call(name)
    with pytest.raises((ValueError, TypeError)) as caught:
        tfshim.mask_tokens(implementation=implementation, **arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("name", BAD_VALUES)
def test_eager_tensors_raise_alike_on_every_implementation(name: str) -> None:
    """numpy_function raised ValueError in eager code, where the op raises InvalidArgumentError."""
    arguments, text = bad_call(name)
    tensors, options = as_tensors(arguments)
    raised = set()
    for implementation in IMPLEMENTATIONS:
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught:
            tfshim.mask_tokens(**tensors, **options, implementation=implementation)
        assert text in str(caught.value)
        raised.add(type(caught.value))
    assert len(raised) == 1


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("implementation", WITHOUT_XLA)
def test_graphs_raise_the_same_text_when_they_run(name: str, implementation: str) -> None:
    arguments, text = bad_call(name)
    tensors, options = as_tensors(arguments)
    specs = {name: tf.TensorSpec(None, tensor.dtype) for name, tensor in tensors.items()}
    masked = tf.function(
        lambda given: tfshim.mask_tokens(**given, **options, implementation=implementation),
        [specs],
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        masked(tensors)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["budget above the cap", "budgets above the cap"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_cap_in_get_masking_position(name: str, implementation: str) -> None:
    budget = tf.constant(BAD_VALUES[name]["num_tokens_to_mask"], tf.int64)
    text = bad_call(name)[1]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tfshim.get_masking_position(
            ROWS, max_n=3, num_tokens_to_mask=budget, row_ids=[1, 2, 3], implementation=implementation, **CAPPED
        )  # fmt: skip
    assert text in str(caught.value)


# What is never a tensor: one line for each argument; maskcore says the same.
STATIC: tuple[dict[str, Any], ...] = (
    {"maskable_positions": None},
    {"output": "spans"},
    {"num_tokens_to_mask": None},
    {"masking_ratio": 0.5},
    {"num_tokens_to_mask": None, "masking_ratio": 1.5},
    {"num_tokens_to_mask": None, "masking_ratio": 0},
    {"num_tokens_to_mask": None, "masking_ratio": "0.5"},
    {"max_predictions": 0},
    {"max_predictions": 2.5},
    {"max_predictions": 1},
    {"max_n": 0},
    {"ngram_weights": [1, 2]},
    {"mask_id": -1},
    {"mask_id": 1.5},
    {"mask_id": 2**31},
    {"ignore_index": 2**31},
    {"replacement": (0.5, 0.5)},
    {"replacement": (0.5, 0.2, 0.2)},
    {"replacement": (0.8, 0.1, 0.1)},
    {"replacement": 0.8},
    {"random_ids": "abc"},
    {"random_ids": [-1, 2]},
    {"random_ids": range(2, 9), "special_ids": [5]},
    {"special_ids": iter([1, 2])},
    {"special_ids": [1.5]},
    {"input_ids": IDS.astype(np.int16), "mask_id": 2**15},
    {"input_ids": IDS.astype(np.uint8)},
    {"input_ids": IDS.astype(np.float32)},
)


@pytest.mark.parametrize("wrong", STATIC, ids=str)
def test_static_arguments_raise_what_maskcore_raises(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as expected:
        maskcore.mask_tokens(**{**GOOD, **wrong})
    with pytest.raises(type(expected.value)) as caught:
        tfshim.mask_tokens(**{**GOOD, **wrong})
    assert str(caught.value) == str(expected.value)


def placeholder(shape: Any, dtype: Any = tf.int32) -> tf.Tensor:
    return tf.compat.v1.placeholder(dtype, shape)


KNOWN = "must be known before the graph runs, got a tensor; pass numbers, or a numpy array"
DENSE = "got RaggedTensor; call its to_tensor(), or tf.sparse.to_dense"
ONE_RATIO = "got a tensor; pass for example 0.15; budgets that differ go into num_tokens_to_mask"
SHAPE = "of the shape of input_ids,"
EACH = "pass one for each token"
RAGGED = [[1], [2, 3]]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: {"row_ids": None}, "row_ids must be one for each row, got None; pass the ids stored with the rows"),
        (lambda: {"masking_ratio": tf.constant(0.5), "num_tokens_to_mask": None}, f"masking_ratio must be a number in (0, 1], {ONE_RATIO}"),
        (lambda: {"random_ids": placeholder([5])}, f"random_ids {KNOWN}"),
        (lambda: {"special_ids": placeholder([5])}, f"special_ids {KNOWN}"),
        (lambda: {"input_ids": placeholder([3, 6], tf.uint8)}, "input_ids must be int16, int32 or int64, got dtype uint8;"),
        (lambda: {"input_ids": tf.ragged.constant(RAGGED)}, f"input_ids must be a dense tensor, {DENSE}"),
        (lambda: {"input_ids": placeholder([None, 2, 3])}, "input_ids must be of shape (L,) or (B, L), got shape (None, 2, 3);"),
        (lambda: {"input_ids": placeholder([2**26 + 1])}, "input_ids must be rows of at most 2**26 tokens, got 67108865;"),
        (lambda: {"input_ids": placeholder([None, 7])}, f"maskable_positions must be {SHAPE} (None, 7), got shape (3, 6); {EACH}"),
        (lambda: {"word_ids": placeholder([None, 7])}, f"word_ids must be {SHAPE} (3, 6), got shape (None, 7); {EACH}"),
        (lambda: {"max_n": placeholder([])}, "max_n must be an integer, got "),
        (lambda: {"mask_id": placeholder([])}, "mask_id must be an integer, got "),
        (lambda: {"max_predictions": placeholder([])}, "max_predictions must be an integer, got "),
    ],
)  # fmt: skip
def test_what_is_wrong_before_the_graph_runs(
    wrong: Callable[[], dict[str, Any]], text: str
) -> None:
    with tf.Graph().as_default():
        arguments = {**GOOD, **wrong()}
        with pytest.raises((ValueError, TypeError)) as caught:
            tfshim.mask_tokens(**arguments)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("arguments", [{"masking_ratio": 0.15}, {"max_predictions": 9}])
def test_ratios_have_no_meaning_to_the_classic_op(arguments: dict[str, Any]) -> None:
    name = next(iter(arguments))
    for implementation in WITHOUT_XLA:  # which have the classic op
        with pytest.raises(
            ValueError, match=f"^{name} must be left out where there are no row_ids"
        ):
            tfshim.get_masking_position(ROWS, max_n=3, implementation=implementation, **arguments)
    with pytest.raises(ValueError, match="one of the two, got neither"):
        tfshim.get_masking_position(ROWS, max_n=3)


# The raw op: what tfshim.mask_tokens makes sure of is checked there, too.

RAW: dict[str, Any] = {
    "input_ids": IDS,
    "replacement_thresholds": [2**31, 2**32],
    "random_ids": [20, 21],
    "special_ranges": np.zeros((0, 2), np.int64),
    "num_tokens_to_mask": 2,
    "length_thresholds": [35747, 53620],  # of 1, 1/2, 1/3
    "seed": 1,
    "epoch": 0,
    "row_ids": [1, 2, 3],
    "maskable_positions": [ROWS],
    "word_ids": [],
    "segment_ids": [],
    "wants_labels": 1,
    "wants_predictions": 1,
    "mask_id": 4,
}


def test_the_raw_op_gives_every_output_at_once() -> None:
    options = {**GOOD, "replacement": (0.5, 0.5, 0), "random_ids": [20, 21]}
    labels = maskcore.mask_tokens(**options)
    positions = maskcore.mask_tokens(**options, output="positions")
    raw = tfshim.raw_ops.mask_tokens(**RAW)
    assert raw._fields == ("masked_ids", "labels", "masked_lm_positions", "masked_lm_ids", "masked_lm_weights")  # fmt: skip
    np.testing.assert_array_equal(raw.masked_ids, labels[0], strict=True)
    for tensors, array in zip(raw[1:], (labels[1], *positions[1:]), strict=True):
        np.testing.assert_array_equal(tensors[0], array, strict=True)
    alone = tfshim.raw_ops.mask_tokens(**{**RAW, "wants_labels": 0, "wants_predictions": 0})
    np.testing.assert_array_equal(alone.masked_ids, labels[0], strict=True)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"replacement_thresholds": [2, 1]}, "replacement_thresholds must be two numbers in [0, 2**32]"),
        ({"replacement_thresholds": [-1, 1]}, "replacement_thresholds must be two numbers in [0, 2**32]"),
        ({"replacement_thresholds": [1, 2**32 + 1]}, "replacement_thresholds must be two numbers in [0, 2**32]"),
        ({"replacement_thresholds": [1]}, "replacement_thresholds must be two numbers in [0, 2**32]"),
        ({"random_ids": np.zeros(0, np.int32)}, "random_ids must be given where replacement has a random share, got none"),
        ({"random_ids": np.zeros((1, 2), np.int32)}, "random_ids must be a table of ids"),
        ({"special_ranges": [1, 2]}, "special_ranges must be pairs of the first and the last id"),
        ({"length_thresholds": [2, 1]}, "length_thresholds must be in [0, 2**16], and none below the one before it"),
        ({"maskable_positions": [ROWS, ROWS]}, "maskable_positions must be a list of at most one tensor, got 2"),
        ({"wants_labels": 2}, "labels must be a list of at most one tensor, got 2"),
        ({"mask_id": -1}, "mask_id must be an id that fits Tmasked_ids, got -1"),
        ({"input_ids": IDS.astype(np.int16), "Tmasked_ids": tf.int16, "mask_id": 2**15}, "mask_id must be an id that fits Tmasked_ids"),
        ({"Tmasked_ids": tf.int16}, "Tmasked_ids must be int32, or the dtype of input_ids"),
        ({"Tlabels": tf.int16}, "Tlabels must be int32, or Tmasked_ids"),
        ({"input_ids": np.full(IDS.shape, 2**31)}, "input_ids must be in [-2**31, 2**31), got 2147483648; pass ids"),
        ({"input_ids": np.full(IDS.shape, -(2**31) - 1)}, "input_ids must be in [-2**31, 2**31), got -2147483649; pass ids"),
        ({"first_word_id": -1}, "first_word_id must be in [0, 2**31), got -1"),
        ({"first_word_id": 2**31}, "first_word_id must be in [0, 2**31), got 2147483648"),
        ({"word_ids": [np.full(IDS.shape, 2**31)]}, "word_ids must be in [-2**31, 2**31), got 2147483648; number them from 0"),
        ({"ignore_index": 2**31}, "ignore_index must be a number that fits Tlabels, got 2147483648"),
        ({"ratio_e9": -1}, "ratio_e9 must be in [0, 10**9], got -1"),
        ({"ratio_e9": 10**9 + 1}, "ratio_e9 must be in [0, 10**9], got 1000000001"),
        ({"max_predictions": 0}, "max_predictions must be in [1, 2**31), got 0"),
        ({"max_predictions": 2**31}, "max_predictions must be in [1, 2**31), got 2147483648"),
        ({"max_predictions": 1}, "num_tokens_to_mask must be at most max_predictions = 1, got 2; raise max_predictions, or"),
        ({"row_ids": [1, 2]}, "row_ids must be one for each row, shape (3,), got shape (2,)"),
    ],
)  # fmt: skip
def test_raw_op(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tfshim.raw_ops.mask_tokens(**RAW | wrong)
    assert text in str(caught.value)
