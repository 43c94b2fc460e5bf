# SPDX-License-Identifier: Apache-2.0
"""Splitting prose into sentences: what the rules get right, and where they are known to be wrong.

Sentences are divided by `|` in what is expected.
"""

import random
import unicodedata

import pytest
from records_reading import counts_of, file_of

from maskcore.records.reading.documents import SENTENCE_SPLITTER_VERSION
from maskcore.records.reading.sentences import (
    _USUAL,
    sentence_splitter,
    split_english,
    split_korean,
)

ENGLISH = [
    "One sentence.| Another one.",
    "No full stop at the end",
    "What?| Really?!| Yes!| No...| Well…| Go.",
    "Mr. Smith and Dr. J. R. Brown met Prof. Lee.| They talked.",
    "It costs $3.50, i.e. 5 % more (approx. Half).| See Fig. 3 and pp. 5 ff. of vol. 2.| Then stop.",
    "I said no.| No. 5 came in.| No.| I will not.",
    "The U.S. Army left the U.S. in 1945.| It came back at 5 p.m. on Monday.| He lives in the U.S.| She does not.",
    "Apples, pears, etc. are fruit.| Apples, etc.| The end.| Apple Inc. Apple is.| Apple Inc.| However, no.",
    "3. Open the file.| 4. Close it.| A. First.| 12. Last.", "iv. Part four.| C. 3 is a note.",
    "In 1995.| The end.| It is 5.| Nothing more.",
    'He said "Go home."| Then he left.| "Yes!" she said.| "No."| (It was late.)| So what?',
    "“Fine.”| \u2018Good.\u2019| [Bad.]| «Oui.»| Next.",
    "Version 3.11 is out.| Use os.path.join().| Read https://a.b/c?d=e.| Next one.",
    "Plan B.| The rest.| Vitamin C.| It is.| So do I.| Then we go.",
    "Yahoo! is a name.| It is.",
    "He came (see [1]).| Then he left.",
    "Wait ... what?| Wait...| What?",
    "One.\u00a0\u00a0Two.".replace(".\u00a0\u00a0", ".|\u00a0\u00a0"),
    "An “unbalanced quote.| It swallows nothing.| Nor does (this.| See.",
]  # fmt: skip
# Two sentences stay together, or one is cut: the rules do not know better.
ENGLISH_WRONG = [
    "all in lower case. nothing is seen.",
    "I work for Apple Inc. Google is next door.",
    "“Hello.| How are you?” he asked.",
    "No space.Here.",
]
KOREAN = [
    "안녕하세요.| 저는 3.5점을 받았습니다.| 그런데 왜요?| 몰라요!| 그래…| 응.",
    '그는 "가자."라고 말했다.| 그리고 갔다.',
    '그는 "가자." 라고 말했다.| "고맙다."| 고양이가 말했다.',
    "그는 \u2018왜요?\u2019 하고 물었다.| 답은 없었다.",
    "1. 파일을 엽니다.| 2. 저장을 누릅니다.| 가. 먼저 엽니다.| 나. 닫습니다.",
    "2024. 3. 15. 발표했다.|그리고 끝났다.|정말요?|네.",
    "Dr. 김이 J. 스미스와 A.B.C. 회사에 왔다.| U.S. 정부는 vs. 한국이다.",
    "그것은 LibreOffice입니다.| Writer는 편집기다.| 파일은 a.odt.| 다음.",
    "그는 간다.라고 했다.| (웃음) 좋다.| [그림]",
    "문장이 끝났음.| 다음 문장임.",
]
KOREAN_WRONG = [
    "마침표 없이 끝났어요 다음 문장이에요",
    "점수는 15. 다음은 20.",
    "그는 \u2018가자.| 빨리.\u2019라고 했다.",
]


@pytest.mark.parametrize("marked", [*ENGLISH, *ENGLISH_WRONG])
def test_english(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    assert split_english(marked.replace("|", "")) == expected


@pytest.mark.parametrize("marked", [*KOREAN, *KOREAN_WRONG])
def test_korean(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    assert split_korean(marked.replace("|", "")) == expected


@pytest.mark.parametrize("split", [split_english, split_korean])
def test_no_character_is_lost(split):
    """Nothing but white space at the ends of sentences; the seed is 5."""
    rng = random.Random(5)
    parts = [
        *"ab AB.!?…\"'()[]“”\t\r",
        "\u3000",
        "\u2028",
        "가",
        "다.",
        "요",
        "Dr. ",
        "3. ",
        "e.g. ",
        "\U0001f600",
    ]
    for _ in range(3000):
        line = "".join(rng.choices(parts, k=rng.randrange(40)))
        sentences = split(line)
        assert "".join("".join(sentences).split()) == "".join(line.split())
        assert all(sentence and sentence == sentence.strip() for sentence in sentences)


@pytest.mark.parametrize("split", [split_english, split_korean])
@pytest.mark.parametrize(
    "unit", ["", " ", ".", ". ", '"', '"a. ', ".)", "A. ", "x", "...x", "가다.", "' ", "(a. "]
)
def test_lines_of_any_kind_end_in_time(split, unit):
    """A rule that looks further than a window would take minutes."""
    line = (unit * (1 << 18))[: 1 << 18]
    assert "".join("".join(split(line)).split()) == "".join(line.split())


@pytest.mark.parametrize("letter", ["\ua7c1", "\U0001df25"], ids=["Unicode 14", "Unicode 15"])
def test_letters_newer_than_unicode_3_2_are_the_same_to_every_python(letter):
    """A small letter goes on with a sentence; whether it is one depended on the Python's Unicode."""
    assert split_english(f"One. {letter} two.") == ["One.", f"{letter} two."]
    assert split_english("One. \u0101 two.") == ["One. \u0101 two."]
    assert split_english(f"By {letter}. Smith. Yes \U0001fae8. No.") == [
        f"By {letter}. Smith.", "Yes \U0001fae8.", "No.",
    ]  # fmt: skip


def test_lines_of_usual_characters_hold_nothing_newer_than_unicode_3_2():
    usual = [chr(code) for code in range(0x110000) if _USUAL.fullmatch(chr(code))]
    assert len(usual) > 32_000
    assert all(unicodedata.ucd_3_2_0.category(character) != "Cn" for character in usual)


def test_sentences_of_documents(tmp_path):
    file = file_of(tmp_path, "a.txt", "One. Two.\nThree\n\n그는 갔다. 왜?\n".encode())
    documents, counts = counts_of(file, sentence_splitting="en")
    assert [d.sentences for d in documents] == [["One.", "Two.", "Three"], ["그는 갔다.", "왜?"]]
    assert counts.sentences == 5
    assert [d.sentences for d in counts_of(file)[0]] == [["One. Two.", "Three"], ["그는 갔다. 왜?"]]
    assert sentence_splitter(None) is None


def test_the_rules_have_a_version():
    """A change of what is expected above raises it, since records change."""
    assert SENTENCE_SPLITTER_VERSION == 2
