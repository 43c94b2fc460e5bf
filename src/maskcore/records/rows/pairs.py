# SPDX-License-Identifier: Apache-2.0
"""Rows of two segments: sentence order (ALBERT) and next sentence (BERT).

Owns where a chunk of sentences ends, where it is split, and which segment is taken from another
document; docs/records.md, section "Pairs", says why it differs from the published scripts. Knows
nothing of special tokens, bins or identities.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskcore.records.rows.draws import (
    PARTNER,
    PARTNER_DOCUMENT,
    PARTNER_SENTENCE,
    ROW_IS_SHORT,
    ROW_LABEL,
    ROW_SPLIT,
    ROW_TARGET,
    WORDS_PER_BLOCK,
    DrawAddress,
    RowDraws,
    bounded,
    draw_blocks,
    numbered_rows,
)
from maskcore.records.rows.text_bounds import TextBounds
from maskcore.records.rows.whole_rows import drawn_target

__all__ = ["PairRows", "make_pairs"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(slots=True)
class PairRows:
    """Rows of two ranges of tokens each, in the order of the documents."""

    segments: Ints
    """Shape (R, 2, 2): start and stop of the first and the second segment, as they stand."""
    labels: NDArray[np.int8]
    """Shape (R,): 1 for swapped (SOP) or random (NSP) segments, else 0."""
    is_borrowed: Bools
    """Shape (R,): the second segment comes from another document."""
    rows_per_document: Ints
    skipped: Ints
    """Shape (n, 2): ranges that are in no row, single tokens that nothing could be paired with."""
    num_short: int
    """Rows for which a shorter target was drawn."""
    num_without_partner: int
    """Rows whose second segment should come from another document, and there is none."""
    num_forced_random: int
    """Rows whose second segment comes from another document, as the chunk had but one."""


def make_pairs(
    bounds: TextBounds, kind: str, capacity: int, short_threshold: int, address: DrawAddress
) -> PairRows:
    """Return the rows of one duplicate.

    Parameters
    ----------
    bounds : TextBounds
    kind : "sop" or "nsp"
    capacity : int >= 2
        Tokens of both segments together, at most.
    short_threshold : int in [0, 2**32]
        Probability of a shorter target, in units of 2**-32.
    address : DrawAddress

    """
    has_text = np.diff(bounds.first_sentences) > 0
    borrows = kind == "nsp" and int(np.count_nonzero(has_text)) > 1
    expected_rows = np.where(has_text, 2 * bounds.document_lengths // capacity + 2, 0)
    draws = RowDraws(address, expected_rows)
    cutter = _ChunkCutter(bounds, capacity, needs_two_segments=not borrows)
    loop = _PairLoop(cutter, short_threshold, draws, borrows)
    for document in range(len(has_text)):
        loop.add_document(document)
    rows = np.array(loop.rows, np.int64).reshape(-1, 5)
    segments = np.stack([rows[:, 0:2], rows[:, 1:3]], axis=1)
    is_one = rows[:, 4] == 1
    rows_per_document = np.array(loop.rows_per_document, np.int64)
    is_borrowed = is_one & borrows
    num_without_partner = 0
    if borrows:
        documents, numbers = numbered_rows(rows_per_document)
        rooms = np.stack([rows[:, 3], np.full(len(rows), capacity)], axis=1)
        rooms = np.maximum(rooms - (rows[:, 1:2] - rows[:, 0:1]), 0)
        segments[is_one, 1] = _borrowed_segments(
            bounds, address, documents[is_one], numbers[is_one], rooms[is_one]
        )
    elif kind == "nsp":
        num_without_partner = int(np.count_nonzero(is_one))
        is_one = np.zeros(len(rows), bool)
    else:
        segments[is_one] = segments[is_one, ::-1]
    return PairRows(
        segments,
        is_one.astype(np.int8),
        is_borrowed,
        rows_per_document,
        np.array(loop.skipped, np.int64).reshape(-1, 2),
        loop.num_short,
        num_without_partner,
        loop.num_forced_random,
    )


def _borrowed_segments(
    bounds: TextBounds, address: DrawAddress, documents: Ints, numbers: Ints, rooms: Ints
) -> Ints:
    """Return starts and stops of second segments from other documents, shape (n, 2).

    They begin at a uniformly drawn sentence of a uniformly drawn other document and have as many
    whole sentences as fit the wanted room, `rooms[:, 0]`, one of them at least if it fits the room
    that there is, `rooms[:, 1]`; else that one is cut.
    """
    starts, first_sentences = bounds.sentence_starts, bounds.first_sentences
    words = draw_blocks(address, PARTNER, documents, numbers)
    candidates = np.flatnonzero(np.diff(first_sentences))
    chosen = bounded(words[:, PARTNER_DOCUMENT], len(candidates) - 1)
    chosen += chosen >= np.searchsorted(candidates, documents)  # all but the row's own
    partners = candidates[chosen]
    num_sentences = np.diff(first_sentences)[partners]
    sentences = first_sentences[partners] + bounded(words[:, PARTNER_SENTENCE], num_sentences)
    begins = starts[sentences]
    after = np.searchsorted(starts, begins + rooms[:, 0], side="right") - 1
    after = np.minimum(np.maximum(after, sentences + 1), first_sentences[partners + 1])
    stops = starts[after]
    limits = begins + rooms[:, 1]
    for row in np.flatnonzero(stops > limits).tolist():
        cut = bounds.last_word_start(int(begins[row]), int(limits[row]))
        stops[row] = cut if cut != -1 else limits[row]
    return np.stack([begins, stops], axis=1)


class _ChunkCutter:
    """Decides where a chunk of consecutive sentences ends, and where it is split.

    A place in a document is a token and the sentence that holds it.
    """

    def __init__(self, bounds: TextBounds, capacity: int, *, needs_two_segments: bool) -> None:
        self.starts: list[int] = bounds.sentence_starts.tolist()
        self.first_sentences: list[int] = bounds.first_sentences.tolist()
        self.capacity = capacity
        self._bounds = bounds
        self._needs_two_segments = needs_two_segments

    def chunk_end(
        self, token: int, sentence: int, document_stop: int, target: int
    ) -> tuple[int, int]:
        """Return the place where a chunk ends that begins at `token`; `document_stop` is a sentence.

        A chunk has as many whole sentences as fit `target`, and two of them at least if they fit a
        row. A sentence longer than a row is cut at the last word start that fits.
        """
        starts, room = self.starts, token + self.capacity
        after = bisect_right(starts, token + target, sentence + 1, document_stop + 1) - 1
        if after < sentence + 2:
            two = min(sentence + 2, document_stop)
            after = bisect_right(starts, room, sentence + 1, two + 1) - 1
        if after == document_stop:
            return starts[after], after
        end = starts[after] if after > sentence else token
        if after == sentence or starts[after + 1] - end > self.capacity:
            end = self._cut_long_sentence(token, end, target, has_two=after >= sentence + 2)
        elif (
            self._needs_two_segments
            and after == sentence + 1
            and not self._bounds.has_word_start(token, end)
        ):
            end = max(end, self._bounds.last_word_start(end, room))  # a word alone is no pair
        if self._needs_two_segments and after == document_stop - 1:
            return self._leave_a_pair(token, sentence, end, after)
        return end, after

    def _cut_long_sentence(self, token: int, end: int, target: int, *, has_two: bool) -> int:
        """Return where to cut the sentence at `end`, which no row can hold; `end` for nowhere."""
        cut = self._bounds.last_word_start(end, token + target)
        if cut == -1 and not has_two:
            cut = self._bounds.last_word_start(end, token + self.capacity)
        if cut == -1:
            return end if end > token else token + self.capacity
        return cut

    def _leave_a_pair(self, token: int, sentence: int, end: int, after: int) -> tuple[int, int]:
        """Move the end of the last chunk but one, so that what remains makes two segments."""
        starts, bounds = self.starts, self._bounds
        stop = starts[after + 1]
        is_whole = end == starts[after]
        if is_whole and after - sentence >= 3 and stop - starts[after - 1] <= self.capacity:
            return starts[after - 1], after - 1
        if not bounds.has_word_start(end, stop):
            last = bounds.last_word_start(token, end - 1)
            keeps_two_words = last != -1 and bounds.has_word_start(token, last)
            if keeps_two_words and stop - last <= self.capacity:
                return last, after if last >= starts[after] else after - 1
        return end, after

    def split(self, token: int, sentence: int, end: int, after: int, word: int) -> tuple[int, int]:
        """Return the place at which the chunk is split, by a 32-bit draw; token -1 for nowhere.

        Sentence bounds come first; a single sentence is split at a word, a single word anywhere.
        """
        num_bounds = after - sentence - (end == self.starts[after])
        if num_bounds > 0:
            chosen = sentence + 1 + (word * num_bounds >> 32)
            return self.starts[chosen], chosen
        split = self._bounds.draw_word_start(word, token, end)
        if split == -1 and end - token >= 2:
            split = token + 1 + (word * (end - token - 1) >> 32)
        return split, sentence


class _PairLoop:
    """Makes the rows of one document after the other."""

    def __init__(
        self, cutter: _ChunkCutter, short_threshold: int, draws: RowDraws, borrows: bool
    ) -> None:
        self._cutter = cutter
        self._short_threshold = short_threshold
        self._draws = draws
        self._borrows = borrows
        self.rows: list[int] = []
        """Five numbers a row: its start, split and stop, its target, and the bit of its label.

        What follows a row whose second segment is borrowed begins at its split.
        """
        self.rows_per_document: list[int] = []
        self.skipped: list[int] = []
        """Start and stop of what is in no row."""
        self.num_short = 0
        self.num_forced_random = 0

    def add_document(self, document: int) -> None:
        """Make the rows of the next document."""
        cutter, borrows = self._cutter, self._borrows
        sentence, document_stop = cutter.first_sentences[document : document + 2]
        token = cutter.starts[sentence]
        words = self._draws.of_document(document)
        at = 0
        while sentence < document_stop:
            if at == len(words):
                self._draws.extend(document, words)
            is_short = words[at + ROW_IS_SHORT] < self._short_threshold
            target = cutter.capacity
            if is_short:
                target = drawn_target(words[at + ROW_TARGET], target)
            end, after = cutter.chunk_end(token, sentence, document_stop, target)
            split, split_sentence = cutter.split(token, sentence, end, after, words[at + ROW_SPLIT])
            label_bit = words[at + ROW_LABEL] >> 31
            is_alone = after == sentence + 1 and end == cutter.starts[after]
            if borrows and (split == -1 or (is_alone and end - token < cutter.capacity)):
                split, split_sentence, label_bit = end, after, 1
                self.num_forced_random += 1
            if borrows and label_bit:
                end, after = split, split_sentence
            if split == -1:
                self.skipped += (token, end)
            else:
                self.rows += (token, split, end, target, label_bit)
                self.num_short += is_short
                at += WORDS_PER_BLOCK
            token, sentence = end, after
        self.rows_per_document.append(at // WORDS_PER_BLOCK)
