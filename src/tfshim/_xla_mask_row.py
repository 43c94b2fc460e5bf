# SPDX-License-Identifier: Apache-2.0
"""Sections 4 and 5 of docs/algorithm.md for all rows of a batch at once, as TensorFlow operations of static shape.

Owns the choice of tokens of the XLA implementation; the step names are those of maskcore. The number of steps depends on shapes and
on what is known of the budget, never on a draw. Rows are the last axis. Knows nothing of dtypes or of `tf.function`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfshim._tensorflow import Tensor, tensorflow
from tfshim._xla_bits import (
    ALL,
    ONE,
    WORD_BITS,
    ZERO,
    as_int32,
    as_uint32,
    count,
    count_upto,
    exclusive_sum,
    for_each,
    last_one,
    look_up,
    move_down,
    move_up,
    num_ones,
    place_of,
    select,
    set_ones,
    spread_down,
    spread_up,
    words_for,
)
from tfshim._xla_philox import (
    PIECE_LENGTH,
    SPAN_ORDER,
    Address,
    blocks_for,
    draw_blocks,
    mulhi,
    words_of,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a program is made for, beside the shapes of its inputs."""

    length: int
    """Tokens of a row."""
    thresholds: tuple[int, ...]
    """Of the piece lengths: section 3."""
    num_parts: int
    """The largest `most_parts` of all budgets: how many steps are made."""
    ratio_e9: int
    """The ratio in units of 1e-9; 0 where budgets are given."""
    budget_cap: int
    """The largest budget that a ratio may give; -1: no cap."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as bits, (W, B) uint32; None where there are no words, or no segments."""

    maskable: Tensor
    word_starts: Tensor | None
    """Where a unit begins; ones past the row."""
    segment_starts: Tensor | None
    """Where the segment differs from that of the token before."""


def most_parts(num_eligible: int, budget: int, *, has_words: bool) -> int:
    """Return how many parts (section 5.3) can decide a row of so many eligible tokens and this budget.

    A part that fits masks a token or more. One of which nothing fits, while nothing is masked, begins with a unit of more than
    `budget` tokens.
    """
    budget = max(0, budget)
    too_long = num_eligible // (budget + 1) if has_words and budget else 0
    return min(num_eligible, budget + too_long)


def find_eligible(rows: Rows) -> Tensor:
    """Return the eligible tokens (section 4.2)."""
    bits = tensorflow().bitwise
    if rows.word_starts is None:
        return rows.maskable
    is_inner = bits.invert(rows.word_starts)  # belongs to the unit of the token before
    spoils = bits.invert(rows.maskable)
    if rows.segment_starts is not None:
        spoils = bits.bitwise_or(spoils, bits.bitwise_and(rows.segment_starts, is_inner))
    above = spread_up(spoils, is_inner)
    below = spread_down(spoils, move_down(is_inner))
    return bits.invert(bits.bitwise_or(above, below))


def draw_piece_lengths(blocks: Tensor, thresholds: tuple[int, ...]) -> list[Tensor]:
    """Return the lengths of the pieces, (N, B) int32 eight times: entry j of row i is piece 8 i + j."""
    tf = tensorflow()
    low = tf.bitwise.bitwise_and(blocks, np.uint32(0xFFFF))
    high = tf.bitwise.right_shift(blocks, np.uint32(16))
    lengths = _piece_length(as_int32(tf.stack([low, high], axis=2)), thresholds)
    return [lengths[:, word, half] for word in range(4) for half in range(2)]


def _piece_length(draws: Tensor, thresholds: tuple[int, ...]) -> Tensor:
    """Return 1 and the number of thresholds that each draw reaches (section 4.3)."""
    tf = tensorflow()
    if len(thresholds) <= 8:
        lengths = tf.ones_like(draws)
        for threshold in thresholds:
            lengths += tf.cast(draws >= threshold, tf.int32)
        return lengths
    table = tf.constant(thresholds, tf.int32)

    def step(number: Tensor, lengths: Tensor) -> list[Tensor]:
        return [lengths + tf.cast(draws >= table[number], tf.int32)]

    return for_each(len(thresholds), step, [tf.ones_like(draws)])[0]


