# SPDX-License-Identifier: Apache-2.0
"""Classes of characters, by which text is cut into chunks that are tokenised each by itself.

Owns which characters may stand beside a cut. Knows nothing of tokenizers but their normaliser, which
it asks what becomes of single characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

__all__ = [
    "APOSTROPHE",
    "INSIDE",
    "ISOLATED",
    "LETTER_OR_DIGIT",
    "NUM_CLASSIFIED",
    "PLAIN",
    "base_classes",
    "is_ideograph",
    "without_unsteady",
]

# Classes. What is not classified is INSIDE: chunks with it are longer, and still exact.
INSIDE = 0
"""Never beside a cut: white space, marks, controls, joiners, and what this Unicode does not know."""
PLAIN = 1
LETTER_OR_DIGIT = 2
"""Letters and decimal digits that have been so since Unicode 3.2, so whatever Unicode a tokenizer knows."""
ISOLATED = 3
APOSTROPHE = 4

NUM_CLASSIFIED = 0x20000
_HANGUL_SYLLABLES = (0xAC00, 0xD7A4)
_IDEOGRAPHS = ((0x3400, 0x4DB6), (0x4E00, 0x9FA6))  # those of Unicode 3.2
_LOOKED_UP = ((0x0000, 0x3400), (0xA000, 0xAC00), (0xF900, 0x10000), (0x1F000, 0x1FC00))
# Letters and symbols that share a grapheme with a space beside them (UAX 29, rules GB9, GB9a and
# GB9b): Prepend, SpacingMark and Extend; all others of those kinds are marks, controls or beyond
# what is looked up.
_JOINING = (0x0D4E, 0x0E33, 0x0EB3, 0xFF9E, 0xFF9F, *range(0x1F3FB, 0x1F400))
# SentencePiece reads it as a space, and BERT drops U+FFFD.
_READ_AS_OTHERS = (0x2581, 0xFFFD)


@lru_cache(maxsize=1)
def base_classes() -> bytes:
    """Return the class, INSIDE, PLAIN or LETTER_OR_DIGIT, of each code point below `NUM_CLASSIFIED`."""
    classes = bytearray(NUM_CLASSIFIED)
    now, then = unicodedata.category, unicodedata.ucd_3_2_0.category
    for first, stop in _LOOKED_UP:
        for code in range(first, stop):
            character = chr(code)
            category = now(character)
            if category[0] in "LNPS":
                is_steady = category[0] == "L" or category == "Nd"
                is_steady = is_steady and then(character) == category
                classes[code] = LETTER_OR_DIGIT if is_steady else PLAIN
    for first, stop in (_HANGUL_SYLLABLES, *_IDEOGRAPHS):
        classes[first:stop] = bytes([LETTER_OR_DIGIT]) * (stop - first)
    for code in (*_JOINING, *_READ_AS_OTHERS):
        classes[code] = INSIDE
    return bytes(classes)


def is_ideograph(code: int) -> bool:
    """Whether a code point is one of the ideographs of Unicode 3.2."""
    return any(first <= code < stop for first, stop in _IDEOGRAPHS)


def without_unsteady(classes: bytes, normalise: Callable[[str], str] | None) -> bytes:
    """Return the classes of what a normaliser leaves steady.

    What it drops or gives a space at an end becomes INSIDE, such as U+00B4, of which NFKC makes a
    space and a mark; letters of which it makes anything but letters and digits at their ends become
    PLAIN.

    >>> classes = without_unsteady(base_classes(), lambda text: text.replace("a", " ").replace("b", "!"))
    >>> [classes[ord(letter)] for letter in "abc"]
    [0, 1, 2]
    """
    if normalise is None:
        return classes
    codes = [code for code, kind in enumerate(classes) if kind != INSIDE and code != ord("|")]
    kept = normalise("|" + "".join([f"{chr(code)}|" for code in codes])).split("|")[1:-1]
    if len(kept) != len(codes):  # something became a bar
        kept = [normalise(f"|{chr(code)}|").partition("|")[2].rpartition("|")[0] for code in codes]
    changed = bytearray(classes)
    for code, text in zip(codes, kept, strict=True):
        if len(text) == 1 and ord(text) == code:
            continue
        if not text or _is_space(text[0]) or _is_space(text[-1]):
            changed[code] = INSIDE
        elif changed[code] == LETTER_OR_DIGIT and not (
            _is_letter(text[0]) and _is_letter(text[-1])
        ):
            changed[code] = PLAIN
    return bytes(changed)


def _is_space(character: str) -> bool:
    return character.isspace() or character == "\u2581"


def _is_letter(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "L" or category == "Nd"
