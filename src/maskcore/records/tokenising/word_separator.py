# SPDX-License-Identifier: Apache-2.0
"""Word boundaries that users put into the text, as one character between two words.

Owns how they are taken out of the text and which tokens they make the start of a word. Knows nothing
of tokenizers but the characters at which their tokens begin.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error

__all__ = ["SeparatedSentence", "WordSeparator"]


class SeparatedSentence(NamedTuple):
    """A sentence without its separators."""

    text: str
    boundaries: NDArray[np.int64]
    """Characters of `text` at which a word begins: behind a separator, and at white space."""


class WordSeparator:
    """One character, such as U+200B, that stands between words and is no part of the text.

    >>> cut = WordSeparator("|").take_out("to|day we|'re")
    >>> cut.text, cut.boundaries.tolist()
    ("today we're", [2, 5, 8])
    """

    def __init__(self, character: str) -> None:
        if len(character) != 1 or character.isspace() or character == "\0":
            raise value_error(
                "word_separator",
                "one character other than white space",
                character,
                "such as U+200B, the zero width space",
            )
        self.character = character
        self._gaps = re.compile(rf"(?:\s|{re.escape(character)})+")

    def take_out(self, sentence: str) -> SeparatedSentence:
        """Return the sentence without separators, and where they and white space stood."""
        parts, boundaries = [], []
        length = start = 0
        for gap in self._gaps.finditer(sentence):
            space = gap.group().replace(self.character, "")
            is_at_end = gap.start() == 0 or gap.end() == len(sentence)
            parts.append(sentence[start : gap.start()])
            length += gap.start() - start
            start = gap.end()
            if not is_at_end:
                boundaries.append(length)
                parts.append(space)
                length += len(space)
        parts.append(sentence[start:])
        return SeparatedSentence("".join(parts), np.array(boundaries, dtype=np.int64))


def starts_by_boundaries(
    token_starts: NDArray[np.int64], boundaries: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which tokens of a sentence start a word.

    The first does, and every token with a boundary between the start of the token before and its
    own. A token that a boundary goes through belongs to the word in which it begins.

    Parameters
    ----------
    token_starts : int64 array, shape (tokens,)
        The character at which each token begins.
    boundaries : int64 array, ascending

    """
    passed = np.maximum.accumulate(np.searchsorted(boundaries, token_starts, side="right"))
    starts = np.ones(token_starts.size, dtype=bool)
    starts[1:] = passed[1:] > passed[:-1]
    return starts
