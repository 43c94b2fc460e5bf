# SPDX-License-Identifier: Apache-2.0
"""The reference backend: plain Python, the readable specification and test oracle.

Owns the loop over rows and the writing of outputs; `mask_row.py` holds the algorithm, `philox.py` the generator.
"""

from __future__ import annotations

from maskcore._call import MaskCall
from maskcore._reference.mask_row import (
    budget_from_ratio,
    cut_pieces,
    find_candidates,
    find_units,
    mask_row,
    number_spans,
    replace_token,
)
from maskcore._reference.philox import Address

__all__ = ["mask_rows"]


def mask_rows(call: MaskCall) -> None:
    """Fill the outputs of `call`, one row after the other."""
    call = call.with_batch_axes()
    for row in range(call.num_rows):
        _mask_one(call, row)


def _maskable(call: MaskCall, row: int) -> list[bool]:
    maskable = [True] * call.row_length
    if call.maskable is not None:
        maskable = [value != 0 for value in call.maskable[row].tolist()]
    if call.token_params is not None and call.input_ids is not None:
        special = call.token_params.special_ranges.tolist()
        for t, token in enumerate(call.input_ids[row].tolist()):
            if any(low <= token <= high for low, high in special):
                maskable[t] = False
    return maskable


def _budget(call: MaskCall, row: int, num_eligible: int) -> int:
    params = call.span_params
    if params.ratio_e9 == 0:
        return call.budget if call.budgets is None else int(call.budgets[row])
    budget = budget_from_ratio(params.ratio_e9, num_eligible)
    return budget if params.budget_cap < 0 else min(budget, params.budget_cap)


def _mask_one(call: MaskCall, row: int) -> None:
    address = Address(
        seed=call.seed,
        epoch=call.epoch if call.epochs is None else int(call.epochs[row]),
        row_id=call.first_row_id + row if call.row_ids is None else int(call.row_ids[row]),
    )
    words = None if call.word_ids is None else call.word_ids[row].tolist()
    segments = None if call.segment_ids is None else call.segment_ids[row].tolist()
    units = find_units(_maskable(call, row), words, segments)
    num_eligible = sum(unit.stop - unit.start for unit in units if unit.is_eligible)
    cuts = cut_pieces(address, len(units), call.span_params.length_thresholds.tolist())
    candidates = find_candidates(units, cuts, segments)
    masked = mask_row(address, units, candidates, _budget(call, row, num_eligible))

    if call.mask is not None:
        call.mask[row] = 0
        call.mask[row, masked] = 1
    if call.positions is not None:
        call.positions[row] = 0
        call.positions[row, : len(masked)] = masked
    if call.weights is not None:
        call.weights[row] = 0.0
        call.weights[row, : len(masked)] = 1.0
    if call.span_numbers is not None:
        call.span_numbers[row] = 0
        for position, number in number_spans(masked, units, candidates).items():
            call.span_numbers[row, position] = number
    _write_tokens(call, row, address, masked)


def _write_tokens(call: MaskCall, row: int, address: Address, masked: list[int]) -> None:
    params = call.token_params
    if params is None or call.input_ids is None:
        return
    original = call.input_ids[row].tolist()  # a copy: masked_ids may be input_ids itself
    if call.masked_ids is not None:
        call.masked_ids[row] = original
        for position in masked:
            call.masked_ids[row, position] = replace_token(
                address, position, original[position], params
            )
    if call.labels is not None:
        call.labels[row] = params.ignore_index
        for position in masked:
            call.labels[row, position] = original[position]
    if call.prediction_ids is not None:
        call.prediction_ids[row] = 0
        call.prediction_ids[row, : len(masked)] = [original[position] for position in masked]