def cut_pieces(blocks: Tensor, length: int, thresholds: tuple[int, ...]) -> Tensor:
    """Return the cuts (section 4.3) as bits: bit u is set where a piece begins with unit u."""
    tf = tensorflow()
    bits = tf.bitwise
    lengths = draw_piece_lengths(blocks, thresholds)
    # So many pieces go into one word of bits, wherever the longest of them may begin.
    max_n = len(thresholds) + 1
    together = next(n for n in (8, 4, 2, 1) if (n - 1) * max_n < WORD_BITS)
    patterns, totals = [], []
    for first in range(0, 8, together):
        offset = tf.zeros_like(lengths[0])
        pattern = tf.zeros_like(as_uint32(offset))
        for piece in lengths[first : first + together]:
            pattern = bits.bitwise_or(pattern, bits.left_shift(np.uint32(1), as_uint32(offset)))
            offset += piece
        patterns.append(pattern)
        totals.append(offset)
    pattern, total = _interleave(patterns), _interleave(totals)
    start = exclusive_sum(total)
    place = place_of(start)
    low = bits.left_shift(pattern, place)
    high = bits.right_shift(bits.right_shift(pattern, ONE), np.uint32(31) - place)
    both = tf.concat([start, start + WORD_BITS], axis=0)
    return set_ones(both, tf.concat([low, high], axis=0), words_for(length))


def _interleave(groups: list[Tensor]) -> Tensor:
    """Return entry j of row i of G tensors (N, B) as row G i + j of one."""
    tf = tensorflow()
    if len(groups) == 1:
        return groups[0]
    stacked = tf.stack(groups, axis=1)
    return tf.reshape(stacked, tf.stack([len(groups) * groups[0].shape[0], tf.shape(stacked)[2]]))


def cuts_of_tokens(cuts: Tensor, word_starts: Tensor) -> Tensor:
    """Move cut u to the token at which unit u begins."""
    tf = tensorflow()
    bits = tf.bitwise
    first_unit = exclusive_sum(count(word_starts))
    low, high = look_up(first_unit, cuts)
    place = place_of(first_unit)
    above = bits.left_shift(bits.left_shift(high, ONE), np.uint32(31) - place)
    return _deposit(bits.bitwise_or(bits.right_shift(low, place), above), word_starts)


def _deposit(values: Tensor, places: Tensor) -> Tensor:
    """Put bit i of each word of `values` where the i-th one of `places` is.

    H. S. Warren, "Hacker's Delight", second edition, section 7-5: expand.
    """
    bits = tensorflow().bitwise
    left, right = bits.left_shift, bits.right_shift
    mask, moves = places, []
    zeros = left(bits.invert(places), np.uint32(1))
    for step in range(5):
        parity = zeros
        for distance in (1, 2, 4, 8, 16):
            parity = bits.bitwise_xor(parity, left(parity, np.uint32(distance)))
        move = bits.bitwise_and(parity, mask)
        moves.append(move)
        mask = bits.bitwise_or(bits.bitwise_xor(mask, move), right(move, np.uint32(1 << step)))
        zeros = bits.bitwise_and(zeros, bits.invert(parity))
    for step in (4, 3, 2, 1, 0):
        moved = bits.bitwise_and(left(values, np.uint32(1 << step)), moves[step])
        values = bits.bitwise_or(bits.bitwise_and(values, bits.invert(moves[step])), moved)
    return bits.bitwise_and(values, places)


def find_candidates(rows: Rows, eligible: Tensor, cuts: Tensor) -> Tensor:
    """Return where candidate spans begin (section 4.4)."""
    bits = tensorflow().bitwise
    may_begin = bits.bitwise_or(cuts, bits.invert(move_up(eligible)))
    if rows.segment_starts is not None:
        may_begin = bits.bitwise_or(may_begin, rows.segment_starts)
    begins = bits.bitwise_and(eligible, may_begin)
    return begins if rows.word_starts is None else bits.bitwise_and(begins, rows.word_starts)


def shuffle_order(draws: Tensor, num_candidates: Tensor, first: Tensor) -> Tensor:
    """Return the first K candidates in the order they are taken (section 5.2), (K, B) int32.

    Step i exchanges the entries i and `other[i]`, and nobody reads entry i again: so what entry x holds is x itself, or what the
    last step with `other == x` put there. That is kept as a difference to x, K of them for a row instead of all candidates.
    """
    tf = tensorflow()
    num_steps = draws.shape[0]
    numbers = np.arange(num_steps, dtype=np.int32)[:, None]
    choices = as_uint32(tf.maximum(num_candidates - numbers, 0))
    other = tf.where(numbers == 0, first, numbers + as_int32(mulhi(draws, choices)))

    def step(number: Tensor, moved: Tensor, order: Tensor) -> list[Tensor]:
        place_taken = other[number]
        is_taken, is_own = other == place_taken, other == number
        taken = place_taken + tf.reduce_sum(tf.where(is_taken, moved, 0), axis=0)
        own = number + tf.reduce_sum(tf.where(is_own, moved, 0), axis=0)
        is_now = numbers == number
        moved = tf.where(is_now, own - place_taken, tf.where(is_taken, 0, moved))
        return [moved, tf.where(is_now, taken, order)]

    return for_each(num_steps, step, [tf.zeros_like(other), tf.zeros_like(other)])[1]


