# SPDX-License-Identifier: Apache-2.0
"""docs/algorithm.md says what the code does: its worked example, and its tables.

Owns the numbers of sections 8 and 10, as literals. Another implementation can be checked by section 8
alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exact_laws import tables

import maskcore
from maskcore._reference.philox import philox4x32_10

DOCUMENT = Path(__file__).parents[1] / "docs" / "algorithm.md"

SEED, ROW_ID, EPOCH = 0x0123456789ABCDEF, 2**33 + 374, 5
BLOCKS = {
    0x01000000: "14A87A49 B533FDD8 54CFEEEB C11424C1",
    0x02000000: "5ECFFC1C 106C526A F9B1023F E6613652",
    0x03000000: "35E4B103 CF7D0214 C92CBCEF A8E414AD",
    0x03000001: "C951CFC2 432403D3 E7AFF2A4 FC201939",
    0x03000002: "9B886DBE 9E66A00D 309CEB6E 72F8A1FA",
    0x04000000: "122D0BD2 E2CE38E3 FF2E74E4 9A2BC9F0",
}
ROW = {
    "maskable": [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0],
    "word_ids": [-1, 0, 1, 1, 2, -1, 0, 1, 1, 1, 2, -1],
    "mask": [0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0],
    "span": [0, 1, 0, 0, 2, 0, 3, 0, 0, 0, 4, 0],
    "masked ids": [100, 1885, 102, 103, 4, 105, 106, 107, 108, 109, 4, 111],
}


def document_row(name: str) -> list[int]:
    """Return the numbers of a line of the example's table."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith((f"| `{name}` |", f"| {name} |")))
    return [int(cell) for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("counter", BLOCKS, ids=hex)
def test_blocks_of_the_example(counter: int) -> None:
    """The words are in the document, and are those of the generator."""
    assert f"| `{counter:08X}` | `{BLOCKS[counter]}` |" in DOCUMENT.read_text(encoding="utf-8")
    words = philox4x32_10((counter, 0x176, 2, EPOCH), (0x89ABCDEF, 0x01234567))
    assert " ".join(f"{word:08X}" for word in words) == BLOCKS[counter]


@pytest.mark.usefixtures("backend")
def test_the_example() -> None:
    """Each backend masks the row as the document says."""
    for name, numbers in ROW.items():
        assert document_row(name) == numbers
    where = {"word_ids": ROW["word_ids"], "seed": SEED, "row_ids": ROW_ID, "epoch": EPOCH}
    assert maskcore.mask_positions(ROW["maskable"], 5, **where).tolist() == ROW["mask"]
    assert maskcore.mask_spans(ROW["maskable"], 5, **where).tolist() == ROW["span"]
    masked_ids, labels = maskcore.mask_tokens(
        np.arange(100, 112), ROW["maskable"], 5,
        mask_id=4, random_ids=range(1000, 2000), **where,
    )  # fmt: skip
    assert masked_ids.tolist() == ROW["masked ids"]
    assert np.flatnonzero(labels != -100).tolist() == [1, 4, 6, 10]
    assert labels[[1, 4, 6, 10]].tolist() == [101, 104, 106, 110]


def test_tables_are_what_the_command_prints() -> None:
    """Section 10 quotes `python tests/exact_laws.py`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    lengths, words = tables().split("words of 1 to 4 tokens")
    assert f"```\n{lengths}```" in text
    assert f"```\nwords of 1 to 4 tokens{words}```" in text
