# SPDX-License-Identifier: Apache-2.0
"""From what a user passes to tensors: what is known before the graph runs is checked here.

By maskcore's own checks, or in their words. Values of tensors and unknown dimensions are left to
the implementation, of which this file knows nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from maskcore import _checks
from maskcore._call import Array, Int64Array
from maskcore._params import ratio_number
from maskcore.errors import type_error, value_error
from maskcore.masking import most_predictions
from tfshim._tensorflow import Tensor, tensorflow

StaticShape = tuple[int | None, ...] | None
"""The shape of the rows; None for what only the running graph knows, a dimension or all of them."""

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_MASKABLE = frozenset(("bool", *_INTEGERS, "float32", "float64"))
_IDS = frozenset(("int16", "int32", "int64"))
_BUDGET_REMEDY = "pass 0 to mask nothing; more than maskable masks all"
_EPOCH_REMEDY = "pass the number of the pass over the data"
_ROW_IDS_REMEDY = "pass the ids stored with the rows"
_SEED_REMEDY = "pass a number, the same for all epochs"
_MAX_N_REMEDY = "it is the longest n-gram in units, 3 in ALBERT"
_MAX_N = _checks.IntegerRange("max_n", 1, 256, "in [1, 255]", _MAX_N_REMEDY)


_HOST_TYPES = frozenset((int, float, list, tuple, np.ndarray, np.int64, np.int32, type(None)))


def _is_tensor(value: Any) -> bool:
    # The usual host types first: `tf.is_tensor` takes 25 us.
    return type(value) not in _HOST_TYPES and bool(tensorflow().is_tensor(value))


def _dense(argument: str, value: Any) -> Tensor:
    """Return a tensor or variable as a dense tensor."""
    tf = tensorflow()
    if not isinstance(value, (tf.Tensor, tf.Variable)):
        remedy = "call its to_tensor(), or tf.sparse.to_dense"
        raise type_error(argument, "a dense tensor", type(value).__name__, remedy)
    return tf.convert_to_tensor(value)


def static_shape(tensor: Tensor) -> StaticShape:
    """Return what is known of a tensor's shape."""
    return None if tensor.shape.rank is None else tuple(tensor.shape)


def maskable_tensor(maskable_positions: Any) -> Tensor:
    """Check dtype, rank and length of the rows; of an array NaN, too."""
    if not _is_tensor(maskable_positions):
        return tensorflow().convert_to_tensor(_checks.maskable_array(maskable_positions))
    maskable = _dense("maskable_positions", maskable_positions)
    if maskable.dtype.name not in _MASKABLE:
        raise type_error(
            "maskable_positions",
            "bool, integer, float32 or float64",
            f"dtype {maskable.dtype.name}",
            "convert it first",
        )
    _check_rows("maskable_positions", static_shape(maskable))
    return maskable


def ids_tensor(input_ids: Any) -> Tensor:
    """Check dtype, rank and length of token ids."""
    if not _is_tensor(input_ids):
        return tensorflow().convert_to_tensor(_checks.ids_array(input_ids))
    ids = _dense("input_ids", input_ids)
    if ids.dtype.name not in _IDS:
        raise type_error(
            "input_ids", "int16, int32 or int64", f"dtype {ids.dtype.name}", "convert it first"
        )
    _check_rows("input_ids", static_shape(ids))
    return ids


def _check_rows(argument: str, shape: StaticShape) -> None:
    if shape is not None and len(shape) not in (1, 2):
        raise value_error(
            argument,
            "of shape (L,) or (B, L)",
            f"shape {shape}",
            "pass one row, or a batch of rows",
        )
    if shape is not None and shape[-1] is not None and shape[-1] > _checks.MAX_ROW_LENGTH:
        raise value_error(argument, "rows of at most 2**26 tokens", shape[-1], "split longer rows")


def shape_of_both(input_ids: Tensor, maskable: Tensor | None) -> StaticShape:
    """Return what is known of the shape that ids and maskable positions share."""
    if maskable is None:
        return static_shape(input_ids)
    _check_one_per_token("maskable_positions", maskable, "input_ids", static_shape(input_ids))
    merged = input_ids.shape.merge_with(maskable.shape)
    return None if merged.rank is None else tuple(merged)


def _check_one_per_token(argument: str, tensor: Tensor, rows_are: str, rows: StaticShape) -> None:
    if rows is not None and not tensor.shape.is_compatible_with(rows):
        raise value_error(
            argument,
            f"of the shape of {rows_are}, {rows}",
            f"shape {tuple(tensor.shape)}",
            "pass one for each token",
        )


