# SPDX-License-Identifier: Apache-2.0
"""Token ids by chunks of text that were seen before, so that a word is tokenised once.

Owns the bounds of the cache and the order of its calls, compiled or not. It asks the tokenizer for
what it does not know, so ids never depend on what it holds. Knows nothing of why a cut is exact.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskcore.records.tokenising.characters import NUM_CLASSIFIED
from maskcore.records.tokenising.chunk_rule import NUM_CLASSES, ChunkRule

why_not_compiled = ""
try:
    from maskcore.records._word_cache import WordTable
except (ImportError, SystemError) as error:
    # An install without compiled code; SystemError: a free-threaded interpreter that finds a
    # limited-API extension raises it.
    WordTable = None  # type: ignore[assignment,misc]  # the class or nothing
    why_not_compiled = f"{type(error).__name__}: {error}"

__all__ = ["CompiledCache", "FlatIds", "PlainCache", "WordCache", "word_cache"]

# About 60 bytes an entry and 64 MiB in all; half a million words cover over 95 % of running text,
# and beyond that starting anew costs a few per cent.
MAX_ENTRIES = 1 << 19
MAX_BYTES = 64 << 20
# Characters of one step; bounds what a step adds to the table.
STEP_CHARACTERS = 1 << 20


class FlatIds(NamedTuple):
    """Token ids of texts, one after the other."""

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    """Tokens of each text, 0 included."""


EncodePlainly = Callable[[list[str]], FlatIds]


class WordCache(Protocol):
    """What both caches do."""

    def encode(self, sentences: Sequence[str]) -> FlatIds:
        """Return what the tokenizer would."""


def word_cache(rule: ChunkRule, encode_plainly: EncodePlainly) -> WordCache:
    """Return the compiled cache, or the one in Python where nothing is compiled, and warn."""
    if WordTable is not None:
        return CompiledCache(rule, encode_plainly)
    warnings.warn(
        f"maskcore looks words up in Python, slowly and for the same ids ({why_not_compiled}); "
        "install a wheel with compiled code",
        RuntimeWarning,
        stacklevel=2,
    )
    return PlainCache(rule, encode_plainly)


def concatenate(parts: Sequence[FlatIds]) -> FlatIds:
    """Return several as one."""
    if len(parts) == 1:
        return parts[0]
    return FlatIds(
        np.concatenate([part.ids for part in parts] or [np.empty(0, np.int32)]),
        np.concatenate([part.lengths for part in parts] or [np.empty(0, np.int64)]),
    )


def _steps(sentences: Sequence[str]) -> list[Sequence[str]]:
    steps, begin, characters = [], 0, 0
    for number, sentence in enumerate(sentences):
        characters += len(sentence)
        if characters >= STEP_CHARACTERS:
            steps.append(sentences[begin : number + 1])
            begin, characters = number + 1, 0
    if begin < len(sentences):
        steps.append(sentences[begin:])
    return steps


class CompiledCache:
    """The cache in csrc/records/word_cache.cpp; for one thread at a time."""

    def __init__(self, rule: ChunkRule, encode_plainly: EncodePlainly) -> None:
        flags = int(rule.drops_space) | int(rule.joins_spaces) << 1
        self._table = WordTable(rule.classes, rule.cuts, flags)
        self._encode_plainly = encode_plainly

    def encode(self, sentences: Sequence[str]) -> FlatIds:
        """Return what the tokenizer would."""
        return concatenate([self._encode_step(step) for step in _steps(sentences)])

    def _encode_step(self, sentences: Sequence[str]) -> FlatIds:
        text = ("\n".join(sentences) + "\n").encode()
        num_sentences, missing = self._table.split(text, MAX_ENTRIES, MAX_BYTES)
        if num_sentences != len(sentences):  # a sentence holds a line end
            return self._encode_plainly(list(sentences))
        chunks = missing.decode().split("\n")[:-1]
        found = self._encode_plainly(chunks)
        num_tokens = self._table.fill(found.ids, found.lengths)
        ids = np.empty(num_tokens, dtype=np.int32)
        lengths = np.empty(num_sentences, dtype=np.int64)
        self._table.gather(ids, lengths)
        return FlatIds(ids, lengths)


class PlainCache:
    """The same with numpy and a dict."""

    def __init__(self, rule: ChunkRule, encode_plainly: EncodePlainly) -> None:
        self._rule = rule
        self._classes = np.frombuffer(rule.classes, dtype=np.uint8)
        self._cuts = np.frombuffer(rule.cuts, dtype=np.bool_).reshape(NUM_CLASSES, NUM_CLASSES)
        self._encode_plainly = encode_plainly
        self._known: dict[str, list[int]] = {}

    def encode(self, sentences: Sequence[str]) -> FlatIds:
        """Return what the tokenizer would."""
        return concatenate([self._encode_step(step) for step in _steps(sentences)])

    def _encode_step(self, sentences: Sequence[str]) -> FlatIds:
        text = "\n".join(sentences) + "\n"
        if text.count("\n") != len(sentences):  # a sentence holds a line end
            return self._encode_plainly(list(sentences))
        chunks, sentence_of_chunk = self._split(text)
        if len(self._known) > MAX_ENTRIES:
            self._known.clear()
        missing = [chunk for chunk in dict.fromkeys(chunks) if chunk not in self._known]
        found = self._encode_plainly(missing)
        stops = np.cumsum(found.lengths)
        for chunk, ids in zip(missing, np.split(found.ids, stops[:-1]), strict=bool(missing)):
            self._known[chunk] = ids.tolist()
        rows = [self._known[chunk] for chunk in chunks]
        lengths = np.zeros(len(sentences), dtype=np.int64)
        np.add.at(lengths, sentence_of_chunk, np.fromiter(map(len, rows), np.int64, len(rows)))
        ids = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return FlatIds(ids, lengths)

    def _split(self, text: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return the chunks, and the sentence of each."""
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        is_classified = codes < NUM_CLASSIFIED
        classes = np.where(is_classified, self._classes[np.where(is_classified, codes, 0)], 0)
        ends_line = codes == ord("\n")
        is_cut = np.zeros(codes.size, dtype=bool)
        is_cut[1:] = self._cuts[classes[:-1], classes[1:]]
        is_cut_space = codes == ord(" ")
        is_cut_space[1:] &= classes[:-1] != 0
        is_cut_space[:-1] &= classes[1:] != 0
        is_cut_space[:1] = False
        is_dropped = ends_line | (is_cut_space if self._rule.drops_space else False)
        begins = is_cut | is_cut_space
        begins[:1] = True
        begins[1:] |= is_dropped[:-1]
        breaks = np.flatnonzero(begins | is_dropped)
        stops = np.append(breaks[1:], codes.size)
        is_chunk = ~is_dropped[breaks]
        starts, stops = breaks[is_chunk], stops[is_chunk]
        sentences = (np.cumsum(ends_line) - ends_line)[starts]
        bounds = zip(starts.tolist(), stops.tolist(), strict=True)
        return [text[start:stop] for start, stop in bounds], sentences
