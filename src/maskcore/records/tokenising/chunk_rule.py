# SPDX-License-Identifier: Apache-2.0
r"""Where text can be cut so that the ids of the chunks, one after the other, are those of the text.

Owns the proof, made from the parts of a tokenizer.json: normalisers that look at single characters
or graphemes, pre-tokenizers that always break there, and models that never see two pre-tokens at
once. What is not known to be so is not cut. Knows nothing of tables or token ids.

A space is cut only between two characters that are neither white space nor marks nor controls, so
that neither a grapheme, nor composition (NFC), nor a pattern such as `\s+(?!\S)` reaches across.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from maskcore.records.tokenising.characters import (
    APOSTROPHE,
    INSIDE,
    ISOLATED,
    LETTER_OR_DIGIT,
    PLAIN,
    base_classes,
    is_ideograph,
    without_unsteady,
)

__all__ = ["NUM_CLASSES", "ChunkRule", "NotCut", "chunk_rule", "flatten_steps"]

NUM_CLASSES = 8
_MARKER = "\u2581"

# Normalisers that work character by character or grapheme by grapheme.
_LOCAL_NORMALIZERS = {
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Precompiled",
    "StripAccents",
}
# Of them, those that leave ASCII punctuation what it is.
_PLAIN_NORMALIZERS = _LOCAL_NORMALIZERS - {"Nmt", "Precompiled"}
_SPACE_RUNS = {" {2,}", r"\s+"}
# Pre-tokenizers that split at white space and drop it.
_WHITESPACE_FIRST = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
# Those that treat every pre-token by itself, and so may follow.
_PER_PRE_TOKEN = _WHITESPACE_FIRST | {
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Split",
}
# Patterns that begin a match at a space behind which no space stands, or take it alone, and never
# have a match go on behind a letter or digit that punctuation follows: the encodings cl100k_base
# and o200k_base of openai/tiktoken (tiktoken_ext/openai_public.py), as tokenizer.json files of
# Llama 3, Qwen 2 and GPT-4o write them.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS_AND_NUMBERS = (
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CASED_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KNOWN_PATTERNS = {
    _CONTRACTIONS + _WORDS_AND_NUMBERS % "{1,3}",
    _CONTRACTIONS + _WORDS_AND_NUMBERS % "",
    _CASED_WORDS % (_CONTRACTIONS + "?", _CONTRACTIONS + "?"),
}
# CLIP's (openai/CLIP, simple_tokenizer.py), which drops white space.
_CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """How text is cut; see csrc/records/maskcore_word_cache.h."""

    classes: bytes
    """Class of each code point; those beyond have class 0."""
    cuts: bytes = bytes(NUM_CLASSES * NUM_CLASSES)
    """1 at 8 * a + b: neighbours of classes a and b are cut apart."""
    drops_space: bool = False
    """A space at which text is cut belongs to no chunk; otherwise to the one behind it."""
    joins_spaces: bool = False
    """Several spaces in a row are cut like one."""


class NotCut(NamedTuple):
    """Text is not cut."""

    reason: str


class _Parts(NamedTuple):
    normalizers: list[Mapping[str, Any]]
    pre_tokenizers: list[Mapping[str, Any]]
    model: Mapping[str, Any]
    has_added_tokens: bool
    """Tokens that are found in the text before anything else, and are not special."""
    normalise: Callable[[str], str] | None

    def has(self, normalizer: str) -> bool:
        return any(step["type"] == normalizer for step in self.normalizers)

    @property
    def is_plain(self) -> bool:
        """Whether finer cuts than at spaces are worth a thought."""
        types = {step["type"] for step in self.normalizers}
        return types <= _PLAIN_NORMALIZERS and not self.has_added_tokens


def flatten_steps(step: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the steps of a normalizer, pre_tokenizer or decoder without their sequences."""
    if not step:
        return []
    if step.get("type") != "Sequence":
        return [step]
    parts = next(
        step[key]
        for key in ("normalizers", "pretokenizers", "decoders")
        if step.get(key) is not None
    )
    return [inner for part in parts for inner in flatten_steps(part)]


