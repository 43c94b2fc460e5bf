# SPDX-License-Identifier: Apache-2.0
"""What a backend is given: integers, and arrays that are ready to use.

Owns the border between the public functions and the backends. Everything here has been checked: backends check nothing
and convert nothing. A backend is one function, `mask_rows(call)`, that fills `call`'s outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SpanParams:
    """How spans are chosen: the integers of docs/algorithm.md, sections 3 and 6."""

    length_thresholds: NDArray[np.uint32]  # max_n - 1 values in [0, 2**16]
    length_thresholds_bytes: bytes  # the same, for C: cheaper to reach than the buffer of an array
    ratio_e9: int  # masking_ratio in units of 1e-9; 0: budgets are given
    budget_cap: int  # max_predictions; -1: no cap


@dataclass(frozen=True, slots=True)
class TokenParams:
    """What is written at masked positions, and which ids may not be masked."""

    replacement_thresholds: tuple[int, int]  # in [0, 2**32]
    mask_id: int
    random_ids: Int32Array  # the allowed table; may be empty if nothing is replaced at random
    special_ranges: Int64Array  # shape (k, 2), inclusive ranges of ids that are never masked
    ignore_index: int
    largest_id: int  # of mask_id and random_ids: what the dtype of the ids must hold


@dataclass(slots=True)
class MaskCall:
    """One batch of rows, all inputs C-contiguous, and the outputs to fill (None: not wanted).

    Shapes: B rows of L tokens; `maskable` and `mask` of a single row may be (L,), see `with_batch_axes`. `maskable` is
    None only when `input_ids` and special ranges say what may be masked.
    """

    span_params: SpanParams
    seed: int
    num_rows: int
    row_length: int
    maskable: Array | None  # (B, L) bool, integer, float32, float64
    budget: int  # for every row, where `budgets` is None
    epoch: int  # for every row, where `epochs` is None
    word_ids: Int32Array | None = None  # (B, L)
    segment_ids: Int32Array | None = None  # (B, L)
    budgets: Int64Array | None = None  # (B,)
    row_ids: Int64Array | None = None  # (B,); None: first_row_id, first_row_id + 1, ...
    epochs: Int64Array | None = None  # (B,)
    num_threads: int = 1
    first_row_id: int = 0

    # Not in __init__: what is not wanted costs a single row nothing.
    token_params: TokenParams | None = field(init=False, default=None)
    input_ids: Array | None = field(init=False, default=None)  # (B, L) int16, int32, int64

    mask: Array | None = field(init=False, default=None)  # (B, L), the dtype of `maskable`
    positions: Int32Array | None = field(init=False, default=None)  # (B, P)
    weights: NDArray[np.float32] | None = field(init=False, default=None)  # (B, P)
    span_numbers: Int32Array | None = field(init=False, default=None)  # (B, L)
    # (B, L), the dtype of `input_ids`; may be `input_ids` itself
    masked_ids: Array | None = field(init=False, default=None)
    # (B, L), the dtype of `input_ids` or int32
    labels: Array | None = field(init=False, default=None)
    prediction_ids: Array | None = field(init=False, default=None)  # (B, P), as `input_ids`

    def with_batch_axes(self) -> MaskCall:
        """Give a single row its batch axis, for backends that index rows; C needs none."""
        if self.maskable is not None and self.maskable.ndim == 1:
            self.maskable = self.maskable[np.newaxis]
        if self.mask is not None and self.mask.ndim == 1:
            self.mask = self.mask[np.newaxis]
        return self
