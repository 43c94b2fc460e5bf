# SPDX-License-Identifier: Apache-2.0
"""Where words begin, from the pieces of a tokenizer alone, and how a piece reads.

Owns the rules of docs/records.md, section "Words", as tables over the vocabulary, so that a corpus
costs a table look-up a token and the tokenizer need not report words. Knows nothing of files, rows
or masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError
from maskcore.records._unicode_classes import LETTER, unicode_class

__all__ = [
    "WordRule",
    "continuing_prefix_rule",
    "end_of_word_rule",
    "marked_space_rule",
    "metaspace_rule",
    "word_rule",
]

# What stands at an end of a piece. Equal kinds join into a word; CJK never joins.
WITHIN_CHARACTER = 0  # the bytes of a part of a character: what came before decides
LETTERS = 1
SYMBOLS = 2
CJK = 3
ADDED = 4  # an added token, which is a word of its own
SPACE = 5  # a bare space marker: whatever follows joins it

# Scripts written without spaces whose pieces are words: ideographs as in BERT's tokenization.py
# `_is_chinese_char` (google-research/bert), and kana (Unicode blocks Hiragana, Katakana, Bopomofo,
# their extensions and half-width forms); U+3005 to U+3007 repeat, end or stand for ideographs.
_CJK_RANGES = (
    (0x3005, 0x3007),
    (0x3040, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x1B000, 0x1B16F),
    (0x20000, 0x2FA1F),
)

Bools = NDArray[np.bool_]
Kinds = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class WordRule:
    """For each id: whether it begins a word, what stands at its ends, and its text."""

    name: str
    begins: Bools
    first_kinds: Kinds | None
    """None where `begins` says everything."""
    last_kinds: Kinds | None
    texts: tuple[bytes, ...]
    """UTF-8, perhaps a part of a character, with the space that belongs to the piece."""
    ends: Bools | None = None
    """Whether a word ends with the piece, so that the next one begins a word."""

    def word_starts(self, ids: NDArray[np.int32], sentence_starts: NDArray[np.int64]) -> Bools:
        """Return which of `ids` begin a word; the first of each sentence does."""
        starts = self.begins[ids]
        if self.first_kinds is not None and self.last_kinds is not None and ids.size:
            first, last = self.first_kinds[ids], self.last_kinds[ids]
            before = _kinds_before(last)
            differs = (first[1:] != before) | (first[1:] == CJK)
            starts[1:] |= differs & (first[1:] != WITHIN_CHARACTER) & (before != SPACE)
        if self.ends is not None:
            starts[1:] |= self.ends[ids[:-1]]
        starts[sentence_starts] = True
        return starts

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of adjacent pieces."""
        return b"".join(self.texts[i] for i in ids).decode("utf-8", "replace")


def _kinds_before(last: Kinds) -> Kinds:
    """Return what stands before each token but the first.

    A part of a character has the kind of what came before it.
    """
    is_known = last != WITHIN_CHARACTER
    if not is_known.all():
        last = last[np.maximum.accumulate(np.where(is_known, np.arange(last.size), 0))]
    return last[:-1]


def word_rule(settings: Mapping[str, Any], vocabulary: Mapping[str, int]) -> WordRule:
    """Choose the rule for a tokenizer.

    Parameters
    ----------
    settings : the parsed tokenizer.json
    vocabulary : piece -> id, added tokens included

    Raises
    ------
    RecordsError
        Where the pieces do not show where words begin.

    """
    model = settings["model"]
    added = {token["content"] for token in settings.get("added_tokens") or ()}
    steps = [
        step
        for part in ("normalizer", "pre_tokenizer", "decoder")
        for step in _flatten(settings.get(part))
    ]
    types = {step.get("type") for step in steps}
    if model["type"] == "WordLevel":
        return continuing_prefix_rule("word-level", vocabulary, "", added)
    prefix = model.get("continuing_subword_prefix")
    if model["type"] == "WordPiece" or prefix:
        name = "wordpiece" if model["type"] == "WordPiece" else "continuing-prefix"
        return continuing_prefix_rule(name, vocabulary, prefix, added)
    text_of = _byte_level_text if "ByteLevel" in types else str.encode
    if model.get("end_of_word_suffix"):
        unknown = {model["unk_token"]} if model.get("unk_token") else set()
        suffix = model["end_of_word_suffix"]
        return end_of_word_rule(vocabulary, suffix, text_of, added | unknown)
    if "ByteLevel" in types:
        return marked_space_rule("byte-level", vocabulary, "Ġ", _byte_level_text, added)
    if "Metaspace" in types or any("▁" in str(step.get("content", "")) for step in steps):
        return metaspace_rule(vocabulary, added)
    raise RecordsError(
        f"tokenizer: cannot tell where words begin in a {model['type']} model without byte-level or "
        "metaspace (▁) steps, a prefix of continuing pieces (##) or a suffix of words (</w>); use "
        "WordPiece, byte-level BPE, or a SentencePiece model"
    )


