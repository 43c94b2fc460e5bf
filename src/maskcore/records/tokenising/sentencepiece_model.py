# SPDX-License-Identifier: Apache-2.0
"""A SentencePiece .model, by Google's library `sentencepiece`.

Owns how ids, offsets and pieces come out of the library. Knows nothing of words, caches or documents.

There is no cache in front of it: the library is several times as fast as a tokenizer.json, and its
unigram models sum scores over whole sentences in single precision, so that a word's pieces may, by
rounding, depend on the words before it.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError, require
from maskcore.records.tokenising.chunk_rule import ChunkRule, NotCut
from maskcore.records.tokenising.word_cache import FlatIds
from maskcore.records.tokenising.words import WordRule, metaspace_rule

__all__ = ["SentencePieceModel"]

FILE_NAME = "tokenizer.model"
_MARKER = "\u2581"


class SentencePieceModel:
    """A .model; see `TokenModel` of tokenise.py."""

    kind = "sentencepiece"

    def __init__(self, content: bytes, source: str) -> None:
        self.content = content
        self.file_name = FILE_NAME
        self.special_tokens_way_out = (
            "train it with control_symbols='[CLS],[SEP],[MASK]' and pad_id=0, as ALBERT does, or "
            "convert it to a tokenizer.json that has them"
        )
        self._processor = _load(content, source)
        pieces = [self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())]
        self.vocabulary = {piece: number for number, piece in enumerate(pieces)}
        named = {
            piece
            for number, piece in enumerate(pieces)
            if self._processor.is_control(number) or self._processor.is_unknown(number)
        }
        words = [piece for piece in pieces if len(piece) > 1 and piece not in named]
        ends_with_marker = any(piece.endswith(_MARKER) for piece in words)
        if ends_with_marker and not any(piece.startswith(_MARKER) for piece in words):
            raise RecordsError(
                f"{source}: cannot tell where words begin, since {_MARKER} (U+2581) ends pieces and "
                "begins none; train the model without treat_whitespace_as_suffix"
            )
        self.rule: WordRule = metaspace_rule(self.vocabulary, named)

    def encode(self, texts: list[str]) -> FlatIds:
        """Return the ids of all texts."""
        rows = self._processor.encode(texts, out_type=int, num_threads=1)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return FlatIds(ids, lengths)

    def token_starts(self, texts: list[str]) -> list[NDArray[np.int64]]:
        """Return for each text the character at which each of its tokens begins."""
        found = self._processor.encode(texts, out_type="offset_mapping", num_threads=1)
        return [
            np.array([start for start, _ in mapping["offsets"]], dtype=np.int64)
            for mapping in found
        ]

    def chunk_rule(self) -> ChunkRule | NotCut:
        """Return why text is not cut."""
        return NotCut("sentencepiece, which is faster than looking words up would save")


def _load(content: bytes, source: str) -> Any:
    library = require("sentencepiece")
    processor = library.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
    except RuntimeError as error:
        raise RecordsError(
            f"{source}: not a SentencePiece model ({error}); pass a .model"
        ) from None
    return processor
