# SPDX-License-Identifier: Apache-2.0
"""The one validation: from what a user passes to arrays and integers that a backend can take.

Owns every constraint on arguments and its wording. Knows nothing of the algorithm or of backends.
"""

from __future__ import annotations

import math
import operator
import secrets
from typing import Any

import numpy as np

from maskcore._call import Array, Int32Array, Int64Array
from maskcore.errors import type_error, value_error

MAX_ROW_LENGTH = 2**26
SEED_STOP = 2**63
EPOCH_STOP = 2**31

_MASKABLE_DTYPES = frozenset("?bBhHiIlLqQfd")
_FLOAT_DTYPES = frozenset("fd")
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


def rows_array(argument: str, array: Any, dtypes: frozenset[str], described: str) -> Array:
    """Return `array` as a native-endian, C-contiguous array of shape (L,) or (B, L)."""
    given = _array(argument, array)
    if given.size == 0 and type(array) is list:
        given = given.astype(np.int64)  # an empty list says nothing of its dtype
    if given.dtype.char not in dtypes:
        raise type_error(argument, described, f"dtype {given.dtype}", "convert it first")
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
    if not given.dtype.isnative:
        given = given.astype(given.dtype.newbyteorder("="))
    return given if given.flags.c_contiguous else np.ascontiguousarray(given)


def maskable_array(maskable_positions: Any) -> Array:
    """Check `maskable_positions`: shape, dtype, and no NaN."""
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
            argument, f"of the shape of {other}, {shape}", f"shape {array.shape}", "pass one for each token"
        )


def token_ids_array(argument: str, array: Any, shape: tuple[int, ...]) -> Int32Array:
    """Check `word_ids` or `segment_ids`: integers that fit int32, of the rows' shape."""
    given = _array(argument, array)
    if given.dtype.kind not in "iub" and given.size:
        remedy = "use -1 for tokens without a word" if argument == "word_ids" else "number the segments"
        raise type_error(argument, "integers", f"dtype {given.dtype}", remedy)
    same_shape(argument, given, "maskable_positions", shape)
    if given.dtype.char != "i" and given.size and given.dtype.itemsize >= 4:
        low, high = int(given.min()), int(given.max())
        if low < -(2**31) or high >= 2**31:
            worst = low if low < -(2**31) else high
            raise value_error(argument, "in [-2**31, 2**31)", worst, "number them from 0 in each row")
    return np.ascontiguousarray(given, dtype=np.int32)


def is_scalar(value: Any) -> bool:
    """Tell a number from one number for each row."""
    return type(value) is int or np.ndim(value) == 0


def as_batch(array: Array) -> Array:
    """Return `array` with shape (B, L); one row is a batch of one."""
    return array if array.ndim == 2 else array[None]


def integer(
    argument: str, value: Any, low: int, stop: float, bounds: str, remedy: str
) -> int:
    """Return `value` as an int in [low, stop)."""
    if type(value) is int and low <= value < stop:
        return value
    try:
        number = operator.index(value)
    except TypeError:
        raise type_error(argument, "an integer", repr(value), remedy) from None
    if not low <= number < stop:
        raise value_error(argument, bounds, number, remedy)
    return number


def integer_per_row(
    argument: str, values: Any, shape: tuple[int, ...], low: int, stop: float, bounds: str, remedy: str
) -> Int64Array:
    """Return `values` as int64, one in [low, stop) for each row."""
    given = _array(argument, values)
    if given.dtype.kind not in "iu" and given.size:
        raise type_error(argument, "integers", f"dtype {given.dtype}", remedy)
    if given.shape != shape[:-1]:
        raise value_error(
            argument, f"one for each row, shape {shape[:-1]}", f"shape {given.shape}", remedy
        )
    given = given.reshape(-1)
    if given.size:
        smallest, largest = int(given.min()), int(given.max())
        if smallest < low or largest >= stop:
            is_bad = given < low if smallest < low else given >= stop
            row = int(np.argmax(is_bad))
            raise value_error(argument, bounds, f"{given[row]} in row {row}", remedy)
    if given.dtype == np.uint64:  # where there is no upper bound
        given = np.minimum(given, np.uint64(2**63 - 1))
    return np.ascontiguousarray(given, dtype=np.int64)


def seed_or_entropy(seed: Any) -> int:
    """Return `seed`, or 63 fresh bits for None."""
    if seed is None:
        return secrets.randbits(63)
    return integer("seed", seed, 0, SEED_STOP, "in [0, 2**63)", "pass None for fresh entropy")


def epoch_scalar_or_rows(epoch: Any, shape: tuple[int, ...]) -> tuple[int, Int64Array | None]:
    """Return (epoch, None), or (0, epochs) where one is given for each row."""
    bounds, remedy = "in [0, 2**31)", "pass the number of the pass over the data"
    if is_scalar(epoch):
        return integer("epoch", epoch, 0, EPOCH_STOP, bounds, remedy), None
    return 0, integer_per_row("epoch", epoch, shape, 0, EPOCH_STOP, bounds, remedy)


def row_ids_or_none(row_ids: Any, shape: tuple[int, ...]) -> Int64Array | None:
    """Return one row id for each row, or None for 0 .. B - 1."""
    if row_ids is None:
        return None
    return integer_per_row(
        "row_ids", row_ids, shape, 0, SEED_STOP, "in [0, 2**63)", "pass the ids stored with the rows"
    )


def budget_scalar_or_rows(
    num_tokens_to_mask: Any, masking_ratio: Any, max_predictions: int | None, shape: tuple[int, ...]
) -> tuple[int, Int64Array | None]:
    """Return (budget, None) or (0, budgets); (0, None) where a ratio is given."""
    if (num_tokens_to_mask is None) == (masking_ratio is None):
        both = "neither" if num_tokens_to_mask is None else "both"
        raise value_error(
            "num_tokens_to_mask or masking_ratio",
            "given, one of the two",
            both,
            "pass a number of tokens, or a fraction of the maskable ones",
        )
    if num_tokens_to_mask is None:
        return 0, None
    bounds, remedy = ">= 0", "pass 0 to mask nothing; more than maskable masks all"
    budgets = None
    if is_scalar(num_tokens_to_mask):
        budget = integer("num_tokens_to_mask", num_tokens_to_mask, 0, math.inf, bounds, remedy)
        largest = budget
        if budget > MAX_ROW_LENGTH:
            budget = MAX_ROW_LENGTH  # all tokens of the longest row
    else:
        budget = 0
        budgets = integer_per_row(
            "num_tokens_to_mask", num_tokens_to_mask, shape, 0, math.inf, bounds, remedy
        )
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
    if max_predictions is None:
        return None
    return integer(
        "max_predictions", max_predictions, 1, 2**31, "in [1, 2**31)", "it is the room for positions in a row"
    )


def threads(num_threads: Any) -> int:
    """Return the number of threads; None is 1, since data loaders fork."""
    if num_threads is None:
        return 1
    return integer("num_threads", num_threads, 1, 2**16, "in [1, 2**16)", "pass None for one thread")


def out_array(out: Any, argument: str, like: Array, dtype: np.dtype[Any]) -> Array:
    """Check an array that results are written to."""
    if type(out) is not np.ndarray or out.dtype != dtype or out.shape != like.shape:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise value_error(argument, f"a numpy array, {dtype} {like.shape}", got, "leave it out for a new one")
    if not (out.flags.writeable and out.flags.c_contiguous and out.dtype.isnative):
        raise value_error(
            argument, "writeable and C-contiguous", "an array that is not", "leave it out for a new one"
        )
    return out