def chunk_rule(
    settings: Mapping[str, Any], normalise: Callable[[str], str] | None
) -> ChunkRule | NotCut:
    """Choose how the text of a tokenizer may be cut.

    Parameters
    ----------
    settings : the parsed tokenizer.json
    normalise : its normaliser as a function of text; None if it has none

    Returns
    -------
    ChunkRule, or NotCut with the reason

    """
    added = [token for token in settings.get("added_tokens") or () if not token["special"]]
    parts = _Parts(
        flatten_steps(settings.get("normalizer")),
        flatten_steps(settings.get("pre_tokenizer")),
        settings["model"],
        bool(added),
        normalise,
    )
    for step in parts.normalizers:
        if not _is_local(step):
            return NotCut(f"normalizer {step['type']}")
    for token in added:
        if token["lstrip"] or token["rstrip"] or any(map(_is_blank, token["content"])):
            return NotCut(f"added token {token['content']!r}, which takes white space")
    return _rule_of_pre_tokenizers(parts)


def _is_blank(character: str) -> bool:
    return base_classes()[ord(character)] == INSIDE if ord(character) < 0x20000 else True


def _is_local(step: Mapping[str, Any]) -> bool:
    kind = step["type"]
    if kind in _LOCAL_NORMALIZERS or kind == "Strip":
        return True
    if kind == "Prepend":
        return bool(step["prepend"] == _MARKER)
    if kind != "Replace":
        return False
    pattern, content = step["pattern"], step["content"]
    if pattern.get("Regex") in _SPACE_RUNS:  # a single space stays one
        return content in {" ", _MARKER}
    text = pattern.get("String")
    if text == " ":
        return bool(content == _MARKER)
    return bool(text) and bool(content) and not any(map(_is_blank, text + content))


def _rule_of_pre_tokenizers(parts: _Parts) -> ChunkRule | NotCut:
    steps = parts.pre_tokenizers
    marks_spaces = any(
        step["type"] == "Replace" and step["pattern"].get("String") == " "
        for step in parts.normalizers
    )
    if not steps or (len(steps) == 1 and steps[0]["type"] == "Metaspace"):
        return _metaspace_rule(parts, marks_spaces)
    if marks_spaces or parts.has("Prepend"):
        return NotCut("a normalizer that marks spaces before a pre-tokenizer")
    if steps[0]["type"] in _WHITESPACE_FIRST or _is_split(steps[0], {_CLIP_PATTERN}, "Removed"):
        return _whitespace_first_rule(parts)
    if steps[-1]["type"] == "ByteLevel":
        return _byte_level_rule(parts)
    return NotCut(f"pre-tokenizer {steps[0]['type']}")


def _is_split(step: Mapping[str, Any], patterns: set[str], behavior: str) -> bool:
    return (
        step["type"] == "Split"
        and step["pattern"].get("Regex") in patterns
        and step["behavior"] == behavior
        and bool(step["invert"]) == (behavior == "Removed")
    )


def _whitespace_first_rule(parts: _Parts) -> ChunkRule | NotCut:
    """White space is dropped, so that chunks are words; punctuation may be cut off, too."""
    for step in parts.pre_tokenizers[1:]:
        # "first" looks where a pre-token stands in the text.
        if step["type"] not in _PER_PRE_TOKEN or step.get("prepend_scheme") == "first":
            return NotCut(f"pre-tokenizer {step['type']} behind {parts.pre_tokenizers[0]['type']}")
    classes, cuts = base_classes(), bytes(NUM_CLASSES * NUM_CLASSES)
    first = parts.pre_tokenizers[0]["type"]
    if parts.is_plain and first == "BertPreTokenizer":
        classes = _isolate(classes, _bert_isolates(parts))
        others = (PLAIN, LETTER_OR_DIGIT, ISOLATED)
        cuts = _cuts((a, b) for a in others for b in others if ISOLATED in (a, b))
    elif parts.is_plain and first == "Whitespace":  # \w+|[^\w\s]+
        classes = _isolate(classes, set(map(ord, string.punctuation)) - {ord("_")})
        classes = without_unsteady(classes, parts.normalise)
        cuts = _cuts([(LETTER_OR_DIGIT, ISOLATED), (ISOLATED, LETTER_OR_DIGIT)])
    # Where several spaces become a marker, they do not split.
    joins_spaces = not any(step["type"] == "Replace" for step in parts.normalizers)
    return ChunkRule(classes, cuts, drops_space=True, joins_spaces=joins_spaces)


def _bert_isolates(parts: _Parts) -> set[int]:
    """Characters that BERT's steps make pre-tokens: punctuation, and ideographs where it is asked."""
    isolated = set(map(ord, string.punctuation))
    if not all(step["type"] == "BertNormalizer" for step in parts.normalizers):
        return isolated - set(map(ord, "<=>"))  # a mark behind them makes symbols: U+2260
    isolates_ideographs = any(step["handle_chinese_chars"] for step in parts.normalizers)
    for code, kind in enumerate(base_classes()):
        if kind == PLAIN and unicodedata.category(chr(code))[0] == "P":
            if unicodedata.ucd_3_2_0.category(chr(code))[0] == "P":
                isolated.add(code)
        elif kind == LETTER_OR_DIGIT and isolates_ideographs and is_ideograph(code):
            isolated.add(code)
    return isolated


