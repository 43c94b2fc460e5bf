# SPDX-License-Identifier: Apache-2.0
"""The Numba backend: brings a `MaskCall` into the few dtypes that the compiled loops take.

Owns conversions and threads. The algorithm is in `kernels.py`, the form of what it takes in
`arrays.py`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore._call import Array, MaskCall, TokenParams
from maskcore._numba.arrays import BatchInput, BatchOutput, TokenInput, TokenOutput, new_scratch

try:
    from maskcore._numba import kernels
except ImportError as error:
    raise ImportError(f"{error}; pip install 'maskcore[numba]'") from error

__all__ = ["mask_rows"]

MAX_THREADS = 256  # no machine gains from more, and some cannot start them


def mask_rows(call: MaskCall) -> None:
    """Fill the outputs of `call`, rows in parallel over `call.num_threads`."""
    call = call.with_batch_axes()
    mask = _mask_bytes(call)
    num_ranges = min(call.num_threads, call.num_rows, MAX_THREADS)
    if num_ranges <= 1:
        _mask_range(call, mask, 0, call.num_rows)
    else:
        edges = [call.num_rows * i // num_ranges for i in range(num_ranges + 1)]
        with ThreadPoolExecutor(num_ranges) as pool:
            jobs = [
                pool.submit(_mask_range, call, mask, first, stop) for first, stop in pairwise(edges)
            ]
            for job in jobs:
                job.result()
    if call.mask is not None and call.mask.dtype.itemsize > 1:
        np.copyto(call.mask, mask, casting="unsafe")


def _mask_bytes(call: MaskCall) -> NDArray[np.uint8]:
    """Return where the mask is made: the output itself where it has one byte for each token."""
    if call.mask is not None and call.mask.dtype.itemsize == 1:
        return call.mask.view(np.uint8)
    return np.empty((call.num_rows, call.row_length), np.uint8)


def _mask_range(call: MaskCall, mask: NDArray[np.uint8], first_row: int, stop_row: int) -> None:
    rows = slice(first_row, stop_row)
    num_rows = stop_row - first_row
    numbered = np.arange(first_row, stop_row) + call.first_row_id
    row_ids = numbered if call.row_ids is None else call.row_ids[rows]
    epochs = np.full(num_rows, call.epoch) if call.epochs is None else call.epochs[rows]
    budgets = np.full(num_rows, call.budget) if call.budgets is None else call.budgets[rows]
    params = call.span_params
    batch = BatchInput(
        maskable=_read_only(_maskable_bytes(call, rows)),
        word_ids=_rows_in(call.word_ids, rows, np.int32),
        segment_ids=_rows_in(call.segment_ids, rows, np.int32),
        budgets=_read_only(budgets),
        row_ids=_read_only(row_ids),
        epochs=_read_only(epochs),
        length_thresholds=_read_only(params.length_thresholds),
        seed=np.uint64(call.seed),
        ratio_e9=params.ratio_e9,
        budget_cap=params.budget_cap,
    )
    output = BatchOutput(
        mask=mask[rows],
        positions=_rows_out(call.positions, rows, np.int32),
        weights=_rows_out(call.weights, rows, np.float32),
        span_numbers=_rows_out(call.span_numbers, rows, np.int32),
    )
    kernels.mask_rows(batch, output, new_scratch(call.row_length))
    if call.token_params is not None and call.input_ids is not None:
        tokens = _token_input(call.token_params, call.input_ids, batch, output, rows)
        kernels.write_tokens(tokens, _token_output(call, tokens.input_ids.dtype, rows))


def _maskable_bytes(call: MaskCall, rows: slice) -> NDArray[np.uint8]:
    """Return a fresh array of 1 where a token may be masked, else 0."""
    maskable = _nonzero_bytes(call.maskable, rows, call.row_length)
    if call.token_params is not None and call.input_ids is not None:
        special = _read_only(call.token_params.special_ranges)
        if special.size:
            ids = _rows_in(call.input_ids, rows, call.input_ids.dtype)
            kernels.clear_special(ids, special, maskable)
    return maskable


def _nonzero_bytes(maskable: Array | None, rows: slice, length: int) -> NDArray[np.uint8]:
    if maskable is None:
        return np.ones((rows.stop - rows.start, length), np.uint8)
    bits = maskable[rows].view(f"u{maskable.dtype.itemsize}")
    if maskable.dtype.kind == "f":  # by bits, for a thread may be set to flush denormals to zero
        bits = np.left_shift(bits, 1)  # without the sign
    return np.asarray(bits != 0).view(np.uint8)


def _token_input(
    params: TokenParams, input_ids: Array, batch: BatchInput, output: BatchOutput, rows: slice
) -> TokenInput:
    mask_below, random_below = params.replacement_thresholds
    return TokenInput(
        mask=_read_only(output.mask),
        input_ids=_rows_in(input_ids, rows, input_ids.dtype),
        row_ids=batch.row_ids,
        epochs=batch.epochs,
        seed=batch.seed,
        mask_below=np.uint64(mask_below),
        random_below=np.uint64(random_below),
        mask_id=params.mask_id,
        random_ids=_read_only(params.random_ids),
        ignore_index=params.ignore_index,
    )


def _token_output(call: MaskCall, dtype: np.dtype[Any], rows: slice) -> TokenOutput:
    return TokenOutput(
        masked_ids=_rows_out(call.masked_ids, rows, dtype),
        labels=_rows_out(call.labels, rows, dtype),
        prediction_ids=_rows_out(call.prediction_ids, rows, dtype),
    )


def _read_only(array: Array) -> Array:
    """Return a read-only, aligned view: Numba compiles anew for each combination of the two."""
    view = np.require(array, requirements="A").view()
    view.flags.writeable = False
    return view


def _rows_in(array: Array | None, rows: slice, dtype: Any) -> Array:
    return _read_only(np.empty((0, 0), dtype) if array is None else array[rows])


def _rows_out(array: Array | None, rows: slice, dtype: Any) -> Array:
    return np.empty((0, 0), dtype) if array is None else array[rows]