def budgets_from_ratio(ratio_e9: int, budget_cap: int, length: int) -> NDArray[np.int32]:
    """Return the budget (section 6) for each number of eligible tokens in 0 .. length."""
    sizes = np.arange(length + 1, dtype=object)  # integers without a bound
    rounded = np.maximum(1, (2 * ratio_e9 * sizes + 10**9) // (2 * 10**9))
    capped = rounded if budget_cap < 0 else np.minimum(rounded, budget_cap)
    budgets: NDArray[np.int32] = np.where(sizes == 0, 0, capped).astype(np.int32)
    return budgets


def choose_tokens(
    settings: Settings, address: Address, rows: Rows, budget: Tensor | None
) -> Tensor:
    """Return the masked tokens of each row as bits (section 5).

    `budget` is (B,) int32; None where the settings hold a ratio.
    """
    tf = tensorflow()
    bits = tf.bitwise
    eligible = find_eligible(rows)
    num_eligible = num_ones(eligible)
    if budget is None:
        table = budgets_from_ratio(settings.ratio_e9, settings.budget_cap, settings.length)
        budget = tf.gather(table, num_eligible)
    drawn = draw_blocks(
        address,
        {
            PIECE_LENGTH: -(-settings.length // 8),
            SPAN_ORDER: blocks_for(settings.num_parts),
        },
    )
    cuts = cut_pieces(drawn[PIECE_LENGTH], settings.length, settings.thresholds)
    if rows.word_starts is not None:
        cuts = cuts_of_tokens(cuts, rows.word_starts)
    begins = find_candidates(rows, eligible, cuts)
    num_candidates = num_ones(begins)
    # The last token of each candidate: the next one is not eligible, or begins another.
    goes_on = bits.bitwise_and(eligible, bits.invert(begins))
    ends = bits.bitwise_and(eligible, bits.invert(move_down(goes_on)))

    draws = words_of(drawn[SPAN_ORDER], settings.num_parts)
    anchor = select(eligible, as_int32(mulhi(draws[:1], as_uint32(num_eligible))))
    if rows.word_starts is not None:
        anchor = last_one(rows.word_starts, anchor)

    # The parts: the tail, the other candidates, the head; empty ones after it.
    numbers = np.arange(settings.num_parts, dtype=np.int32)[:, None]
    order = shuffle_order(draws, num_candidates, count_upto(begins, anchor) - 1)
    bounds = select(tf.concat([begins, ends], axis=1), tf.concat([order, order], axis=1))
    start, last = tf.split(bounds, 2, axis=1)
    is_head = numbers == num_candidates
    stop = tf.where(is_head, anchor, last + 1)
    start = tf.where(numbers == 0, anchor, tf.where(is_head, start[:1], start))
    size = tf.where(numbers > num_candidates, 0, stop - start)

    remaining = tf.minimum(budget, num_eligible)
    counted = size
    if rows.word_starts is not None:
        fitting = fit_units(rows.word_starts, start, size, remaining)
        is_before_any = exclusive_sum(fitting) + fitting == 0
        counted = tf.where(is_before_any, 0, size)
    masked = fit_units(rows.word_starts, start, size, remaining - exclusive_sum(counted))
    return between(start, masked, settings.length)


def fit_units(unit_starts: Tensor | None, start: Tensor, size: Tensor, remaining: Tensor) -> Tensor:
    """Return how many tokens the units of each part have that fit `remaining`, from its start on."""
    tf = tensorflow()
    fitting = tf.minimum(size, tf.maximum(remaining, 0))
    if unit_starts is None:
        return fitting
    whole_units = last_one(unit_starts, start + fitting) - start
    return tf.where(fitting < size, whole_units, size)


def between(start: Tensor, size: Tensor, length: int) -> Tensor:
    """Return the tokens of spans as bits; spans do not overlap."""
    tf = tensorflow()
    bits = tf.bitwise

    positions = tf.concat([start, start + size], axis=1)
    ones = bits.left_shift(ONE, place_of(positions))
    is_there = tf.concat([size, size], axis=1) > 0
    ends = set_ones(positions, tf.where(is_there, ones, ZERO), words_for(length))
    # One where the number of ends at or below a position is odd.
    inside = bits.bitwise_xor(*tf.split(ends, 2, axis=1))
    for distance in (1, 2, 4, 8, 16):
        inside = bits.bitwise_xor(inside, bits.left_shift(inside, np.uint32(distance)))
    num_open = exclusive_sum(as_int32(bits.right_shift(inside, np.uint32(31))))
    is_open = bits.bitwise_and(as_uint32(num_open), ONE)
    return bits.bitwise_xor(inside, tf.where(is_open == ONE, ALL, ZERO))