def _flatten(step: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if not step:
        return []
    parts = [
        part for key in ("normalizers", "pretokenizers", "decoders") for part in step.get(key) or ()
    ]
    return [step, *(inner for part in parts for inner in _flatten(part))]


def _by_id(vocabulary: Mapping[str, int]) -> list[str]:
    pieces = [""] * (max(vocabulary.values()) + 1)
    for piece, number in vocabulary.items():
        pieces[number] = piece
    return pieces


def continuing_prefix_rule(
    name: str, vocabulary: Mapping[str, int], prefix: str, added: set[str]
) -> WordRule:
    """WordPiece: a piece begins a word unless it carries the prefix of continuing pieces.

    With an empty prefix every piece is a word.

    >>> rule = continuing_prefix_rule("wordpiece", {"play": 0, "##ing": 1}, "##", set())
    >>> rule.begins.tolist(), rule.text([0, 1])
    ([True, False], ' playing')
    """
    begins, texts = [], []
    for piece in _by_id(vocabulary):
        is_continuing = (
            bool(prefix)
            and piece.startswith(prefix)
            and len(piece) > len(prefix)
            and piece not in added
        )
        begins.append(not is_continuing)
        texts.append(piece[len(prefix) :].encode() if is_continuing else b" " + piece.encode())
    return WordRule(name, np.array(begins, dtype=bool), None, None, tuple(texts))


def marked_space_rule(
    name: str,
    vocabulary: Mapping[str, int],
    marker: str,
    text_of: Callable[[str], bytes],
    added: set[str],
) -> WordRule:
    """Byte-level BPE and SentencePiece: a space, a change of kind, or CJK begins a word."""
    begins, first, last, texts = [], [], [], []
    for piece in _by_id(vocabulary):
        text = piece.encode() if piece in added else text_of(piece)
        texts.append(text)
        begins.append(piece in added or piece.startswith(marker) or text[:1].isspace())
        bare = text.lstrip()
        if piece in added:
            ends = (ADDED, ADDED)
        elif not bare:
            ends = (SPACE, SPACE)
        else:
            ends = (_kind_at_front(bare), _kind_at_back(bare))
        first.append(ends[0])
        last.append(ends[1])
    return WordRule(
        name,
        np.array(begins, dtype=bool),
        np.array(first, dtype=np.uint8),
        np.array(last, dtype=np.uint8),
        tuple(texts),
    )


def metaspace_rule(vocabulary: Mapping[str, int], added: set[str]) -> WordRule:
    """SentencePiece: a space is written as ▁ (U+2581)."""
    return marked_space_rule("metaspace", vocabulary, "▁", _metaspace_text, added)


def end_of_word_rule(
    vocabulary: Mapping[str, int],
    suffix: str,
    text_of: Callable[[str], bytes],
    standing_alone: set[str],
) -> WordRule:
    """BPE of GPT-1 and CLIP: the last piece of a word carries a suffix.

    Pieces in `standing_alone`, added tokens and the unknown one, are words of their own.

    >>> rule = end_of_word_rule({"play": 0, "ing</w>": 1, "a</w>": 2}, "</w>", str.encode, set())
    >>> ids = np.array([0, 1, 2], dtype=np.int32)
    >>> rule.word_starts(ids, np.array([0])).tolist(), rule.text(ids.tolist())
    ([True, False, True], 'playing a ')
    """
    begins, ends, texts = [], [], []
    for piece in _by_id(vocabulary):
        is_alone = piece in standing_alone
        is_last = not is_alone and piece.endswith(suffix)
        begins.append(is_alone)
        ends.append(is_alone or is_last)
        if is_alone:
            texts.append(piece.encode() + b" ")
        else:
            texts.append(text_of(piece[: -len(suffix)]) + b" " if is_last else text_of(piece))
    return WordRule(
        "end-of-word",
        np.array(begins, dtype=bool),
        None,
        None,
        tuple(texts),
        np.array(ends, dtype=bool),
    )


@lru_cache(maxsize=1 << 16)  # pieces end in few characters
def _kind(character: str) -> int:
    code = ord(character)
    if any(low <= code <= high for low, high in _CJK_RANGES):
        return CJK
    return LETTERS if unicode_class(character) == LETTER else SYMBOLS


def _kind_at_front(text: bytes) -> int:
    if text[0] < 0x80:
        return _kind(chr(text[0]))
    if text[0] < 0xC0:
        return WITHIN_CHARACTER
    for size in range(2, 5):
        try:
            return _kind(text[:size].decode("utf-8"))
        except UnicodeDecodeError:
            continue
    # A character begins that the piece does not finish: E3 to E9 lead U+3000 to U+9FFF, nearly all
    # of it CJK.
    return CJK if 0xE3 <= text[0] <= 0xE9 else LETTERS


def _kind_at_back(text: bytes) -> int:
    if text[-1] < 0x80:
        return _kind(chr(text[-1]))
    for size in range(2, min(4, len(text)) + 1):
        try:
            return _kind(text[-size:].decode("utf-8"))
        except UnicodeDecodeError:
            continue
    if all(0x80 <= byte < 0xC0 for byte in text):
        return WITHIN_CHARACTER
    return _kind_at_front(text[-1:] if text[-1] >= 0xC0 else _last_unfinished(text))


def _last_unfinished(text: bytes) -> bytes:
    start = len(text) - 1
    while start > 0 and 0x80 <= text[start] < 0xC0:
        start -= 1
    return text[start:]


def _metaspace_text(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])  # byte fallback of SentencePiece
    return piece.replace("▁", " ").encode()


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """Return the bytes behind byte-level characters: `bytes_to_unicode` of openai/gpt-2."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + i): byte for i, byte in enumerate(others)})
    return table


def _byte_level_text(piece: str) -> bytes:
    try:
        return bytes(map(_byte_of_character().__getitem__, piece))
    except KeyError:
        return piece.encode()
