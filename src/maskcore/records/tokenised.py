# SPDX-License-Identifier: Apache-2.0
"""The tokens of some documents, flat: what a tokeniser gives and rows are made of.

Owns the form and its invariants. Knows nothing of tokenizers, text or rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TokenisedDocuments"]


@dataclass(slots=True)
class TokenisedDocuments:
    """Tokens of N tokens, S sentences and D documents, in order."""

    ids: NDArray[np.int32]
    """Shape (N,)."""
    starts_word: NDArray[np.bool_]
    """Shape (N,); True at the first token of each sentence."""
    is_special: NDArray[np.bool_]
    """Shape (N,): ids of special tokens that the text itself gave; never masked."""
    sentence_lengths: NDArray[np.int64]
    """Shape (S,): tokens in each sentence; none is 0."""
    sentences_per_document: NDArray[np.int64]
    """Shape (D,); 0 for a document without any token."""
    keys: list[bytes]
    """Of each document: its identity, whatever the batch, the shard or the machine."""
    num_sentences_without_tokens: int
    """Sentences that the tokenizer turned into nothing; they are left out above."""
