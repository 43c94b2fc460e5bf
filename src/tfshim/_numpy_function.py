# SPDX-License-Identifier: Apache-2.0
"""The implementation by `tf.numpy_function`, for a TensorFlow that cannot load the op.

One call of maskcore for each batch, in Python. Owns the counter of its classic call. A graph with
it cannot be saved or sent to another process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskcore
from maskcore._call import Array, Int64Array
from maskcore.tokens import MaskedTokens, PredictionTokens, labels_dtype
from tfshim._arguments import as_int64
from tfshim._call import AddressedCall, ClassicCall, TokensCall
from tfshim._tensorflow import Tensor, tensorflow

__all__ = ["mask_rows", "mask_rows_anew", "mask_tokens", "why_missing"]

# The counters of the ops begin at 0 and at 2**62 (csrc/get_masking_position_op.cpp): none of the
# three reaches another.
_FIRST_ROW_ID = 2**61


class _RowCounter:
    def __init__(self, first: int) -> None:
        self._next = first
        self._lock = threading.Lock()

    def take(self, num_rows: int) -> NDArray[np.int64]:
        with self._lock:
            first = self._next
            self._next += num_rows
        return np.arange(first, first + num_rows, dtype=np.int64)


_rows = _RowCounter(_FIRST_ROW_ID)


def why_missing() -> str:
    """Return an empty text: it can always run."""
    return ""


def mask_rows(call: AddressedCall) -> Tensor:
    """Return the mask of `call`, in the dtype of its rows."""
    options = _options(call)

    def mask(arguments: dict[str, Any]) -> Array:
        return maskcore.mask_positions(**arguments, **options)

    assert call.maskable is not None  # but in a TokensCall: for the type checker
    return _run_like(call.maskable, mask, _tensors(call))


def mask_tokens(call: TokensCall) -> MaskedTokens | PredictionTokens:
    """Return the masked ids of `call`, and what to predict."""
    tf = tensorflow()
    call = call.of_plain_columns()
    params = call.params
    options = _options(call.choice) | {
        "mask_id": params.mask_id,
        "random_ids": _frozen(params.random_ids),
        "replacement": call.replacement,
        "special_ids": _frozen(_ids_in_ranges(params.special_ranges)),
        "ignore_index": params.ignore_index,
        "output": call.output,
    }

    def mask(arguments: dict[str, Any]) -> tuple[Array, ...]:
        return maskcore.mask_tokens(**arguments, **options)

    dtype = call.input_ids.dtype
    tensors = {"input_ids": call.input_ids} | _tensors(call.choice)
    if call.output == "labels":
        labels = tf.as_dtype(labels_dtype(params.ignore_index, dtype.as_numpy_dtype))
        return MaskedTokens(*_run(mask, tensors, [dtype, labels]))
    return PredictionTokens(*_run(mask, tensors, [dtype, tf.int32, dtype, tf.float32]))


def mask_rows_anew(call: ClassicCall) -> Tensor:
    """Return a new mask at every run, in the dtype of the rows."""

    def mask(arguments: dict[str, Any]) -> Array:
        maskable = arguments["maskable"]
        is_one_row = maskable.ndim == 1
        row_ids = _rows.take(1 if is_one_row else maskable.shape[0])
        return maskcore.mask_positions(
            maskable,
            arguments["budget"],
            max_n=int(arguments["max_n"]),
            seed=call.seed,
            row_ids=row_ids[0] if is_one_row else row_ids,
        )

    tensors = {"maskable": call.maskable, "budget": call.budget, "max_n": call.max_n}
    return _run_like(call.maskable, mask, tensors, is_stateful=True)


def _tensors(call: AddressedCall) -> dict[str, Tensor]:
    """Return the tensors of a call under the names of maskcore's arguments."""
    given = {
        "maskable_positions": call.maskable,
        "num_tokens_to_mask": call.budget,
        "word_ids": call.word_ids,
        "segment_ids": call.segment_ids,
        "seed": as_int64(call.seed),
        "epoch": call.epoch,
        "row_ids": as_int64(call.row_ids),
    }
    return {name: tensor for name, tensor in given.items() if tensor is not None}


def _options(call: AddressedCall) -> dict[str, Any]:
    return {
        "max_n": call.max_n,
        "ngram_weights": call.ngram_weights,
        "masking_ratio": call.masking_ratio,
        "max_predictions": call.max_predictions,
    }


def _frozen(ids: Array) -> Array | tuple[()]:
    """Return ids that nobody can change, so that maskcore checks them once and not at each call."""
    return np.frombuffer(ids.tobytes(), ids.dtype) if ids.size else ()


def _ids_in_ranges(ranges: Int64Array) -> Int64Array:
    pieces = [np.arange(first, last + 1) for first, last in ranges.tolist()]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def _run_like(
    rows: Tensor,
    mask: Callable[[dict[str, Any]], Any],
    tensors: dict[str, Tensor],
    *,
    is_stateful: bool = False,
) -> Tensor:
    """Run `mask`, whose result has the shape and dtype of `rows`."""
    output = _run(mask, tensors, rows.dtype, is_stateful=is_stateful)
    output.set_shape(rows.shape)
    return output


def _run(
    mask: Callable[[dict[str, Any]], Any],
    tensors: dict[str, Tensor],
    types: Any,
    *,
    is_stateful: bool = False,
) -> Any:
    """Run `mask` on the values of `tensors`; `types` are those of its results."""
    tf = tensorflow()

    def on_arrays(*arrays: Array) -> Any:
        return mask(dict(zip(tensors, arrays, strict=True)))

    try:
        return tf.numpy_function(on_arrays, list(tensors.values()), types, stateful=is_stateful)
    except ValueError as error:  # in eager code, where TensorFlow does not translate it
        raise tf.errors.InvalidArgumentError(None, None, str(error)) from error
