# SPDX-License-Identifier: Apache-2.0
"""Where documents, sentences and words begin in flat token arrays, in the form that loops look up.

Owns nothing but these look-ups. Knows nothing of rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskcore.records.tokenising.tokenised import TokenisedDocuments

__all__ = ["TextBounds"]

_WORD = b"\x01"

Ints = NDArray[np.int64]


class TextBounds:
    """The bounds of N tokens, S sentences and D documents."""

    def __init__(self, tokens: TokenisedDocuments) -> None:
        self.starts_word = tokens.starts_word
        self.sentence_starts: Ints = np.append(0, np.cumsum(tokens.sentence_lengths))
        """Shape (S + 1,); the last is N."""
        self.first_sentences: Ints = np.append(0, np.cumsum(tokens.sentences_per_document))
        """Of each document, shape (D + 1,); the last is S."""
        self._word_marks = tokens.starts_word.tobytes()

    @property
    def document_lengths(self) -> Ints:
        """Tokens of each document."""
        return np.diff(self.sentence_starts[self.first_sentences])

    def last_word_start(self, start: int, last: int) -> int:
        """Return the last token in (start, last] that begins a word; -1 if none does."""
        return self._word_marks.rfind(_WORD, start + 1, last + 1)

    def has_word_start(self, start: int, stop: int) -> bool:
        """Whether a token in (start, stop) begins a word."""
        return self._word_marks.find(_WORD, start + 1, stop) != -1

    def draw_word_start(self, word: int, start: int, stop: int) -> int:
        """Return a token in (start, stop) that begins a word, by a 32-bit draw; -1 if none does."""
        found = np.flatnonzero(self.starts_word[start + 1 : stop])
        return start + 1 + int(found[word * found.size >> 32]) if found.size else -1
