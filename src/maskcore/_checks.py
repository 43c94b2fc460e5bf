# SPDX-License-Identifier: Apache-2.0
"""The one validation: from what a user passes to arrays and integers that a backend can take.

Owns every constraint on arguments and its wording. Knows nothing of the algorithm or of backends.
"""

from __future__ import annotations

import math
import operator
import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskcore._call import Array, Int32Array, Int64Array
from maskcore.errors import type_error, value_error

MAX_ROW_LENGTH = 2**26


@dataclass(frozen=True, slots=True)
class IntegerRange:
    """What one integer argument may be, and what its errors say."""

    argument: str
    low: int
    stop: float
    """The first integer past the range; math.inf where there is none."""
    bounds: str
    remedy: str


SEED = IntegerRange("seed", 0, 2**63, "in [0, 2**63)", "pass a number, the same for all epochs")
_EPOCH = IntegerRange(
    "epoch", 0, 2**31, "in [0, 2**31)", "pass the number of the pass over the data"
)
_ROW_IDS = IntegerRange("row_ids", 0, 2**63, "in [0, 2**63)", "pass the ids stored with the rows")
_BUDGET = IntegerRange(
    "num_tokens_to_mask",
    0,
    math.inf,
    ">= 0",
    "pass 0 to mask nothing; more than maskable masks all",
)
_MAX_PREDICTIONS = IntegerRange(
    "max_predictions", 1, 2**31, "in [1, 2**31)", "it is the room for positions in a row"
)
_NUM_THREADS = IntegerRange("num_threads", 1, 2**16, "in [1, 2**16)", "pass None for one thread")

_MASKABLE_DTYPES = frozenset("?bBhHiIlLqQfd")
_FLOAT_DTYPES = frozenset("fd")
_INTEGER_DTYPES = _MASKABLE_DTYPES - _FLOAT_DTYPES
_ID_DTYPES = frozenset("hilq")


def _array(argument: str, given: Any) -> Array:
    """Return `given` as an array; the error for nested lists of different lengths names the argument."""
    if type(given) is np.ndarray:
        return given
    try:
        return np.asarray(given)
    except ValueError:
        raise value_error(
            argument, "rectangular", "rows of different lengths", "pad the rows to one length"
        ) from None


_IS_PLAIN = 0x0101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


def plain_array(array: Array, dtype: Any = None) -> Array:
    """Return `array` C-contiguous and aligned, as the C ABI takes it."""
    if dtype is None and array.flags.num & _IS_PLAIN == _IS_PLAIN:
        return array
    return np.require(array, dtype, ("C", "A"))


def rows_array(argument: str, array: Any, dtypes: frozenset[str], described: str) -> Array:
    """Return `array` as a native-endian, plain array of shape (L,) or (B, L)."""
    given = array if type(array) is np.ndarray else _array(argument, array)
    if type(array) is list and given.size == 0:
        given = given.astype(np.int64)  # an empty list says nothing of its dtype
    dtype = given.dtype
    if dtype.char not in dtypes:
        raise type_error(argument, described, f"dtype {dtype}", "convert it first")
    if given.ndim not in (1, 2):
        raise value_error(
            argument,
            "of shape (L,) or (B, L)",
            f"shape {given.shape}",
            "pass one row, or a batch of rows",
        )
    if given.shape[-1] > MAX_ROW_LENGTH:
        raise value_error(
            argument, "rows of at most 2**26 tokens", given.shape[-1], "split longer rows"
        )
    if not dtype.isnative:
        given = given.astype(dtype.newbyteorder("="))
    return plain_array(given)


