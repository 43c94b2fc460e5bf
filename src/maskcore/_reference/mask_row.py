# SPDX-License-Identifier: Apache-2.0
"""One row of docs/algorithm.md, sections 4 to 7, as plainly as Python can say it.

Owns the readable specification and test oracle: lists and integers only. Knows nothing of arrays, batches or dispatch.
The step names are those of csrc/ and _numba/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from maskcore._call import TokenParams
from maskcore._reference.philox import (
    PIECE_LENGTH,
    RANDOM_ID,
    REPLACEMENT,
    SPAN_ORDER,
    Address,
    halfword,
    mulhi,
    word,
)


class Unit(NamedTuple):
    """Adjacent tokens [start, stop) that are masked together or not at all."""

    start: int
    stop: int
    is_eligible: bool


def find_units(
    maskable: Sequence[bool],
    word_ids: Sequence[int] | None,
    segment_ids: Sequence[int] | None,
) -> list[Unit]:
    """Cut the row into units (section 4.1, 4.2)."""
    length = len(maskable)
    starts = [
        t
        for t in range(length)
        if word_ids is None or t == 0 or word_ids[t] < 0 or word_ids[t] != word_ids[t - 1]
    ]
    units = []
    for start, stop in zip(starts, [*starts[1:], length], strict=False):
        is_eligible = all(maskable[start:stop]) and (
            segment_ids is None or len(set(segment_ids[start:stop])) == 1
        )
        units.append(Unit(start, stop, is_eligible))
    return units


def draw_piece_length(address: Address, piece: int, thresholds: Sequence[int]) -> int:
    """Return how many units piece number `piece` has (section 4.3)."""
    draw = halfword(address, PIECE_LENGTH, piece)
    return 1 + sum(draw >= threshold for threshold in thresholds)


def cut_pieces(address: Address, num_units: int, thresholds: Sequence[int]) -> set[int]:
    """Return the unit numbers at which a piece begins."""
    cuts, unit, piece = set(), 0, 0
    while unit < num_units:
        cuts.add(unit)
        unit += draw_piece_length(address, piece, thresholds)
        piece += 1
    return cuts


def find_candidates(
    units: Sequence[Unit], cuts: set[int], segment_ids: Sequence[int] | None
) -> list[list[int]]:
    """Return the candidate spans as lists of unit numbers (section 4.4)."""
    candidates: list[list[int]] = []
    for number, unit in enumerate(units):
        if not unit.is_eligible:
            continue
        begins = (
            number == 0
            or not units[number - 1].is_eligible
            or number in cuts
            or (segment_ids is not None and segment_ids[unit.start] != segment_ids[unit.start - 1])
        )
        if begins:
            candidates.append([])
        candidates[-1].append(number)
    return candidates


def choose_anchor(address: Address, units: Sequence[Unit], num_eligible: int) -> int:
    """Return the number of the unit that holds the anchor token (section 5.1)."""
    anchor = mulhi(word(address, SPAN_ORDER, 0), num_eligible)
    for number, unit in enumerate(units):
        if unit.is_eligible:
            anchor -= unit.stop - unit.start
            if anchor < 0:
                return number
    raise AssertionError("unreachable: the anchor is below the number of eligible tokens")


def shuffle_order(address: Address, num_candidates: int, first: int) -> list[int]:
    """Return the candidates' numbers in the order they are taken (section 5.2)."""
    order = list(range(num_candidates))
    order[0], order[first] = order[first], order[0]
    for step in range(1, num_candidates):
        other = step + mulhi(word(address, SPAN_ORDER, step), num_candidates - step)
        order[step], order[other] = order[other], order[step]
    return order


def mask_row(
    address: Address,
    units: Sequence[Unit],
    candidates: Sequence[Sequence[int]],
    budget: int,
) -> list[int]:
    """Return the masked positions in ascending order (section 5)."""
    num_eligible = sum(unit.stop - unit.start for unit in units if unit.is_eligible)
    remaining = min(budget, num_eligible)
    if remaining <= 0:
        return []
    anchor = choose_anchor(address, units, num_eligible)
    first = next(c for c, candidate in enumerate(candidates) if anchor in candidate)
    order = shuffle_order(address, len(candidates), first)
    tail = [number for number in candidates[first] if number >= anchor]
    head = [number for number in candidates[first] if number < anchor]

    masked: list[int] = []
    for part in [tail, *(candidates[c] for c in order[1:]), head]:
        for number in part:
            unit = units[number]
            if unit.stop - unit.start > remaining:
                if masked:
                    return sorted(masked)
                break
            masked.extend(range(unit.start, unit.stop))
            remaining -= unit.stop - unit.start
    return sorted(masked)


def number_spans(
    masked: Sequence[int], units: Sequence[Unit], candidates: Sequence[Sequence[int]]
) -> dict[int, int]:
    """Return {masked position: span number}, from 1 on (section 7)."""
    begins = {units[candidate[0]].start for candidate in candidates}
    numbers: dict[int, int] = {}
    current = 0
    for position in masked:
        if position in begins or position - 1 not in numbers:
            current += 1
        numbers[position] = current
    return numbers


def budget_from_ratio(ratio_e9: int, num_eligible: int) -> int:
    """Return the number of tokens to mask (section 6)."""
    if num_eligible == 0:
        return 0
    return max(1, (2 * ratio_e9 * num_eligible + 10**9) // (2 * 10**9))


def replace_token(address: Address, position: int, token: int, params: TokenParams) -> int:
    """Return what is written at a masked position (section 7)."""
    draw = word(address, REPLACEMENT, position)
    outcome = 1 + sum(draw >= threshold for threshold in params.replacement_thresholds)
    if outcome == 1:
        return params.mask_id
    if outcome == 2:
        place = mulhi(word(address, RANDOM_ID, position), len(params.random_ids))
        return int(params.random_ids[place])
    return token
