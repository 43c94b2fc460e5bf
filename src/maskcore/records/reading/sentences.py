# SPDX-License-Identifier: Apache-2.0
"""Sentences of running prose, English and Korean: rules about what stands around a full stop.

Owns the rules; changing one changes records, so raise `SENTENCE_SPLITTER_VERSION` with it. A rule looks
at 32 characters before a full stop and 32 behind, so that time is linear in any text. Quotes and
brackets are never paired: an unbalanced one cannot swallow what follows. In doubt two sentences
stay together, which rows do not mind. Nothing ends without `. ! ? …`, in Korean neither.
"""

# Why no library (each tried): pysbd 0.3.4, of 2021, reads 0.05 MB/s and knows no Korean. sentencex
# 1.0.32 is as fast as this, but panics where U+3000, U+0085 or U+2028 follows a capital before a full
# stop, cuts Korean quotations from their particle, and is quadratic in quotation marks. blingfire
# 0.1.8, of 2021, is 42 MB and has no rules for Korean. kss 6 needs a dozen packages, and kiwipiepy a
# model of 88 MB.

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import ucd_3_2_0

from maskcore.records._unicode_classes import LETTER, unicode_class

__all__ = ["SENTENCE_SPLITTER_VERSION", "sentence_splitter", "split_english", "split_korean"]

SENTENCE_SPLITTER_VERSION = 2

_WINDOW = 32  # longer than any abbreviation

