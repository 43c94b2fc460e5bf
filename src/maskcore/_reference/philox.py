# SPDX-License-Identifier: Apache-2.0
"""Philox4x32-10 and the addressed draws of docs/algorithm.md, section 2.

Owns the readable generator. Knows nothing of rows or masks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# Salmon et al., SC 2011, table 2 and section 3.3.
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
NUM_ROUNDS = 10
U32 = 0xFFFFFFFF

PIECE_LENGTH, SPAN_ORDER, REPLACEMENT, RANDOM_ID = 1, 2, 3, 4


class Address(NamedTuple):
    """What the randomness of one row depends on."""

    seed: int
    epoch: int
    row_id: int


def philox4x32_10(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the four 32-bit words of one block."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(NUM_ROUNDS):
        product_0, product_1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (
            (product_1 >> 32) ^ c1 ^ k0,
            product_1 & U32,
            (product_0 >> 32) ^ c3 ^ k1,
            product_0 & U32,
        )
        k0, k1 = (k0 + WEYL_0) & U32, (k1 + WEYL_1) & U32
    return c0, c1, c2, c3


@lru_cache(maxsize=4096)
def block(address: Address, purpose: int, index: int) -> tuple[int, int, int, int]:
    """Return block `index` of the row's stream for `purpose`."""
    counter = (
        purpose << 24 | index,
        address.row_id & U32,
        address.row_id >> 32,
        address.epoch,
    )
    return philox4x32_10(counter, (address.seed & U32, address.seed >> 32))


def word(address: Address, purpose: int, index: int) -> int:
    """Return 32-bit draw `index` of the row's stream for `purpose`."""
    return block(address, purpose, index // 4)[index % 4]


def halfword(address: Address, purpose: int, index: int) -> int:
    """Return 16-bit draw `index`; the low half of a word comes first."""
    return word(address, purpose, index // 2) >> 16 * (index % 2) & 0xFFFF


def mulhi(draw: int, bound: int) -> int:
    """Return an integer in [0, bound) from a 32-bit draw; bias below bound / 2**32."""
    return draw * bound >> 32
