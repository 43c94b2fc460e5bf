# SPDX-License-Identifier: Apache-2.0
"""A tokenizer.json of Hugging Face `tokenizers`, made safe for a corpus.

Owns what is switched off (truncation, padding, dropout, special tokens out of the text) and how ids
and offsets come out of the library. Knows nothing of words, caches or documents.
"""

from __future__ import annotations

import json
import operator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError, require
from maskcore.records.tokenising.chunk_rule import ChunkRule, NotCut, chunk_rule
from maskcore.records.tokenising.word_cache import FlatIds
from maskcore.records.tokenising.words import WordRule, word_rule

__all__ = ["HuggingFaceModel"]

FILE_NAME = "tokenizer.json"
# The library returns some hundred bytes a token, which stay in the processor's cache for so few.
_TEXTS_AT_ONCE = 64
_IDS = operator.attrgetter("ids")
_KINDS = {"WordPiece": "wordpiece", "BPE": "bpe", "Unigram": "unigram", "WordLevel": "word-level"}


class HuggingFaceModel:
    """A tokenizer.json; see `TokenModel` of tokenise.py."""

    def __init__(self, content: bytes, source: str) -> None:
        self.content = content
        self.file_name = FILE_NAME
        self.special_tokens_way_out = "add them with tokenizer.add_special_tokens(...)"
        self._tokenizer = _load(content, source)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        if getattr(self._tokenizer.model, "dropout", None) is not None:
            self._tokenizer.model.dropout = None  # the same text gives the same ids
        # As the library writes it, which knows the old forms of the file.
        self._settings: dict[str, Any] = json.loads(self._tokenizer.to_str())
        self.vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self.rule: WordRule = word_rule(self._settings, self.vocabulary)
        kind = _KINDS[self._settings["model"]["type"]]
        self.kind = "byte-bpe" if (kind, self.rule.name) == ("bpe", "byte-level") else kind

    def encode(self, texts: list[str]) -> FlatIds:
        """Return the ids of all texts."""
        lengths = np.empty(len(texts), dtype=np.int64)
        parts = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            batch = texts[start : start + _TEXTS_AT_ONCE]
            encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            rows = list(map(_IDS, encodings))
            lengths[start : start + len(rows)] = list(map(len, rows))
            parts.append(np.fromiter(chain.from_iterable(rows), np.int32))
        return FlatIds(np.concatenate(parts) if parts else np.empty(0, np.int32), lengths)

    def token_starts(self, texts: list[str]) -> list[NDArray[np.int64]]:
        """Return for each text the character at which each of its tokens begins."""
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [
            np.array([start for start, _ in encoding.offsets], dtype=np.int64)
            for encoding in encodings
        ]

    def chunk_rule(self) -> ChunkRule | NotCut:
        """Return how text may be cut."""
        normalizer = self._tokenizer.normalizer
        return chunk_rule(self._settings, normalizer.normalize_str if normalizer else None)


def _load(content: bytes, source: str) -> Any:
    library = require("tokenizers")
    try:
        return library.Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises plain Exception for a bad file
        raise RecordsError(
            f"{source}: not a tokenizer.json of Hugging Face tokenizers ({error}); pass one, a BERT "
            "vocab.txt or a SentencePiece .model, or leave --tokenizer out to train one"
        ) from None