def maskable_array(maskable_positions: Any) -> Array:
    """Check `maskable_positions`: shape, dtype, and no NaN."""
    if type(maskable_positions) is np.ndarray and 1 <= maskable_positions.ndim <= 2:
        dtype = maskable_positions.dtype
        is_plain = maskable_positions.flags.num & _IS_PLAIN == _IS_PLAIN and dtype.isnative
        if (
            is_plain
            and dtype.char in _INTEGER_DTYPES
            and maskable_positions.shape[-1] <= MAX_ROW_LENGTH
        ):
            return maskable_positions  # the common case, at half the cost
    maskable = rows_array(
        "maskable_positions",
        maskable_positions,
        _MASKABLE_DTYPES,
        "bool, integer, float32 or float64",
    )
    if maskable.dtype.char in _FLOAT_DTYPES and np.isnan(maskable).any():
        where = tuple(int(i) for i in np.argwhere(np.isnan(maskable))[0])
        raise value_error(
            "maskable_positions", "free of NaN", f"NaN at {where}", "pass 0 or 1 for each token"
        )
    return maskable


def ids_array(input_ids: Any) -> Array:
    """Check `input_ids`: shape and a signed integer dtype of 16 to 64 bits."""
    return rows_array("input_ids", input_ids, _ID_DTYPES, "int16, int32 or int64")


def same_shape(argument: str, array: Array, other: str, shape: tuple[int, ...]) -> None:
    """Raise unless `array` has `shape`, the shape of the argument named `other`."""
    if array.shape != shape:
        raise value_error(
            argument,
            f"of the shape of {other}, {shape}",
            f"shape {array.shape}",
            "pass one for each token",
        )


def token_ids_array(
    argument: str, array: Any, shape: tuple[int, ...], rows: str = "maskable_positions"
) -> Int32Array:
    """Check `word_ids` or `segment_ids`: integers that fit int32, of the shape of `rows`."""
    given = _array(argument, array)
    if given.dtype.kind not in "iub" and given.size:
        remedy = (
            "use -1 for tokens without a word" if argument == "word_ids" else "number the segments"
        )
        raise type_error(argument, "integers", f"dtype {given.dtype}", remedy)
    same_shape(argument, given, rows, shape)
    if given.dtype.char != "i" and given.size and given.dtype.itemsize >= 4:
        low, high = int(given.min()), int(given.max())
        if low < -(2**31) or high >= 2**31:
            worst = low if low < -(2**31) else high
            raise value_error(
                argument, "in [-2**31, 2**31)", worst, "number them from 0 in each row"
            )
    return plain_array(given, np.int32)


def is_scalar(value: Any) -> bool:
    """Tell a number from one number for each row."""
    return type(value) is int or (not isinstance(value, (list, tuple)) and np.ndim(value) == 0)


def as_batch(array: Array) -> Array:
    """Return `array` with shape (B, L); one row is a batch of one."""
    return array if array.ndim == 2 else array[None]


def integer(limits: IntegerRange, value: Any) -> int:
    """Return `value` as an int within `limits`."""
    if type(value) is int and limits.low <= value < limits.stop:
        return value
    try:
        if isinstance(value, bool):
            raise TypeError  # as NumPy's are refused
        number = operator.index(value)
    except TypeError:
        raise type_error(limits.argument, "an integer", repr(value), limits.remedy) from None
    if not limits.low <= number < limits.stop:
        raise value_error(limits.argument, limits.bounds, number, limits.remedy)
    return number


def integer_per_row(limits: IntegerRange, values: Any, shape: tuple[int, ...]) -> Int64Array:
    """Return `values` as int64, one within `limits` for each row."""
    given = _array(limits.argument, values)
    if isinstance(values, (list, tuple)) and all(type(number) is int for number in values):
        # NumPy makes floats or objects of ints that fit none of its integers.
        given = given if given.dtype.kind in "iu" else np.array(values, dtype=object)
    elif given.dtype.kind not in "iu" and given.size:
        raise type_error(limits.argument, "integers", f"dtype {given.dtype}", limits.remedy)
    if given.shape != shape[:-1]:
        raise value_error(
            limits.argument,
            f"one for each row, shape {shape[:-1]}",
            f"shape {given.shape}",
            limits.remedy,
        )
    given = given.reshape(-1)
    if given.size:
        smallest, largest = int(given.min()), int(given.max())
        if smallest < limits.low or largest >= limits.stop:
            is_bad = given < limits.low if smallest < limits.low else given >= limits.stop
            row = int(np.argmax(is_bad))
            raise value_error(
                limits.argument, limits.bounds, f"{given[row]} in row {row}", limits.remedy
            )
        if largest >= 2**63:  # where there is no upper bound
            given = np.minimum(given, given.dtype.type(2**63 - 1))
    return plain_array(given, np.int64)