def _assumed(rows: StaticShape, value: Any) -> tuple[Any, ...]:
    """Return the rows' shape to check host values against; what is unknown is taken to agree."""
    if rows is None or (rows[:-1] == (None,) and np.ndim(value) == 1):
        return (*np.shape(value), 0)
    return rows


def _int32_or_int64(argument: str, tensor: Tensor, remedy: str) -> Tensor:
    """Cast integers, but int32, to int64. A uint64 of 2**63 or more becomes negative: refused as well."""
    if not tensor.dtype.is_integer:
        raise type_error(argument, "integers", f"dtype {tensor.dtype.name}", remedy)
    if tensor.dtype == tensorflow().int32:
        return tensor
    return tensorflow().cast(tensor, tensorflow().int64)


def _is_in_halves(numbers: Any, rank: int) -> bool:
    """Tell whether numbers are given as (low, high) pairs of uint32, `rank` being that of the numbers."""
    if getattr(numbers, "dtype", None) not in (np.dtype(np.uint32), tensorflow().uint32):
        return False
    shape = tuple(numbers.shape)
    return len(shape) == rank + 1 and shape[-1] == 2


def as_int64(numbers: Tensor) -> Tensor:
    """Return what the functions below give as int64: int32 widened, halves joined."""
    tf = tensorflow()
    if isinstance(numbers, np.ndarray) or numbers.dtype == tf.int64:
        return numbers
    return (
        tf.bitcast(numbers, tf.int64) if numbers.dtype == tf.uint32 else tf.cast(numbers, tf.int64)
    )


def _fit_int64(tensor: Tensor) -> Tensor:
    """Cast a uint64 to int64; what does not fit becomes the largest int64."""
    tf = tensorflow()
    if tensor.dtype != tf.uint64:
        return tensor
    largest = tf.constant(2**63 - 1, tf.uint64)
    return tf.cast(tf.where(tensor > largest, largest, tensor), tf.int64)


def _scalar(argument: str, value: Any, remedy: str) -> Tensor:
    tensor = _int32_or_int64(argument, _dense(argument, value), remedy)
    if not tensor.shape.is_compatible_with(()):
        raise value_error(argument, "a scalar", f"shape {tuple(tensor.shape)}", remedy)
    return tensor


def _one_per_row(
    argument: str, value: Any, rows: StaticShape, remedy: str, *, may_be_scalar: bool
) -> Tensor:
    tensor = _int32_or_int64(argument, _dense(argument, value), remedy)
    if not (may_be_scalar and static_shape(tensor) == ()):
        _check_one_per_row(argument, tensor.shape, rows, remedy)
    return tensor


def _check_one_per_row(argument: str, shape: Any, rows: StaticShape, remedy: str) -> None:
    if rows is not None and not shape.is_compatible_with(rows[:-1]):
        raise value_error(
            argument, f"one for each row, shape {rows[:-1]}", f"shape {tuple(shape)}", remedy
        )


def _on_host(scalar: int, per_row: Array | None = None) -> Int64Array:
    """Return checked numbers for TensorFlow to convert: in eager code it beats `tf.constant`."""
    return np.asarray(scalar if per_row is None else per_row, dtype=np.int64)


def budget_tensor(
    num_tokens_to_mask: Any, masking_ratio: Any, max_predictions: int | None, rows: StaticShape
) -> Tensor | None:
    """Return budgets, one for all rows or one for each; None where a ratio is given."""
    if not _is_tensor(num_tokens_to_mask):
        given = _checks.budget_scalar_or_rows(
            num_tokens_to_mask, masking_ratio, max_predictions, _assumed(rows, num_tokens_to_mask)
        )
        return None if num_tokens_to_mask is None else _on_host(*given)
    _checks.one_budget(num_tokens_to_mask, masking_ratio)
    budget = _fit_int64(_dense("num_tokens_to_mask", num_tokens_to_mask))
    return _one_per_row("num_tokens_to_mask", budget, rows, _BUDGET_REMEDY, may_be_scalar=True)


def ratio_or_none(masking_ratio: Any) -> float | None:
    """Return `masking_ratio` as a float that is known now."""
    if masking_ratio is None:
        return None
    if _is_tensor(masking_ratio):
        remedy = "pass for example 0.15; budgets that differ go into num_tokens_to_mask"
        raise type_error("masking_ratio", "a number in (0, 1]", "a tensor", remedy)
    return ratio_number(masking_ratio)


