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
from maskcore._call import Array
from tfshim._call import AddressedCall, ClassicCall
from tfshim._tensorflow import Tensor, tensorflow

__all__ = ["mask_rows", "mask_rows_anew", "why_missing"]

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
    given = {
        "maskable_positions": call.maskable,
        "num_tokens_to_mask": call.budget,
        "word_ids": call.word_ids,
        "segment_ids": call.segment_ids,
        "seed": call.seed,
        "epoch": call.epoch,
        "row_ids": call.row_ids,
    }
    tensors = {name: tensor for name, tensor in given.items() if tensor is not None}

    def mask(*arrays: Array) -> Array:
        arguments: dict[str, Any] = dict(zip(tensors, arrays, strict=True))
        return maskcore.mask_positions(
            max_n=call.max_n, ngram_weights=call.ngram_weights, **arguments
        )

    return _run(mask, list(tensors.values()), is_stateful=False)


def mask_rows_anew(call: ClassicCall) -> Tensor:
    """Return a new mask at every run, in the dtype of the rows."""

    def mask(maskable: Array, budget: Array, max_n: Array) -> Array:
        is_one_row = maskable.ndim == 1
        row_ids = _rows.take(1 if is_one_row else maskable.shape[0])
        return maskcore.mask_positions(
            maskable,
            budget,
            max_n=int(max_n),
            seed=call.seed,
            row_ids=row_ids[0] if is_one_row else row_ids,
        )

    return _run(mask, [call.maskable, call.budget, call.max_n], is_stateful=True)


def _run(mask: Callable[..., Array], tensors: list[Tensor], is_stateful: bool) -> Tensor:
    maskable = tensors[0]
    output = tensorflow().numpy_function(mask, tensors, maskable.dtype, stateful=is_stateful)
    output.set_shape(maskable.shape)
    return output
