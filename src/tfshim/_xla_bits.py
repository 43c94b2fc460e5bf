# SPDX-License-Identifier: Apache-2.0
"""Flags of a row as bits: counting, selecting and searching without a branch, a gather or a scatter.

Owns rows of bits as tensors of shape (W, B) uint32: bit i of word w is position 32 w + i. Positions and ranks are int32 of shape
(N, B). Time is O(N W), memory O(N + W) a row. Knows nothing of masks.

What goes through the words is a `tf.while_loop`, also because XLA computes what a loop is given once: it copies an elementwise
expression into everything that reads it, and a chain of them grows without bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfshim._tensorflow import Tensor, tensorflow

WORD_BITS = 32
ALL, ZERO, ONE = np.uint32(0xFFFFFFFF), np.uint32(0), np.uint32(1)
_IN_WORD = np.int32(WORD_BITS - 1)


def words_for(num_positions: int) -> int:
    """Return how many words hold `num_positions` bits."""
    return -(-num_positions // WORD_BITS)


def as_uint32(numbers: Tensor) -> Tensor:
    """Return the same 32 bits as uint32."""
    return tensorflow().bitcast(numbers, "uint32")


def as_int32(numbers: Tensor) -> Tensor:
    """Return the same 32 bits as int32."""
    return tensorflow().bitcast(numbers, "int32")


def pack(flags: Tensor) -> Tensor:
    """Return flags, (B, L) bool, as bits; those past the row are zero."""
    tf = tensorflow()
    length = flags.shape[1]
    num_words = words_for(length)
    padded = tf.pad(flags, [[0, 0], [0, num_words * WORD_BITS - length]])
    in_words = tf.reshape(padded, [-1, num_words, WORD_BITS])
    places = (ONE << np.arange(WORD_BITS, dtype=np.uint32)).view(np.int32)
    packed = tf.reduce_sum(tf.where(in_words, places, np.int32(0)), axis=2)
    return as_uint32(tf.transpose(packed))


def unpack(bits: Tensor, length: int) -> Tensor:
    """Return bits as numbers 0 and 1, (B, L) uint32."""
    tf = tensorflow()
    columns = tf.transpose(bits)[:, :, None]
    places = np.arange(WORD_BITS, dtype=np.uint32)
    one_each = tf.bitwise.bitwise_and(tf.bitwise.right_shift(columns, places), ONE)
    return tf.reshape(one_each, [-1, bits.shape[0] * WORD_BITS])[:, :length]


def count(words: Tensor) -> Tensor:
    """Return the number of ones of each word, int32."""
    tf = tensorflow()
    return tf.cast(tf.raw_ops.PopulationCount(x=words), tf.int32)


def num_ones(bits: Tensor) -> Tensor:
    """Return the number of ones of each row, (B,) int32."""
    return tensorflow().reduce_sum(count(bits), axis=0)


def move_up(bits: Tensor) -> Tensor:
    """Move every bit to the next higher position; a zero comes in."""
    tf = tensorflow()
    carried = tf.bitwise.right_shift(_words_before(bits), np.uint32(31))
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(bits, ONE), carried)


def move_down(bits: Tensor) -> Tensor:
    """Move every bit to the next lower position; a zero comes in."""
    tf = tensorflow()
    carried = tf.bitwise.left_shift(words_after(bits), np.uint32(31))
    return tf.bitwise.bitwise_or(tf.bitwise.right_shift(bits, ONE), carried)


def _words_before(words: Tensor) -> Tensor:
    return tensorflow().pad(words[:-1], [[1, 0], [0, 0]])


def words_after(words: Tensor) -> Tensor:
    """Return for each word the one after it; zero for the last."""
    return tensorflow().pad(words[1:], [[0, 1], [0, 0]])


def for_each(
    num_steps: int,
    step: Callable[..., list[Tensor]],
    state: list[Tensor],
    *,
    is_reversed: bool = False,
) -> list[Tensor]:
    """Return the state after `state = step(number, *state)` for the numbers 0 .. num_steps - 1."""
    tf = tensorflow()

    def body(number: Tensor, *state: Tensor) -> list[Tensor]:
        return [number + 1, *step(num_steps - 1 - number if is_reversed else number, *state)]

    return list(tf.while_loop(lambda number, *_: number < num_steps, body, [0, *state])[1:])


def exclusive_sum(numbers: Tensor) -> Tensor:
    """Return the sum of all rows before each row of a (N, B) int32 tensor."""
    tf = tensorflow()
    rows = np.arange(numbers.shape[0], dtype=np.int32)[:, None]

    def step(row: Tensor, total: Tensor, sums: Tensor) -> list[Tensor]:
        return [total + numbers[row], tf.where(rows == row, total, sums)]

    start = [tf.zeros_like(numbers[0]), tf.zeros_like(numbers)]
    return for_each(numbers.shape[0], step, start)[1]


def spread_up(sources: Tensor, takes: Tensor) -> Tensor:
    """Add to the ones every position that takes from the one below it, as far as they take."""
    tf = tensorflow()
    bits = tf.bitwise
    rows = np.arange(sources.shape[0], dtype=np.int32)[:, None]

    def step(row: Tensor, carried: Tensor, spread: Tensor) -> list[Tensor]:
        taking = takes[row]
        word = bits.bitwise_or(sources[row], bits.bitwise_and(taking, carried))
        for distance in (1, 2, 4, 8, 16):
            moved = bits.left_shift(word, np.uint32(distance))
            word = bits.bitwise_or(word, bits.bitwise_and(taking, moved))
            taking = bits.bitwise_and(taking, bits.left_shift(taking, np.uint32(distance)))
        return [bits.right_shift(word, np.uint32(31)), tf.where(rows == row, word, spread)]

    start = [tf.zeros_like(sources[0]), tf.zeros_like(sources)]
    return for_each(sources.shape[0], step, start)[1]


def spread_down(sources: Tensor, takes: Tensor) -> Tensor:
    """Add to the ones every position that takes from the one above it, as far as they take."""
    tf = tensorflow()
    bits = tf.bitwise
    rows = np.arange(sources.shape[0], dtype=np.int32)[:, None]

    def step(row: Tensor, carried: Tensor, spread: Tensor) -> list[Tensor]:
        taking = takes[row]
        word = bits.bitwise_or(sources[row], bits.bitwise_and(taking, carried))
        for distance in (1, 2, 4, 8, 16):
            moved = bits.right_shift(word, np.uint32(distance))
            word = bits.bitwise_or(word, bits.bitwise_and(taking, moved))
            taking = bits.bitwise_and(taking, bits.right_shift(taking, np.uint32(distance)))
        return [bits.left_shift(word, np.uint32(31)), tf.where(rows == row, word, spread)]

    start = [tf.zeros_like(sources[0]), tf.zeros_like(sources)]
    return for_each(sources.shape[0], step, start, is_reversed=True)[1]


def word_of(positions: Tensor) -> Tensor:
    """Return the number of the word that holds each position."""
    return tensorflow().bitwise.right_shift(positions, np.int32(5))


def place_of(positions: Tensor) -> Tensor:
    """Return the place of each position in its word, uint32."""
    return as_uint32(tensorflow().bitwise.bitwise_and(positions, _IN_WORD))


def look_up(positions: Tensor, bits: Tensor) -> list[Tensor]:
    """Return the word of each position, and the word after it; 0 outside."""
    tf = tensorflow()
    numbers = word_of(positions)

    def step(row: Tensor, word: Tensor, after: Tensor) -> list[Tensor]:
        here = bits[row]
        return [tf.where(numbers == row, here, word), tf.where(numbers == row - 1, here, after)]

    start = tf.zeros_like(as_uint32(positions))
    return for_each(bits.shape[0], step, [start, start])


def count_upto(bits: Tensor, positions: Tensor) -> Tensor:
    """Return how many ones lie at or below each of (1, B) positions, (1, B)."""
    tf = tensorflow()
    rows = np.arange(bits.shape[0], dtype=np.int32)[:, None]
    numbers = word_of(positions)
    upto = tf.bitwise.right_shift(ALL, np.uint32(31) - place_of(positions))
    counted = tf.where(rows == numbers, upto, tf.where(rows < numbers, ALL, ZERO))
    return tf.reduce_sum(count(tf.bitwise.bitwise_and(bits, counted)), axis=0, keepdims=True)


def select(bits: Tensor, ranks: Tensor) -> Tensor:
    """Return the position of the one with each rank, counted from 0; where there is none, any."""
    tf = tensorflow()
    counts = count(bits)

    def step(row: Tensor, before: Tensor, base: Tensor, word: Tensor, rank: Tensor) -> list[Tensor]:
        in_row = counts[row]
        is_here = tf.logical_and(ranks >= before, ranks < before + in_row)
        return [
            before + in_row,
            tf.where(is_here, row * WORD_BITS, base),
            tf.where(is_here, bits[row], word),
            tf.where(is_here, ranks - before, rank),
        ]

    zeros = tf.zeros_like(ranks)
    start = [tf.zeros_like(counts[0]), zeros, as_uint32(zeros), zeros]
    _, base, word, rank_in_word = for_each(bits.shape[0], step, start)
    return base + _select_in_word(word, rank_in_word)


def last_one(bits: Tensor, positions: Tensor) -> Tensor:
    """Return the last one at or below each position; 0 where there is none."""
    tf = tensorflow()
    numbers = word_of(positions)
    own = tf.bitwise.right_shift(ALL, np.uint32(31) - place_of(positions))

    def step(row: Tensor, base: Tensor, word: Tensor) -> list[Tensor]:
        allowed = tf.where(numbers == row, own, tf.where(numbers > row, ALL, ZERO))
        ones = tf.bitwise.bitwise_and(bits[row], allowed)
        is_here = ones != ZERO
        return [tf.where(is_here, row * WORD_BITS, base), tf.where(is_here, ones, word)]

    start = [tf.zeros_like(positions), tf.ones_like(own)]
    base, word = for_each(bits.shape[0], step, start)
    for distance in (1, 2, 4, 8, 16):
        word = tf.bitwise.bitwise_or(word, tf.bitwise.right_shift(word, np.uint32(distance)))
    return base + count(word) - 1


def set_ones(positions: Tensor, words: Tensor, num_words: int) -> Tensor:
    """Return rows of bits with `words` at the words of `positions`; no bit may be given twice."""
    tf = tensorflow()
    numbers, words = word_of(positions), as_int32(words)
    rows = np.arange(num_words, dtype=np.int32)[:, None]

    def step(row: Tensor, bits: Tensor) -> list[Tensor]:
        total = tf.reduce_sum(tf.where(numbers == row, words, 0), axis=0)
        return [tf.where(rows == row, total, bits)]

    start = tf.zeros(tf.stack([num_words, tf.shape(positions)[1]]), tf.int32)
    return as_uint32(for_each(num_words, step, [start])[0])


def _select_in_word(words: Tensor, ranks: Tensor) -> Tensor:
    """Return the place of the one with each rank in its word.

    Counts of 2, 4, 8 and 16 bits side by side, then five halvings: S. E. Anderson, "Bit Twiddling Hacks", "Select the bit
    position with the given count".
    """
    tf = tensorflow()
    bits = tf.bitwise
    counts = [words]
    for distance, pattern in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        low = np.uint32(pattern)
        previous = counts[-1]
        high = bits.bitwise_and(bits.right_shift(previous, np.uint32(distance)), low)
        counts.append(bits.bitwise_and(previous, low) + high)
    place = tf.zeros_like(words)
    ranks = as_uint32(ranks)
    for level in (4, 3, 2, 1, 0):
        width = np.uint32(1 << level)
        field = np.uint32((1 << (1 << level)) - 1)
        here = bits.bitwise_and(bits.right_shift(counts[level], place), field)
        is_above = ranks >= here
        ranks = tf.where(is_above, ranks - here, ranks)
        place = tf.where(is_above, place + width, place)
    return as_int32(tf.minimum(place, np.uint32(31)))