def seed_or_entropy(seed: Any) -> int:
    """Return `seed`, or 63 fresh bits for None."""
    return secrets.randbits(63) if seed is None else integer(SEED, seed)


def epoch_scalar_or_rows(epoch: Any, shape: tuple[int, ...]) -> tuple[int, Int64Array | None]:
    """Return (epoch, None), or (0, epochs) where one is given for each row."""
    if type(epoch) is int or is_scalar(epoch):
        return integer(_EPOCH, epoch), None
    return 0, integer_per_row(_EPOCH, epoch, shape)


def row_id_scalar_or_rows(row_ids: Any, shape: tuple[int, ...]) -> tuple[int, Int64Array | None]:
    """Return (row id, None) for a single row, or (0, row ids)."""
    if type(row_ids) is int and len(shape) == 1 and 0 <= row_ids < _ROW_IDS.stop:
        return row_ids, None
    return 0, integer_per_row(_ROW_IDS, row_ids, shape)


def row_ids_or_none(row_ids: Any, shape: tuple[int, ...]) -> Int64Array | None:
    """Return one row id for each row, or None for 0 .. B - 1."""
    return None if row_ids is None else integer_per_row(_ROW_IDS, row_ids, shape)


def one_budget(num_tokens_to_mask: Any, masking_ratio: Any) -> None:
    """Raise unless exactly one of the two is given."""
    if (num_tokens_to_mask is None) == (masking_ratio is None):
        both = "neither" if num_tokens_to_mask is None else "both"
        raise value_error(
            "num_tokens_to_mask or masking_ratio",
            "given, one of the two",
            both,
            "pass a number of tokens, or a fraction of the maskable ones",
        )


def budget_scalar_or_rows(
    num_tokens_to_mask: Any, masking_ratio: Any, max_predictions: int | None, shape: tuple[int, ...]
) -> tuple[int, Int64Array | None]:
    """Return (budget, None) or (0, budgets); (0, None) where a ratio is given."""
    is_plain = type(num_tokens_to_mask) is int and masking_ratio is None and max_predictions is None
    if is_plain and 0 <= num_tokens_to_mask <= MAX_ROW_LENGTH:
        return num_tokens_to_mask, None  # the common case, at a fraction of the cost
    one_budget(num_tokens_to_mask, masking_ratio)
    if num_tokens_to_mask is None:
        return 0, None
    budgets = None
    if is_scalar(num_tokens_to_mask):
        largest = integer(_BUDGET, num_tokens_to_mask)
        budget = min(largest, MAX_ROW_LENGTH)  # all tokens of the longest row
    else:
        budget = 0
        budgets = integer_per_row(_BUDGET, num_tokens_to_mask, shape)
        largest = int(budgets.max(initial=0))
    if max_predictions is not None and largest > max_predictions:
        raise value_error(
            "num_tokens_to_mask",
            f"at most max_predictions = {max_predictions}",
            largest,
            "raise max_predictions, or pass masking_ratio, which it caps",
        )
    return budget, budgets


def predictions_or_none(max_predictions: Any) -> int | None:
    """Return `max_predictions` as an int of at least 1, or None."""
    return None if max_predictions is None else integer(_MAX_PREDICTIONS, max_predictions)


def threads(num_threads: Any) -> int:
    """Return the number of threads; None is 1, since data loaders fork."""
    return 1 if num_threads is None else integer(_NUM_THREADS, num_threads)


def out_array(out: Any, argument: str, like: Array, dtype: np.dtype[Any]) -> Array:
    """Check an array that results are written to."""
    if type(out) is not np.ndarray or out.dtype != dtype or out.shape != like.shape:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise value_error(
            argument, f"a numpy array, {dtype} {like.shape}", got, "leave it out for a new one"
        )
    if not (out.flags.carray and out.dtype.isnative):
        raise value_error(
            argument,
            "writeable, aligned and C-contiguous",
            "an array that is not",
            "leave it out for a new one",
        )
    return out
