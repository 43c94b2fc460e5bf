# SPDX-License-Identifier: Apache-2.0
"""Rows without pairs: as many whole sentences of one document as fit.

Owns where such a row ends and where a long sentence is cut. Knows nothing of special tokens, pairs
or packing.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskcore.records.rows.draws import (
    ROW_FILLER_TARGET,
    ROW_IS_FILLER,
    ROW_IS_SHORT,
    ROW_TARGET,
    WORDS_PER_BLOCK,
    RowDraws,
)
from maskcore.records.rows.text_bounds import TextBounds

__all__ = ["Targets", "WholeRowMaker", "WholeRows", "drawn_target"]

Ints = NDArray[np.int64]


@dataclass(slots=True)
class WholeRows:
    """Adjacent ranges of tokens, which cover all documents."""

    starts: Ints
    """Shape (R + 1,); the last is N."""
    rows_per_document: Ints
    num_short: int
    """Rows for which a shorter target was drawn."""


@dataclass(frozen=True, slots=True)
class Targets:
    """How often a row aims at less than what fits; probabilities in units of 2**-32."""

    short_threshold: int = 0
    """Of a target up to what fits, as in BERT."""
    filler_threshold: int = 0
    """Of a target up to `filler_limit`, where there is no other."""
    filler_limit: int = 0


class WholeRowMaker:
    """Cuts long sentences once, and makes the rows of each duplicate.

    A sentence longer than a row is cut at the last word start that fits, and goes on in the next
    row; a word longer than a row is cut at the row's end.
    """

    def __init__(self, bounds: TextBounds, capacity: int) -> None:
        self.capacity = capacity
        cuts = _cut_long_sentences(bounds, capacity)
        pieces = np.sort(np.append(bounds.sentence_starts, np.array(cuts, np.int64)), kind="stable")
        self._piece_starts: list[int] = pieces.tolist()
        document_starts = bounds.sentence_starts[bounds.first_sentences]
        self._first_pieces: list[int] = np.searchsorted(pieces, document_starts).tolist()

    def make(self, targets: Targets, draws: RowDraws | None) -> WholeRows:
        """Return the rows; `draws` may be None where nothing is drawn."""
        starts: list[int] = [0]
        rows_per_document: list[int] = []
        num_short = 0
        is_drawn = targets.short_threshold > 0 or targets.filler_threshold > 0
        for document in range(len(self._first_pieces) - 1):
            before = len(starts)
            if draws is None or not is_drawn:
                self._fill_rows(document, starts)
            else:
                num_short += self._fill_drawn_rows(document, targets, draws, starts)
            rows_per_document.append(len(starts) - before)
        return WholeRows(
            np.array(starts, np.int64), np.array(rows_per_document, np.int64), num_short
        )

    def _fill_rows(self, document: int, starts: list[int]) -> None:
        pieces, capacity = self._piece_starts, self.capacity
        piece, stop = self._first_pieces[document], self._first_pieces[document + 1]
        while piece < stop:
            piece = bisect_right(pieces, pieces[piece] + capacity, piece + 2, stop + 1) - 1
            starts.append(pieces[piece])

    def _fill_drawn_rows(
        self, document: int, targets: Targets, draws: RowDraws, starts: list[int]
    ) -> int:
        pieces, capacity = self._piece_starts, self.capacity
        piece, stop = self._first_pieces[document], self._first_pieces[document + 1]
        words = draws.of_document(document)
        at = num_short = 0
        while piece < stop:
            if at == len(words):
                draws.extend(document, words)
            target = capacity
            if words[at + ROW_IS_SHORT] < targets.short_threshold:
                num_short += 1
                target = drawn_target(words[at + ROW_TARGET], capacity)
            elif words[at + ROW_IS_FILLER] < targets.filler_threshold:
                target = drawn_target(words[at + ROW_FILLER_TARGET], targets.filler_limit)
            piece = bisect_right(pieces, pieces[piece] + target, piece + 2, stop + 1) - 1
            starts.append(pieces[piece])
            at += WORDS_PER_BLOCK
        return num_short


def drawn_target(word: int, most: int) -> int:
    """Return a length in [2, `most`] by a 32-bit draw, or `most` where that is below 2.

    The bounds are those of BERT's create_pretraining_data.py (google-research/bert).

    >>> [drawn_target(word, 126) for word in (0, 2**31, 2**32 - 1)]
    [2, 64, 126]
    """
    return min(2 + (word * (most - 1) >> 32), most)


def _cut_long_sentences(bounds: TextBounds, capacity: int) -> list[int]:
    """Return the tokens at which sentences of more than `capacity` tokens are cut."""
    cuts: list[int] = []
    starts = bounds.sentence_starts
    for sentence in np.flatnonzero(np.diff(starts) > capacity).tolist():
        start, stop = int(starts[sentence]), int(starts[sentence + 1])
        while stop - start > capacity:
            cut = bounds.last_word_start(start, start + capacity)
            start = cut if cut != -1 else start + capacity
            cuts.append(start)
    return cuts
