# SPDX-License-Identifier: Apache-2.0
"""The groups of arrays and integers that the compiled loops take.

Owns their names, dtypes and shapes, and the room that a row needs. Holds no algorithm and nothing
that is compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from maskcore._call import Array, Int32Array, Int64Array

__all__ = [
    "Address",
    "BatchInput",
    "BatchOutput",
    "Scratch",
    "TokenInput",
    "TokenOutput",
    "new_scratch",
]

# Blocks drawn at a time: a vector of them costs little more than one.
PIECE_BLOCKS, ORDER_BLOCKS = 16, 8
PIECES_PER_FILL = 8 * PIECE_BLOCKS
STEPS_PER_FILL = 4 * ORDER_BLOCKS
MAX_PIECE_LENGTH = 255  # docs/algorithm.md, section 1
SHORT_SPAN = 4  # most spans are no longer; they are masked without a branch
SUM_WIDTH = 16  # bytes summed at a time when looking for the anchor


class Address(NamedTuple):
    """What the randomness of one row depends on, as uint64 below 2**32."""

    key_low: Any
    key_high: Any
    row_low: Any
    row_high: Any
    epoch: Any


class BatchInput(NamedTuple):
    """Rows and parameters; `word_ids` and `segment_ids` have no rows where they are not given."""

    maskable: Array  # uint8 (B, L), 0 or 1
    word_ids: Int32Array  # (B, L) or (0, 0)
    segment_ids: Int32Array  # (B, L) or (0, 0)
    budgets: Int64Array  # (B,)
    row_ids: Int64Array  # (B,)
    epochs: Int64Array  # (B,)
    length_thresholds: Array  # uint32 (max_n - 1,)
    seed: np.uint64
    ratio_e9: int  # 0: budgets are given
    budget_cap: int  # -1: no cap


class BatchOutput(NamedTuple):
    """What is filled; all but `mask` have no rows where they are not wanted."""

    mask: Array  # uint8 (B, L)
    positions: Int32Array  # (B, P) or (0, 0)
    weights: Array  # float32 (B, P) or (0, 0)
    span_numbers: Int32Array  # (B, L) or (0, 0)


class TokenInput(NamedTuple):
    """What is written at masked positions, and where."""

    mask: Array  # uint8 (B, L)
    input_ids: Array  # (B, L) int16, int32, int64
    row_ids: Int64Array  # (B,)
    epochs: Int64Array  # (B,)
    seed: np.uint64
    mask_below: np.uint64  # replacement thresholds, in [0, 2**32]
    random_below: np.uint64
    mask_id: int
    random_ids: Int32Array  # (n,)
    ignore_index: int


class TokenOutput(NamedTuple):
    """What is filled; no rows where it is not wanted. `masked_ids` may be the input ids."""

    masked_ids: Array  # (B, L) or (0, 0), the dtype of the ids
    labels: Array  # (B, L) or (0, 0), the dtype of the ids or int32
    prediction_ids: Array  # (B, P) or (0, 0), the dtype of the ids


class Scratch(NamedTuple):
    """Room for one row. Loops run beyond L, so that they need not look for the end."""

    mask: Array  # uint8 (L + SHORT_SPAN,)
    eligible: Array  # uint8 (L + SUM_WIDTH,), 0 beyond L
    begins: Array  # uint8 (L + SUM_WIDTH,), a candidate span begins here; 0 beyond L
    ends: Array  # uint8 (L,), a candidate span ends with this token
    inside: Array  # uint8 (L + 1,), not the first token of its unit; 0 beyond L
    cuts: Array  # uint8 (L + a fill of pieces,), a piece begins with this token
    starts: Int32Array  # (L + 1,), the candidates' first tokens, shuffled in place
    stops: Int32Array  # (L + 1,), and the tokens after their last
    piece_words: Array  # uint32 (4 * PIECE_BLOCKS,)
    piece_lengths: Array  # uint32 (4 * PIECE_BLOCKS,), lengths less 1, each in 16 bits
    order_words: Array  # uint32 (4 * ORDER_BLOCKS,)


def new_scratch(length: int) -> Scratch:
    """Return room for rows of `length` tokens."""
    return Scratch(
        mask=np.zeros(length + SHORT_SPAN, np.uint8),
        eligible=np.zeros(length + SUM_WIDTH, np.uint8),
        begins=np.zeros(length + SUM_WIDTH, np.uint8),
        ends=np.zeros(length, np.uint8),
        inside=np.zeros(length + 1, np.uint8),
        cuts=np.zeros(length + PIECES_PER_FILL * MAX_PIECE_LENGTH, np.uint8),
        starts=np.zeros(length + 1, np.int32),
        stops=np.zeros(length + 1, np.int32),
        piece_words=np.zeros(4 * PIECE_BLOCKS, np.uint32),
        piece_lengths=np.zeros(4 * PIECE_BLOCKS, np.uint32),
        order_words=np.zeros(4 * ORDER_BLOCKS, np.uint32),
    )
