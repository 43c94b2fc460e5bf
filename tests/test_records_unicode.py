# SPDX-License-Identifier: Apache-2.0
"""One version of Unicode for every Python: words and trained alphabets must not depend on `unicodedata`."""

import hashlib
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from maskcore.records import _unicode_classes
from maskcore.records._unicode_classes import UNICODE_VERSION, unicode_class
from maskcore.records.tokenising.words import marked_space_rule

ROOT = Path(__file__).parents[1]
CLASSES = {"L": "l", "M": "l", "N": "l", "P": "s", "S": "s", "Z": "s", "C": "n"}


def version(text):
    return tuple(map(int, text.split(".")))


def test_classes_of_all_code_points_are_these():
    """On every Python; the digest was taken on CPython 3.13, whose Unicode is the table's."""
    classes = "".join(unicode_class(chr(code)) for code in range(0x110000))
    assert UNICODE_VERSION == "15.1.0"
    assert (
        hashlib.sha256(classes.encode()).hexdigest()
        == "c7025aadaffa5b73f1c531d338addd7487c9b30f8fff450437745b257d0cc7de"
    )


@pytest.mark.skipif(
    version(unicodedata.unidata_version) > version(UNICODE_VERSION),
    reason="this Python knows characters that the table does not",
)
def test_what_this_python_knows_is_of_its_category():
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category != "Cn":
            assert unicode_class(chr(code)) == CLASSES[category[0]], hex(code)


@pytest.mark.skipif(
    unicodedata.unidata_version != UNICODE_VERSION, reason="this Python has another Unicode"
)
def test_the_table_is_what_the_tool_prints():
    tool = ROOT / "tools" / "make_unicode_classes.py"
    printed = subprocess.run(
        [sys.executable, tool], capture_output=True, text=True, check=True
    ).stdout
    assert printed in Path(_unicode_classes.__file__).read_text(encoding="utf-8")


def test_a_letter_that_only_newer_pythons_know_goes_on_with_a_word():
    """U+1E4D0, Nag Mundari, is of Unicode 15: on Python 3.11 it was a symbol, and began a word."""
    letters = "\U0001e4d0\U0001e4d1"
    rule = marked_space_rule("metaspace", {"▁a": 0, letters: 1, "+": 2}, "▁", str.encode, set())
    assert rule.begins.tolist() == [True, False, False]
    assert rule.first_kinds[1] == rule.last_kinds[0] != rule.first_kinds[2]
