# SPDX-License-Identifier: Apache-2.0
"""Draw the picture of the README: one row of word pieces, masked in two epochs.

Owns the layout only; the masks are what maskcore gives. Run `python tools/draw_masked_row.py` to write docs/masked-row.svg.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

import maskcore

ROW = """
[CLS] the quick ##ness of the op ##timi ##ser sur ##prised every ##one [SEP]
이 모델 ##은 한국어 문장 ##을 통 ##째로 가린 ##다 [SEP] [PAD]
"""
PIECES = ROW.split()
SPECIAL = {"[CLS]", "[SEP]", "[PAD]"}
SEED, ROW_ID, RATIO = 6, 1, 0.25
OUTPUT = Path(__file__).parent.parent / "docs" / "masked-row.svg"

WIDTH, MARGIN, BOX_HEIGHT, GAP, LINE_HEIGHT = 940, 16, 26, 5, 36
FONT = "font-family='DejaVu Sans Mono, Noto Sans Mono CJK KR, Menlo, Consolas, monospace'"
SPAN_COLOURS = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#b91c1c", "#0f766e")


def word_ids() -> list[int]:
    """Return the number of each piece's word; -1 for special tokens."""
    ids, current = [], -1
    for piece in PIECES:
        current += not piece.startswith("##") and piece not in SPECIAL
        ids.append(-1 if piece in SPECIAL else current)
    return ids


def spans(epoch: int) -> list[int]:
    """Return the span numbers of the row in this epoch."""
    maskable = np.array([piece not in SPECIAL for piece in PIECES])
    segments = np.cumsum([piece == "[SEP]" for piece in PIECES])
    return maskcore.mask_spans(
        maskable,
        masking_ratio=RATIO,
        word_ids=word_ids(),
        segment_ids=segments,
        seed=SEED,
        epoch=epoch,
        row_ids=ROW_ID,
    ).tolist()


def box_width(piece: str) -> int:
    """Return the width of a box; Hangul is twice as wide as Latin."""
    return 14 + sum(15 if ord(letter) > 0x1100 else 8 for letter in piece)


def draw_row(numbers: list[int], top: int) -> tuple[list[str], int]:
    """Draw the boxes from `top` on; return them and the height after the last line."""
    shapes, left = [], MARGIN
    for piece, number in zip(PIECES, numbers, strict=True):
        width = box_width(piece)
        if left + width > WIDTH - MARGIN:
            left, top = MARGIN, top + LINE_HEIGHT
        fill = SPAN_COLOURS[(number - 1) % len(SPAN_COLOURS)] if number else "none"
        colour = "#ffffff" if number else "#9ca3af" if piece in SPECIAL else "#4b5563"
        shapes.append(
            f"<rect x='{left}' y='{top}' width='{width}' height='{BOX_HEIGHT}' rx='4' fill='{fill}' "
            f"stroke='{fill if number else '#d1d5db'}'/>"
            f"<text x='{left + width / 2}' y='{top + 18}' fill='{colour}' text-anchor='middle' "
            f"font-size='13' {FONT}>{escape(piece)}</text>"
        )
        left += width + GAP
    return shapes, top + LINE_HEIGHT


def main() -> None:
    """Write the picture."""
    shapes, top = [], MARGIN
    for epoch in (0, 1):
        shapes.append(
            f"<text x='{MARGIN}' y='{top + 14}' fill='#6b7280' font-size='13' {FONT}>epoch {epoch}</text>"
        )
        drawn, top = draw_row(spans(epoch), top + 24)
        shapes.extend(drawn)
        top += 6
    OUTPUT.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{top}' "
        f"viewBox='0 0 {WIDTH} {top}' role='img' aria-label='A row masked in two epochs'>"
        f"<rect width='100%' height='100%' rx='8' fill='#ffffff'/>{''.join(shapes)}</svg>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