_CLOSERS = "\"'”\u2019»)\\]}」』》〉"
_OPENERS = "\"'“\u2018«([{「『《〈*_`"
_STOPS = ".!?…。\uff01\uff1f"  # the last two as wide as ideographs
# Marks and closers, then white space. Possessive (++) and begun only at the first mark, so that no
# run is read twice.
_CANDIDATE = re.compile(f"(?<![{_STOPS}])([{_STOPS}]++)([{_CLOSERS}]*+)(\\s++)")
# Korean that lacks the space: 했다.그리고
_KOREAN_CANDIDATE = re.compile(
    f"(?<![{_STOPS}])(?:([{_STOPS}]++)([{_CLOSERS}]*+)(\\s++)|(?<=[다요죠까])([.!?]++)(?=[가-힣]))"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Before a name: never the end of a sentence.
_TITLES = _words(
    "adm brig capt cmdr col cpl dr drs fr gen gov hon lt maj messrs mlle mme mr mrs ms msgr prof rep "
    "rev sen sgt sr st supt"
)
# In the middle of a sentence, whatever follows.
_CONNECTIVES = _words("approx ca cf e.g eg i.e ie incl resp viz vs")
# Before a number.
_NUMBERED = _words(
    "apr art aug bk ch chap dec eq eqs ex feb fig figs jan jul jun mar no nos nov oct p par para pl pp "
    "pt ref refs sec sect sep sept tab vol vols"
)
# May end a sentence, and mostly do before one of these; `Inc. Apple` does not.
_MAY_END = _words("al co corp dept est etc inc jr ltd")
_STARTERS = _words(
    "a after all also although an and as at because before but by each every for from he her here his "
    "how however i if in it its many most my no not on one or other our she since so some such that "
    "the their then there these they this those though thus to we what when where which while who "
    "why with yet you your"
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")  # J or U.S or p.m, without the last full stop
_NUMERAL = re.compile(r"\d{1,4}|[ivxlc]{1,6}|[A-Za-z가-힣]")
# What Korean puts behind a quotation: "가자." 라고 말했다
_QUOTING = re.compile(
    r"(?:이?라고|이?라며|이?라는|이?라면서|이?란|고|하고|하며|하는|며|는)(?![가-힣])"
)


class _SteadyCharacters(dict[int, str]):
    """For `str.translate`: characters that Unicode 3.2 lacks become a plain letter or a symbol.

    So the rules, which ask Python for small letters and digits, do not depend on what it knows.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if ucd_3_2_0.category(character) == "Cn":
            character = "\u4e00" if unicode_class(character) == LETTER else "\u2600"
        self[code] = character
        return character


_STEADY = _SteadyCharacters()
# Blocks that Unicode 3.2 knows whole: most lines hold nothing else.
_USUAL = re.compile(
    "[\0-\u0220\u0400-\u0486\u2000-\u2046\u2190-\u23ce\u3001-\u303e\u3041-\u3094\u30a1-\u30fe\u4e00-\u9fa5"
    "\uac00-\ud7a3\uff01-\uff5e]*+"
)


def sentence_splitter(language: str | None) -> Callable[[str], list[str]] | None:
    """Return the function that splits a line, or None where lines are sentences."""
    return {None: None, "en": split_english, "ko": split_korean}[language]


def split_english(line: str) -> list[str]:
    """Return the sentences of a line, stripped, none empty.

    Parameters
    ----------
    line : str
        Of any length, without line ends.

    Examples
    --------
    >>> split_english("Dr. Smith paid $3.50, i.e. too much. He left at 5 p.m. on Monday.")
    ['Dr. Smith paid $3.50, i.e. too much.', 'He left at 5 p.m. on Monday.']

    """
    return _split(line, _CANDIDATE, _ends_english)


def split_korean(line: str) -> list[str]:
    """Return the sentences of a line, stripped, none empty.

    Parameters
    ----------
    line : str
        Of any length, without line ends.

    Examples
    --------
    >>> split_korean('점수는 3.5점입니다. 그는 "가자."라고 했다. 왜요?')
    ['점수는 3.5점입니다.', '그는 "가자."라고 했다.', '왜요?']

    """
    return _split(line, _KOREAN_CANDIDATE, _ends_korean)


def _split(
    line: str, candidate: re.Pattern[str], ends: Callable[[str, re.Match[str], str], bool]
) -> list[str]:
    sentences = []
    steady = line if line.isascii() or _USUAL.fullmatch(line) else line.translate(_STEADY)
    start = 0
    for match in candidate.finditer(line):
        stop, after = match.start(), match.end()
        before = steady[max(start, stop - _WINDOW) : stop]
        words = before.rsplit(None, 1)
        word = words[-1].lstrip(_OPENERS) if words and not before[-1].isspace() else ""
        is_first = stop - start == len(before) and len(words) < 2
        if is_first and match[1] == "." and _NUMERAL.fullmatch(word):
            continue  # the number of a list's item: 3. Open the file.
        if ends(word, match, steady[after : after + _WINDOW]):
            sentences.append(line[start : match.start(3) if match[3] else after].strip())
            start = after
    sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _ends_english(word: str, match: re.Match[str], behind: str) -> bool:
    following = behind.lstrip(_OPENERS)
    if not following or following[0].islower():
        return not following
    if match[1] != ".":
        return True  # ! ? … and runs
    return match[2] != "" or not _is_abbreviation(word, following)


def _is_abbreviation(word: str, following: str) -> bool:
    """Return whether a full stop belongs to the word, and the sentence goes on."""
    lower = word.lower().rstrip(")]")
    if lower in _TITLES or lower in _CONNECTIVES:
        return True
    if lower in _NUMBERED:
        return following[0].isdigit()
    next_word = re.match(r"\w*", following)
    starts_sentence = next_word is not None and next_word[0].lower() in _STARTERS
    if lower in _MAY_END or _INITIALS.fullmatch(word):
        return not starts_sentence
    return False


def _ends_korean(word: str, match: re.Match[str], behind: str) -> bool:
    if match[3] is None:  # no space: 했다.그리고, but not 간다.라고
        return _QUOTING.match(behind) is None
    following = behind.lstrip(_OPENERS)
    if match[2] and _QUOTING.match(behind):
        return False
    if not following or following[0].islower():
        return not following
    if match[1] != "." or match[2]:
        return True
    if word.isdigit():
        return False  # 2024. 3. 15. and 제 3. are dates and numbers; sentences end in verbs
    return not (word.isascii() and _is_abbreviation(word, following))