def _byte_level_rule(parts: _Parts) -> ChunkRule | NotCut:
    *before, byte_level = parts.pre_tokenizers
    adds_space = byte_level["add_prefix_space"]
    is_gpt2 = not before and byte_level.get("use_regex", True)
    is_known = len(before) == 1 and (
        (before[0]["type"] == "Digits" and byte_level.get("use_regex", True))
        or (_is_split(before[0], _KNOWN_PATTERNS, "Isolated") and not byte_level["use_regex"])
    )
    if not (is_gpt2 or is_known):
        return NotCut("pre-tokenizers before ByteLevel that are not known")
    if adds_space and (before or parts.has_added_tokens):
        return NotCut("ByteLevel that adds a space to parts of words")
    if not adds_space and parts.has("Strip"):
        return NotCut("a normalizer that strips the space before a word")
    classes = base_classes()
    cuts: bytes = bytes(NUM_CLASSES * NUM_CLASSES)
    if parts.is_plain and not adds_space and not (before and before[0]["type"] == "Digits"):
        classes = _isolate(classes, set(map(ord, string.punctuation)) - {ord("'")})
        allowed = [(LETTER_OR_DIGIT, ISOLATED)]
        if is_gpt2:
            # 's and the like take letters behind an apostrophe, and never follow letters directly.
            classes = _with_class(classes, {ord("'")}, APOSTROPHE)
            allowed += [(LETTER_OR_DIGIT, APOSTROPHE), (ISOLATED, LETTER_OR_DIGIT)]
        cuts = _cuts(allowed)
    return ChunkRule(without_unsteady(classes, parts.normalise), cuts, drops_space=adds_space)


def _metaspace_rule(parts: _Parts, marks_spaces: bool) -> ChunkRule | NotCut:
    step = parts.pre_tokenizers[0] if parts.pre_tokenizers else None
    adds_space = parts.has("Prepend") if step is None else step["prepend_scheme"] != "never"
    reason = _why_not_by_marker(parts, step, marks_spaces, adds_space)
    if reason:
        return NotCut(reason)
    return ChunkRule(without_unsteady(base_classes(), parts.normalise), drops_space=adds_space)


def _why_not_by_marker(
    parts: _Parts, step: Mapping[str, Any] | None, marks_spaces: bool, adds_space: bool
) -> str | None:
    reasons = {
        "added tokens, before which a space may stand alone": parts.has_added_tokens,
        "no pre-tokenizer": step is None and not marks_spaces,
        "Metaspace with a marker of its own": step is not None and step["replacement"] != _MARKER,
        "a normalizer that marks spaces before Metaspace": (
            step is not None and (marks_spaces or parts.has("Prepend"))
        ),
        "a normalizer that strips the space before a word": not adds_space and parts.has("Strip"),
    }
    splits = step is not None and step["split"]
    found = next((reason for reason, holds in reasons.items() if holds), None)
    return found if found or splits else _why_spaces_do_not_split(parts.model)


def _why_spaces_do_not_split(model: Mapping[str, Any]) -> str | None:
    """Return why a model that sees whole sentences joins words, or None.

    Merges never reach across a marker that stands only in front of pieces. The best path of a
    unigram model does not either, but sums of scores are rounded, which may decide between equals.
    """
    if model["type"] != "BPE":
        return f"a {model['type']} model that sees whole sentences"
    if model.get("ignore_merges") or _MARKER not in model["vocab"]:
        return "a BPE model that sees whole sentences"
    if any(_MARKER in piece.lstrip(_MARKER) for piece in model["vocab"]):
        return "a BPE model with pieces that reach across spaces"
    return None


def _with_class(classes: bytes, codes: set[int], kind: int) -> bytes:
    changed = bytearray(classes)
    for code in codes:
        changed[code] = kind
    return bytes(changed)


def _isolate(classes: bytes, codes: set[int]) -> bytes:
    return _with_class(classes, codes, ISOLATED)


def _cuts(pairs: Any) -> bytes:
    table = bytearray(NUM_CLASSES * NUM_CLASSES)
    for a, b in pairs:
        table[NUM_CLASSES * a + b] = 1
    return bytes(table)
