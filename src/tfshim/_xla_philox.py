# SPDX-License-Identifier: Apache-2.0
"""Philox4x32-10 and the addressed draws of docs/algorithm.md, section 2, as TensorFlow operations on uint32.

Owns the generator of the XLA implementation: 32-bit integers only, the high half of a product from 16-bit limbs. Knows nothing
of rows or masks. Rows are the last axis, so that vector lanes run over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfshim._tensorflow import Tensor, tensorflow

# Salmon et al., SC 2011, table 2 and section 3.3.
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
NUM_ROUNDS = 10

PIECE_LENGTH, SPAN_ORDER, REPLACEMENT, RANDOM_ID = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Address:
    """What the randomness of B rows depends on, in halves of 32 bits."""

    seed: tuple[Tensor, Tensor]  # low and high half, () uint32
    row_ids: tuple[Tensor, Tensor]  # low and high halves, (B,) uint32
    epoch: Tensor  # () or (B,) uint32


def u32(value: int) -> Any:
    """Return a constant of 32 bits."""
    return np.uint32(value)


def mulhi(x: Tensor, y: Tensor) -> Tensor:
    """Return the high 32 bits of the product of two uint32, from its 16-bit limbs."""
    return _product(x, y)[0]


def _product(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the high and the low 32 bits of the product of two uint32."""
    bits = tensorflow().bitwise
    half, low_bits = u32(16), u32(0xFFFF)
    x_low, x_high = bits.bitwise_and(x, low_bits), bits.right_shift(x, half)
    y_low, y_high = bits.bitwise_and(y, low_bits), bits.right_shift(y, half)
    # No sum below reaches 2**32: (2**16 - 1)**2 + 2 * (2**16 - 1) = 2**32 - 1.
    middle = x_high * y_low + bits.right_shift(x_low * y_low, half)
    carried = x_low * y_high + bits.bitwise_and(middle, low_bits)
    high = x_high * y_high + bits.right_shift(middle, half) + bits.right_shift(carried, half)
    return high, x * y


def _round(counter: list[Tensor], key: list[Tensor]) -> list[Tensor]:
    bits = tensorflow().bitwise
    high_0, low_0 = _product(counter[0], tensorflow().constant(MULTIPLIER_0, "uint32"))
    high_1, low_1 = _product(counter[2], tensorflow().constant(MULTIPLIER_1, "uint32"))
    return [
        bits.bitwise_xor(bits.bitwise_xor(high_1, counter[1]), key[0]),
        low_1,
        bits.bitwise_xor(bits.bitwise_xor(high_0, counter[3]), key[1]),
        low_0,
    ]


def philox4x32_10(counter: list[Tensor], key: list[Tensor]) -> list[Tensor]:
    """Return the four words of each block; the words of `counter` have one shape, those of `key` are scalars."""
    tf = tensorflow()

    def one_round(number: Tensor, *state: Tensor) -> list[Tensor]:
        next_key = [state[4] + u32(WEYL_0), state[5] + u32(WEYL_1)]
        return [number + 1, *_round(list(state[:4]), list(state[4:])), *next_key]

    drawn = tf.while_loop(lambda number, *_: number < NUM_ROUNDS, one_round, [0, *counter, *key])
    return list(drawn[1:5])


def draw_blocks(address: Address, num_blocks: dict[int, int]) -> dict[int, Tensor]:
    """Return the blocks 0 .. n - 1 of each purpose, (n, 4, B) uint32: the words of block b are row b.

    All in one loop, since a loop costs more to compile than to run.
    """
    tf = tensorflow()
    numbers = [
        np.arange(number, dtype=np.uint32) + u32(purpose << 24)
        for purpose, number in num_blocks.items()
    ]
    first_words = np.concatenate(numbers)
    shape = tf.stack([len(first_words), tf.size(address.row_ids[0])])
    counter = [
        tf.broadcast_to(word, shape)
        for word in (first_words[:, None], *address.row_ids, address.epoch)
    ]

    words = philox4x32_10(counter, list(address.seed))
    blocks = tf.split(tf.stack(words, axis=1), [len(part) for part in numbers])
    return dict(zip(num_blocks, blocks, strict=True))


def words_of(blocks: Tensor, num_words: int) -> Tensor:
    """Return the words 0 .. num_words - 1 of blocks, (num_words, B) uint32."""
    tf = tensorflow()
    words = tf.reshape(blocks, tf.stack([4 * blocks.shape[0], tf.shape(blocks)[2]]))
    return words[:num_words]


def blocks_for(num_words: int) -> int:
    """Return how many blocks hold `num_words` words."""
    return -(-num_words // 4)
