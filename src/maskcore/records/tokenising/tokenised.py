# SPDX-License-Identifier: Apache-2.0
"""Tokenised documents in flat arrays: what tokenisers give and row makers take.

Owns the shape of that hand-over. Knows nothing of tokenisers, text or rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SpecialToken", "TokenisedDocuments"]


class SpecialToken(NamedTuple):
    """A token with a role."""

    token: str
    id: int


@dataclass(frozen=True, slots=True)
class TokenisedDocuments:
    """The tokens of D documents with S sentences and N tokens, in the order of the text."""

    ids: NDArray[np.int32]
    """(N,), int32 in [0, vocab_size)."""
    starts_word: NDArray[np.bool_]
    """(N,); the first token of each sentence starts a word."""
    is_special: NDArray[np.bool_]
    """(N,): special tokens that the text itself gave; never masked."""
    sentence_lengths: NDArray[np.int64]
    """(S,): tokens in each sentence; none is 0."""
    sentences_per_document: NDArray[np.int64]
    """(D,); 0 where no sentence has a token."""
    keys: list[bytes]
    """(D,): what the documents are called."""
    num_sentences_without_tokens: int
    """Sentences that the tokeniser turned into nothing; they are left out above."""
