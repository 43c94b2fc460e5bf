# SPDX-License-Identifier: Apache-2.0
"""What an implementation is given: tensors of checked dtype and static shape, and integers.

Owns the border between the public function and the implementations. What only the running graph
knows (values of tensors, unknown dimensions) an implementation checks itself, with the texts of
maskcore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfshim._tensorflow import Tensor


@dataclass(frozen=True, slots=True)
class AddressedCall:
    """Masks addressed by seed, epoch and row ids: the bits of `maskcore.mask_positions`.

    Shapes: B rows of L tokens, or one row of L. All but `maskable` are tensors or numpy arrays.
    """

    maskable: Tensor  # (L,) or (B, L) bool, integer, float32, float64
    budget: Tensor  # () or (B,) int64
    max_n: int
    ngram_weights: tuple[Any, ...] | None
    word_ids: Tensor | None  # int32 or int64, the shape of maskable
    segment_ids: Tensor | None  # int32 or int64, the shape of maskable
    epoch: Tensor  # () or (B,) int64
    seed: Tensor  # () int64
    row_ids: Tensor  # () for one row, (B,) for a batch, int64


@dataclass(frozen=True, slots=True)
class ClassicCall:
    """Masks that are new at every run: a process-wide counter gives the row ids, in epoch 0.

    `budget` and `max_n` are tensors or numpy arrays.
    """

    maskable: Tensor  # (L,) or (B, L) bool, integer, float32, float64
    budget: Tensor  # () or (B,) int64
    max_n: Tensor  # () int64
    seed: int