def known(argument: str, value: Any) -> Any:
    """Return a value that must be known before the graph runs, of a tensor as an array."""
    if not _is_tensor(value):
        return value
    static = tensorflow().get_static_value(_dense(argument, value))
    if static is None:
        raise type_error(
            argument, "known before the graph runs", "a tensor", "pass numbers, or a numpy array"
        )
    return static


def num_predictions(
    budget: Tensor | None, ratio_e9: int, max_predictions: int | None, rows: StaticShape
) -> int | None:
    """Return the number of positions a row, as far as it is known."""
    if max_predictions is not None:
        return max_predictions
    largest = 0 if budget is None else tensorflow().get_static_value(budget)
    if largest is None or rows is None or rows[-1] is None:
        return None
    return most_predictions(ratio_e9, int(np.max(largest, initial=0)), rows[-1])


def token_ids_tensor(
    argument: str, ids: Any, rows: StaticShape, rows_are: str = "maskable_positions"
) -> Tensor | None:
    """Return `word_ids` or `segment_ids` as int32, or as int64 with values still to be checked."""
    tf = tensorflow()
    if ids is None:
        return None
    if not _is_tensor(ids):
        is_known = rows is not None and None not in rows
        shape: Any = rows if is_known else np.shape(ids)
        return _checks.token_ids_array(argument, ids, shape, rows_are)
    tensor = _dense(argument, ids)
    if not (tensor.dtype.is_integer or tensor.dtype.is_bool):
        remedy = (
            "use -1 for tokens without a word" if argument == "word_ids" else "number the segments"
        )
        raise type_error(argument, "integers", f"dtype {tensor.dtype.name}", remedy)
    _check_one_per_token(argument, tensor, rows_are, rows)
    tensor = _fit_int64(tensor)  # and not a negative id, which would have a meaning
    return tf.cast(tensor, tf.int64 if tensor.dtype in (tf.int64, tf.uint32) else tf.int32)


def max_n_integer(max_n: Any) -> int:
    """Return `max_n` as an integer in its range."""
    return _checks.integer(_MAX_N, max_n)


def max_n_tensor(max_n: Any) -> Tensor:
    """Return `max_n` as a scalar, for the classic op."""
    if _is_tensor(max_n):
        return _scalar("max_n", max_n, _MAX_N_REMEDY)
    return _on_host(_checks.integer(_MAX_N, max_n))


def epoch_tensor(epoch: Any, rows: StaticShape) -> Tensor:
    """Return the epoch, one for all rows or one for each."""
    if _is_tensor(epoch):
        return _one_per_row("epoch", epoch, rows, _EPOCH_REMEDY, may_be_scalar=True)
    return _on_host(*_checks.epoch_scalar_or_rows(epoch, _assumed(rows, epoch)))


def seed_integer(seed: Any) -> int:
    """Return a seed that is known now."""
    if seed is None:
        raise type_error(
            "seed", "an integer", "None", "a graph would keep one draw for ever: pass a number"
        )
    return _checks.seed_or_entropy(seed)


def seed_tensor(seed: Any) -> Tensor:
    """Return the seed as a scalar, or as the pair of halves that it is."""
    if not _is_tensor(seed):
        return _on_host(seed_integer(seed))
    return seed if _is_in_halves(seed, 0) else _scalar("seed", seed, _SEED_REMEDY)


def row_ids_tensor(row_ids: Any, rows: StaticShape) -> Tensor:
    """Return one row id for each row, or a pair of halves; of a single row without the batch axis."""
    is_in_halves = _is_in_halves(row_ids, 1 if rows is None else len(rows) - 1)
    if _is_tensor(row_ids):
        if not is_in_halves:
            return _one_per_row("row_ids", row_ids, rows, _ROW_IDS_REMEDY, may_be_scalar=False)
        _check_one_per_row("row_ids", row_ids.shape[:-1], rows, _ROW_IDS_REMEDY)
        return row_ids
    if is_in_halves:
        row_ids = np.ascontiguousarray(row_ids).view(np.int64)[..., 0]
    checked = _checks.row_ids_or_none(row_ids, _assumed(rows, row_ids))
    assert checked is not None  # row_ids is not None: for the type checker
    return _on_host(0, checked.reshape(np.shape(row_ids)))
