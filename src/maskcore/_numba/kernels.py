# SPDX-License-Identifier: Apache-2.0
"""Everything that Numba compiles: docs/algorithm.md, sections 2 to 7, over ranges of rows.

Owns the compiled loops, with the step names of `_reference` and `csrc`. Knows nothing of
`MaskCall`, dtypes of masks or threads. All of it is one file, since Numba tells stale machine code
in its cache by the time stamp of the outermost function's file alone.

Types: draws, counters and keys are uint64 below 2**32, so that a product of two is exact; positions
and counts are int64; flags are uint8, 0 or 1. Nothing is allocated here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numba import njit

from maskcore._call import Array, Int32Array, Int64Array
from maskcore._numba.arrays import (
    PIECES_PER_FILL,
    SHORT_SPAN,
    STEPS_PER_FILL,
    SUM_WIDTH,
    Address,
    BatchInput,
    BatchOutput,
    Scratch,
    TokenInput,
    TokenOutput,
)

__all__ = ["clear_special", "mask_rows", "philox4x32_10", "write_tokens"]

# Salmon et al., SC 2011, table 2 and section 3.3.
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
U32 = np.uint64(0xFFFFFFFF)
BITS_32 = np.uint64(32)
LOW_HALF, HALF_BITS = np.uint32(0xFFFF), np.uint32(16)

# docs/algorithm.md, section 2, shifted to their place above the block number.
PIECE_LENGTH, SPAN_ORDER = np.uint64(1 << 24), np.uint64(2 << 24)
REPLACEMENT, RANDOM_ID = np.uint64(3 << 24), np.uint64(4 << 24)

RATIO_UNIT = np.uint64(10**9)
NO, YES = np.uint8(0), np.uint8(1)
ONE, TWO = np.uint64(1), np.uint64(2)

Int: TypeAlias = Any  # an int64 when compiled; in a checker's eyes int and np.int64 differ
Word: TypeAlias = Any  # an uint64 below 2**32
Function = TypeVar("Function", bound=Callable[..., Any])

# Without `_nrt` every use of a scratch array counts a reference, atomically, and a row takes more
# than twice the time.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def step(function: Function) -> Function:
    """Compile a step into the kernels that call it (Philox is vectorised only where inlined)."""
    compiled: Function = njit(forceinline=True, **_OPTIONS)(function)
    return compiled


def kernel(function: Function) -> Function:
    """Compile a function that Python calls, and keep the machine code."""
    compiled: Function = njit(cache=True, **_OPTIONS)(function)
    return compiled


@step
def philox_round(  # noqa: PLR0917  # counter and key, as Random123 has them
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word, Word, Word]:
    """Return counter and key after one round."""
    product_0, product_1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
    c0 = (product_1 >> BITS_32) ^ c1 ^ k0
    c2 = (product_0 >> BITS_32) ^ c3 ^ k1
    return c0, product_1 & U32, c2, product_0 & U32, (k0 + WEYL_0) & U32, (k1 + WEYL_1) & U32


@step
def philox4x32_10(  # noqa: PLR0917  # counter and key, as Random123 has them
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """Return the four words of one block.

    The rounds are written out: LLVM does not vectorise a loop over blocks with a loop inside.
    """
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@step
def row_address(seed: np.uint64, row_id: Int, epoch: Int) -> Address:
    """Return the address of a row's draws."""
    row = np.uint64(row_id)
    return Address(seed & U32, seed >> BITS_32, row & U32, row >> BITS_32, np.uint64(epoch))


