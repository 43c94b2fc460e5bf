# SPDX-License-Identifier: Apache-2.0
"""Sentences on which a word cache is held against its tokenizer before it is used.

Owns the sample. Knows nothing of tokenizers.
"""

from __future__ import annotations

__all__ = ["SAMPLE"]

_PROSE = (
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "She said: \"I'll be there at 10:30 (or so)...\" -- and they'd left.",
    "See https://example.org/a?b=c&d=%20#top, foo.bar_baz(x=-1.5e3) or [MASK] <s> </s> <pad>.",
    "Ärger im Café: Straße, naïve Übung, Ο Σίσυφος ΟΔΟΣ, Ёлка и чай, İstanbul ﬁn Ⅷ ½ ²",  # noqa: RUF001  # other scripts are the point
    "어제 저녁에 친구들과 함께 한강 공원에서 자전거를 탔다. (정말?)",
    "今天天气很好，我们去公园。北京2008年 漢字ABC 仮名まじり文、ﾊﾝｶｸ ｶﾞ ー 々",  # noqa: RUF001  # other scripts are the point
    "ภาษาไทย ไม่เว้นวรรค ำ हिन्दी में क्षत्रिय עברית مرحبا بالعالم ؀ ۝ 1",
    "emoji 😀 👩‍👩‍👧‍👦 👍🏽 🇰🇷🇰🇷 ✈️ ☕︎ math ∑ x ≠ y ´ a ¨ b ¯ ﷺ ™ €5 5€ #1 1# a_b _ __ ` ^",  # noqa: RUF001  # other scripts are the point
    "don't DON'T we've 's 't ''' x'sy ' s '' `` '",
    "tabs\tand\u000bform\u000cfeeds \u00a0nbsp\u00a0 a \u2003 wide\u3000b \u2028 c \u0085 d \u200b e\u200bf \ufeff",
    "a  b   c    d . , ,, ,  , 1 2  3",
    "a \u0301b e\u0301 \u0338 =\u0338 x \u200d y \u00ad soft\u00adhyphen \u0000 \u0007 \ufffd z \u2581 \u2581a a\u2581b",
    "x" * 101 + " " + "가" * 101 + " y " + "ab" * 600,
    "\u0301 \u0301a",
    ".",
    "a",
)
# Each piece of text behind and before others: cuts depend on neighbours.
_EDGES = (
    "a",
    "A1",
    "é",
    "한",
    "漢",
    "か",
    ".",
    "'",
    '"',
    "(",
    "_",
    "1",
    "²",
    "¨",
    "😀",
    "\u0301",
    "\u00a0",
    "ﾞ",
)

SAMPLE = (
    *_PROSE,
    *(
        "".join(("w", *middle, "z"))
        for left in _EDGES
        for right in _EDGES
        for middle in ((left, " ", right), (" ", left, right), (left, right, " "))
    ),
)
