# SPDX-License-Identifier: Apache-2.0
"""What an implementation is given: tensors of checked dtype and static shape, and integers.

Owns the border between the public function and the implementations. What only the running graph
knows (values of tensors, unknown dimensions) an implementation checks itself, with the texts of
maskcore.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from maskcore._call import TokenParams
from tfshim._tensorflow import Tensor, tensorflow


@dataclass(frozen=True, slots=True)
class AddressedCall:
    """Masks addressed by seed, epoch and row ids: the bits of `maskcore.mask_positions`.

    Shapes: B rows of L tokens, or one row of L. All but `maskable` are tensors or numpy arrays.
    """

    # (L,) or (B, L) bool, integer, float32, float64; None only in a TokensCall
    maskable: Tensor | None
    budget: Tensor | None  # () or (B,) int32 or int64; None where masking_ratio is given
    max_n: int
    ngram_weights: tuple[Any, ...] | None
    word_ids: Tensor | None  # int32 or int64, the shape of maskable
    segment_ids: Tensor | None  # int32 or int64, the shape of maskable
    epoch: Tensor  # () or (B,) int32 or int64
    # int32 or int64, or (..., 2) uint32: the low and the high half
    seed: Tensor  # ()
    row_ids: Tensor  # () for one row, (B,) for a batch
    masking_ratio: float | None = None
    max_predictions: int | None = None  # caps a ratio; a budget above it is an error
    # Word ids count from it, and smaller ones are tokens without a word. Above 0 only of a TokensCall,
    # whose word_ids may then be uint8 or uint16, too.
    first_word_id: int = 0


@dataclass(frozen=True, slots=True)
class TokensCall:
    """The choice of an AddressedCall, and what is written there: the bits of `maskcore.mask_tokens`.

    Where `choice.maskable` is None, the special ids alone say what must not be masked.
    """

    input_ids: Tensor  # (L,) or (B, L) int16, int32, int64
    choice: AddressedCall
    params: TokenParams
    replacement: tuple[Any, ...]  # what params.replacement_thresholds come from
    output: str  # "labels" or "positions"
    num_predictions: int | None  # P of "positions", as far as it is known before the graph runs
    ids_dtype: Any = None  # int32, where it is not that of input_ids, which may then be uint16, too

    def of_plain_columns(self) -> TokensCall:
        """Return the same call in the dtypes of `mask_tokens`, with word ids that count from 0."""
        tf = tensorflow()
        ids, choice = self.input_ids, self.choice
        if self.ids_dtype is not None:
            ids = tf.cast(ids, self.ids_dtype)
        if choice.first_word_id > 0:
            words = tf.cast(choice.word_ids, tf.int32) - choice.first_word_id
            choice = replace(choice, word_ids=words, first_word_id=0)
        return replace(self, input_ids=ids, choice=choice, ids_dtype=None)


@dataclass(frozen=True, slots=True)
class ClassicCall:
    """Masks that are new at every run: a process-wide counter gives the row ids, in epoch 0.

    `budget` and `max_n` are tensors or numpy arrays.
    """

    maskable: Tensor  # (L,) or (B, L) bool, integer, float32, float64
    budget: Tensor  # () or (B,) int64
    max_n: Tensor  # () int64
    seed: int