@step
def draw_blocks(address: Address, purpose: Word, first_block: Int, words: Array) -> None:
    """Fill `words` with the draws from block `first_block` on, four a block."""
    for b in range(words.shape[0] // 4):
        w0, w1, w2, w3 = philox4x32_10(
            purpose | np.uint64(first_block + b),
            address.row_low,
            address.row_high,
            address.epoch,
            address.key_low,
            address.key_high,
        )
        words[4 * b] = np.uint32(w0)
        words[4 * b + 1] = np.uint32(w1)
        words[4 * b + 2] = np.uint32(w2)
        words[4 * b + 3] = np.uint32(w3)


@step
def draw_word(address: Address, purpose: Word, index: Int) -> Word:
    """Return 32-bit draw `index` of the row's stream for `purpose`."""
    block = philox4x32_10(
        purpose | np.uint64(index // 4),
        address.row_low,
        address.row_high,
        address.epoch,
        address.key_low,
        address.key_high,
    )
    return block[index % 4]


@step
def mulhi(draw: Word, bound: Int) -> Int:
    """Return an int64 in [0, bound) from a 32-bit draw; bias below bound / 2**32."""
    return np.int64((np.uint64(draw) * np.uint64(bound)) >> BITS_32)


@step
def find_units(batch: BatchInput, row: Int, scratch: Scratch) -> Int:
    """Mark the insides of words, clear `eligible` where a unit is not (4.1, 4.2).

    Returns the number of units.
    """
    word_ids, segment_ids = batch.word_ids, batch.segment_ids
    eligible, inside = scratch.eligible, scratch.inside
    length = word_ids.shape[1]
    has_segments = segment_ids.shape[0] > 0
    num_units = 0
    unit_start = 0
    is_eligible = YES
    for t in range(length):
        is_inside = t > 0 and word_ids[row, t] >= 0 and word_ids[row, t] == word_ids[row, t - 1]
        inside[t] = np.uint8(is_inside)
        if is_inside:
            is_eligible &= eligible[t]
            if has_segments and segment_ids[row, t] != segment_ids[row, t - 1]:
                is_eligible = NO
        else:
            for i in range(unit_start, t):
                eligible[i] &= is_eligible
            is_eligible = eligible[t]
            unit_start = t
            num_units += 1
    for i in range(unit_start, length):
        eligible[i] &= is_eligible
    return num_units


@step
def draw_piece_length(
    address: Address, first_piece: Int, thresholds: Array, scratch: Scratch
) -> None:
    """Draw the lengths of a fill of pieces, from `first_piece` on (section 4.3)."""
    words, lengths = scratch.piece_words, scratch.piece_lengths
    draw_blocks(address, PIECE_LENGTH, first_piece // 8, words)
    for i in range(lengths.shape[0]):
        lengths[i] = np.uint32(0)
    for j in range(thresholds.shape[0]):
        for i in range(lengths.shape[0]):
            low = np.uint32((words[i] & LOW_HALF) >= thresholds[j])
            high = np.uint32((words[i] >> HALF_BITS) >= thresholds[j])
            lengths[i] += low | (high << HALF_BITS)


@step
def cut_pieces(address: Address, num_units: Int, thresholds: Array, scratch: Scratch) -> None:
    """Mark the units at which a piece begins; marks from `num_units` on mean nothing."""
    cuts, lengths = scratch.cuts, scratch.piece_lengths
    for unit in range(num_units):
        cuts[unit] = NO
    first_piece = 0
    next_cut = np.uint64(0)
    while next_cut < np.uint64(num_units):
        draw_piece_length(address, first_piece, thresholds, scratch)
        first_piece += PIECES_PER_FILL
        for i in range(lengths.shape[0]):
            cuts[next_cut] = YES
            next_cut += ONE + np.uint64(lengths[i] & LOW_HALF)
            cuts[next_cut] = YES
            next_cut += ONE + np.uint64(lengths[i] >> HALF_BITS)


@step
def move_cuts_to_tokens(length: Int, num_units: Int, scratch: Scratch) -> None:
    """Turn marks of units into marks of their first tokens."""
    cuts, inside = scratch.cuts, scratch.inside
    # From the right: a unit's number is never above its first token's, so no mark is lost.
    unit = num_units - 1
    for t in range(length - 1, -1, -1):
        is_first = inside[t] ^ YES
        cuts[t] = cuts[unit] & is_first
        unit -= np.int64(is_first)


@step
def find_candidates(batch: BatchInput, row: Int, scratch: Scratch) -> Int:
    """Mark and list the candidate spans, return their number (section 4.4)."""
    segment_ids = batch.segment_ids
    eligible, cuts, begins, ends = scratch.eligible, scratch.cuts, scratch.begins, scratch.ends
    starts, stops = scratch.starts, scratch.stops
    length = ends.shape[0]
    begins[0] = eligible[0]
    for t in range(1, length):
        begins[t] = eligible[t] & ((eligible[t - 1] ^ YES) | cuts[t])
    if segment_ids.shape[0] > 0:
        for t in range(1, length):
            is_boundary = np.uint8(segment_ids[row, t] != segment_ids[row, t - 1])
            begins[t] |= eligible[t] & is_boundary
    for t in range(length):
        ends[t] = eligible[t] & ((eligible[t + 1] ^ YES) | begins[t + 1])
    num_begun = np.uint64(0)
    num_ended = np.uint64(0)
    for t in range(length):
        starts[num_begun] = t
        stops[num_ended] = t + 1
        num_begun += np.uint64(begins[t])
        num_ended += np.uint64(ends[t])
    return np.int64(num_begun)


@step
def choose_anchor(num_eligible: Int, scratch: Scratch) -> tuple[Int, Int]:
    """Return the first token of the unit that holds the anchor, and its candidate (section 5.1)."""
    eligible, begins, inside = scratch.eligible, scratch.begins, scratch.inside
    rank = mulhi(np.uint64(scratch.order_words[0]), num_eligible)
    t = 0
    candidate = np.int64(-1)
    while True:
        num_eligible_here = np.int64(0)
        num_begun_here = np.int64(0)
        for i in range(SUM_WIDTH):
            num_eligible_here += np.int64(eligible[t + i])
            num_begun_here += np.int64(begins[t + i])
        if rank < num_eligible_here:
            break
        rank -= num_eligible_here
        candidate += num_begun_here
        t += SUM_WIDTH
    while True:
        rank -= np.int64(eligible[t])
        candidate += np.int64(begins[t])
        if rank < 0:
            break
        t += 1
    while inside[t]:
        t -= 1
    return t, candidate


@step
def shuffle_order(
    address: Address, place: Int, num_candidates: Int, scratch: Scratch
) -> tuple[Int, Int]:
    """Make step `place` of the shuffle, return [start, stop) of the candidate taken (5.2)."""
    starts, stops, words = scratch.starts, scratch.stops, scratch.order_words
    if place % STEPS_PER_FILL == 0:
        draw_blocks(address, SPAN_ORDER, place // 4, words)
    other = place + mulhi(np.uint64(words[place % STEPS_PER_FILL]), num_candidates - place)
    start, stop = np.int64(starts[other]), np.int64(stops[other])
    starts[other], stops[other] = starts[place], stops[place]  # this place is not read again
    return start, stop


@step
def mask_span(start: Int, stop: Int, mask: Array) -> None:
    """Mask the tokens [start, stop)."""
    num_tokens = stop - start
    for i in range(SHORT_SPAN):
        mask[start + i] |= np.uint8(i < num_tokens)
    for t in range(start + SHORT_SPAN, stop):
        mask[t] |= YES  # without `|` it becomes a call of memset, which costs more than a span


@step
def mask_part(start: Int, stop: Int, remaining: Int, scratch: Scratch) -> tuple[Int, bool]:
    """Mask the units of [start, stop) that fit.

    Returns what remains of the budget, and whether all units did fit.
    """
    mask, inside = scratch.mask, scratch.inside
    if stop - start <= remaining:
        mask_span(start, stop, mask)
        return remaining - (stop - start), True
    while True:
        unit_stop = start + 1
        while inside[unit_stop]:
            unit_stop += 1
        if unit_stop - start > remaining:
            return remaining, False
        mask_span(start, unit_stop, mask)
        remaining -= unit_stop - start
        start = unit_stop


@step
def mask_row(
    address: Address, budget: Int, num_eligible: Int, num_candidates: Int, scratch: Scratch
) -> None:
    """Mask at most `budget` > 0 tokens of the row (section 5)."""
    starts, stops = scratch.starts, scratch.stops
    draw_blocks(address, SPAN_ORDER, 0, scratch.order_words)
    anchor, candidate = choose_anchor(num_eligible, scratch)
    head, tail_stop = np.int64(starts[candidate]), np.int64(stops[candidate])
    starts[candidate], stops[candidate] = starts[0], stops[0]
    remaining = budget
    for place in range(num_candidates + 1):
        if place == 0:
            start, stop = anchor, tail_stop
        elif place < num_candidates:
            start, stop = shuffle_order(address, place, num_candidates, scratch)
        else:
            start, stop = head, anchor
        remaining, fits = mask_part(start, stop, remaining, scratch)
        if remaining == 0 or (not fits and remaining < budget):
            break


@step
def budget_from_ratio(ratio_e9: Int, num_eligible: Int) -> Int:
    """Return the number of tokens to mask of `num_eligible` > 0 (section 6)."""
    twice = TWO * np.uint64(ratio_e9) * np.uint64(num_eligible) + RATIO_UNIT
    return max(np.int64(1), np.int64(twice // (TWO * RATIO_UNIT)))


@step
def row_budget(batch: BatchInput, row: Int, num_eligible: Int) -> Int:
    """Return how many tokens of the row to mask."""
    if num_eligible == 0:
        return np.int64(0)
    if batch.ratio_e9 == 0:
        return min(batch.budgets[row], num_eligible)
    budget = budget_from_ratio(batch.ratio_e9, num_eligible)
    return budget if batch.budget_cap < 0 else min(budget, batch.budget_cap)


@step
def list_positions(positions: Int32Array, weights: Array, row: Int, scratch: Scratch) -> None:
    """Write the masked positions in ascending order and their weights, then zeros (section 7)."""
    num_masked = 0
    for t in range(scratch.ends.shape[0]):
        if scratch.mask[t]:
            positions[row, num_masked] = t
            weights[row, num_masked] = np.float32(1.0)
            num_masked += 1
    for i in range(num_masked, positions.shape[1]):
        positions[row, i] = np.int32(0)
        weights[row, i] = np.float32(0.0)


@step
def number_spans(span_numbers: Int32Array, row: Int, scratch: Scratch) -> None:
    """Write the number of each masked token's span, from 1 on (section 7)."""
    current = np.int32(0)
    previous = NO
    for t in range(span_numbers.shape[1]):
        is_masked = scratch.mask[t]
        current += np.int32(is_masked & (scratch.begins[t] | (previous ^ YES)))
        span_numbers[row, t] = current * np.int32(is_masked)
        previous = is_masked


@kernel
def mask_rows(batch: BatchInput, output: BatchOutput, scratch: Scratch) -> None:
    """Fill `output` row by row."""
    length = batch.maskable.shape[1]
    has_words = batch.word_ids.shape[0] > 0
    for row in range(batch.maskable.shape[0]):
        for t in range(length):
            scratch.mask[t] = NO
            scratch.eligible[t] = batch.maskable[row, t]
        num_units = find_units(batch, row, scratch) if has_words else length
        num_eligible = np.int64(0)
        for t in range(length):
            num_eligible += np.int64(scratch.eligible[t])
        budget = row_budget(batch, row, num_eligible)
        if budget > 0:
            address = row_address(batch.seed, batch.row_ids[row], batch.epochs[row])
            cut_pieces(address, num_units, batch.length_thresholds, scratch)
            if has_words:
                move_cuts_to_tokens(length, num_units, scratch)
            num_candidates = find_candidates(batch, row, scratch)
            mask_row(address, budget, num_eligible, num_candidates, scratch)
        for t in range(length):
            output.mask[row, t] = scratch.mask[t]
        if output.positions.shape[0] > 0:
            list_positions(output.positions, output.weights, row, scratch)
        if output.span_numbers.shape[0] > 0:
            number_spans(output.span_numbers, row, scratch)


@kernel
def clear_special(input_ids: Array, special_ranges: Int64Array, maskable: Array) -> None:
    """Clear `maskable` where an id lies in one of the inclusive ranges."""
    for row in range(maskable.shape[0]):
        for j in range(special_ranges.shape[0]):
            low, high = special_ranges[j, 0], special_ranges[j, 1]
            for t in range(maskable.shape[1]):
                token = np.int64(input_ids[row, t])
                maskable[row, t] &= np.uint8(token < low or token > high)


@step
def replace_token(address: Address, position: Int, token: Int, tokens: TokenInput) -> Int:
    """Return what is written at a masked position (section 7)."""
    draw = draw_word(address, REPLACEMENT, position)
    if draw < tokens.mask_below:
        return tokens.mask_id
    if draw < tokens.random_below:
        random_ids = tokens.random_ids
        choice = mulhi(draw_word(address, RANDOM_ID, position), random_ids.shape[0])
        return np.int64(random_ids[choice])
    return token


@kernel
def write_tokens(tokens: TokenInput, output: TokenOutput) -> None:
    """Fill `output` from the finished mask."""
    masked_ids, labels, prediction_ids = output.masked_ids, output.labels, output.prediction_ids
    for row in range(tokens.mask.shape[0]):
        address = row_address(tokens.seed, tokens.row_ids[row], tokens.epochs[row])
        num_masked = 0
        for t in range(tokens.mask.shape[1]):
            token = np.int64(tokens.input_ids[row, t])
            replaced = token
            if tokens.mask[row, t]:
                replaced = replace_token(address, t, token, tokens)
                if prediction_ids.shape[0] > 0:
                    prediction_ids[row, num_masked] = token
                num_masked += 1
            if labels.shape[0] > 0:
                labels[row, t] = token if tokens.mask[row, t] else tokens.ignore_index
            if masked_ids.shape[0] > 0:
                masked_ids[row, t] = replaced
        for i in range(num_masked, prediction_ids.shape[1]):
            prediction_ids[row, i] = 0
