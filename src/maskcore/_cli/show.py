# SPDX-License-Identifier: Apache-2.0
"""`maskcore show`: rows as text with the masked spans coloured, and what the masks amount to.

Owns how rows and figures look. Knows nothing of how masks are drawn.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskcore import records
from maskcore.config import MaskConfig
from maskcore.records import Records, RecordsError
from maskcore.records._errors import require
from maskcore.records.mask_statistics import MaskCounts, add_counts, expected_shares
from maskcore.records.tokenise import Tokeniser, load_tokeniser

__all__ = ["add_parser", "run", "show"]

# Enough for rates good to a tenth of a per cent, and read in a second.
ROWS_OF_TABLE = 20_000
BATCH_ROWS = 1024
BAR_WIDTH = 30
# Adjacent spans differ, since they are masked apart; legible on dark and light terminals.
SPAN_STYLES = ("bold black on bright_yellow", "bold black on bright_cyan")


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        parents=[common],
        help="print rows with their masks",
        description="Print rows with the masked spans coloured, and the rates that the masks "
        "realise.",
    )
    parser.add_argument("folder", metavar="DIR", help="a folder that maskcore build made")
    parser.add_argument(
        "-n", "--rows", type=int, default=3, metavar="N", help="rows to print (default %(default)s)"
    )
    parser.add_argument(
        "--epoch",
        type=int,
        default=0,
        metavar="E",
        help="whose masks to show (default %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print rows and the table."""
    if args.rows < 0:
        raise ValueError(f"--rows must be >= 0, got {args.rows}; 0 prints the table alone")
    return show(Path(args.folder), args.rows, args.epoch)


class _Shown(NamedTuple):
    counts: MaskCounts
    differing_rows: int | None
    """Rows whose stored masks are not the derived ones; None where the epoch is not stored."""


def show(folder: Path, num_rows: int, epoch: int) -> int:
    """Print rows and the table; return 1 if stored masks differ from the derived ones."""
    opened = records.open(folder)
    tokeniser = _tokeniser_of(opened)
    console = require("rich.console").Console()
    shown = _read(opened, tokeniser, console, num_rows, epoch)
    _print_table(console, opened, shown, epoch)
    return 1 if shown.differing_rows else 0


def _tokeniser_of(opened: Records) -> Tokeniser:
    entry = opened.manifest.tokenizer
    tokeniser = load_tokeniser(opened.folder / entry.file)
    if tokeniser.sha256 != entry.sha256:
        raise RecordsError(
            f"{opened.folder / entry.file}: not the tokenizer that the records were made with; "
            "copy the whole folder again"
        )
    return tokeniser


def _read(opened: Records, tokeniser: Tokeniser, console: Any, num_rows: int, epoch: int) -> _Shown:
    manifest = opened.manifest
    counts = MaskCounts()
    is_stored = epoch < manifest.mask_epochs
    differing = 0
    for columns in opened.batches(BATCH_ROWS):
        spans = opened.spans(columns, epoch)
        for row in range(min(num_rows - counts.rows, len(spans))):
            one = {name: column[row] for name, column in columns.items()}
            _print_row(console, tokeniser, one, spans[row], counts.rows + row)
        if is_stored:
            stored, derived = opened.stored_masks(columns, epoch), opened.masks(columns, epoch)
            same = (stored.positions == derived.positions) & (stored.weights == derived.weights)
            differing += int(np.count_nonzero(~same.all(axis=1)))
        counts.add(columns, spans, manifest.mask.mask_unit)
        if counts.rows >= max(ROWS_OF_TABLE, num_rows):
            break
    return _Shown(counts, differing if is_stored else None)


def _print_row(
    console: Any, tokeniser: Tokeniser, row: dict[str, Any], spans: Any, number: int
) -> None:
    make_text = require("rich.text").Text
    num_used = int(row["attention_mask"].sum())
    num_masked = int(np.count_nonzero(spans))
    num_padding = len(spans) - num_used
    title = make_text(f"row {number}", style="bold")
    title.append(
        f"  id {int(row['row_id'][0])}, {num_used - 2} tokens, {num_masked} masked",
        style="not bold dim",
    )
    console.print(title)
    has_colour = console.color_system is not None and not console.no_color
    text = make_text()
    text.append(tokeniser.special["cls"].token, style="dim")
    ids = row["input_ids"].tolist()
    for span, places in groupby(range(1, num_used - 1), key=lambda place: int(spans[place])):
        _append_span(text, tokeniser.rule.text([ids[place] for place in places]), span, has_colour)
    text.append(f" {tokeniser.special['sep'].token}", style="dim")
    if num_padding:
        text.append(f" {tokeniser.special['pad'].token} x {num_padding}", style="dim")
    padding = require("rich.padding").Padding
    console.print(padding(text, (0, 0, 1, 2)))


def _append_span(text: Any, content: str, span: int, has_colour: bool) -> None:
    if span == 0:
        text.append(content)
        return
    bare = content.lstrip()
    text.append(content[: len(content) - len(bare)])
    if has_colour:
        text.append(bare, style=SPAN_STYLES[span % 2])
    else:
        text.append(f"⟦{bare}⟧")


def _print_table(console: Any, opened: Records, shown: _Shown, epoch: int) -> None:
    counts = shown.counts
    make_text = require("rich.text").Text
    title = make_text(f"masks of epoch {epoch}", style="bold")
    title.append(f"  {counts.rows:,} of {len(opened):,} rows", style="not bold dim")
    console.print(title)
    table = require("rich.table").Table(box=require("rich.box").SIMPLE_HEAD, pad_edge=True)
    table.add_column("", no_wrap=True)
    table.add_column("realised", justify="right", no_wrap=True)
    table.add_column("expected", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    mask = opened.manifest.mask
    for section in (_overall(mask, counts), _span_lengths(mask, counts), _places(mask, counts)):
        for cells in section:
            table.add_row(*cells)
        table.add_section()
    console.print(table)
    for note, style in _notes(mask, shown, epoch):
        console.print(make_text(note, style=style), soft_wrap=not console.is_terminal)


Cells = tuple[str, ...]


def _overall(mask: MaskConfig, counts: MaskCounts) -> list[Cells]:
    mean = int(counts.masked.sum()) / max(counts.rows, 1)
    fewest = min(counts.fewest, counts.most)
    return [
        ("masked tokens", f"{counts.rate:.2%}", f"{mask.masking_ratio:.2%}"),
        ("mean in a row", f"{mean:.2f}", ""),
        ("fewest and most", f"{fewest}, {counts.most}", f"at most {mask.max_predictions}"),
    ]


def _span_lengths(mask: MaskConfig, counts: MaskCounts) -> list[Cells]:
    total = max(int(counts.span_lengths.sum()), 1)
    realised = add_counts(counts.span_lengths, np.zeros(mask.max_n + 1, np.int64)) / total
    return [
        (f"spans of {n} {mask.mask_unit}{'s' if n > 1 else ''}", f"{realised[n]:.1%}",
         f"{expected:.1%}", _bar(realised[n]))
        for n, expected in enumerate(expected_shares(mask, counts), start=1)
    ]  # fmt: skip


def _places(mask: MaskConfig, counts: MaskCounts) -> list[Cells]:
    tenths = np.arange(len(counts.masked)) * 10 // max(len(counts.masked), 1)
    maskable = np.bincount(tenths, counts.maskable, 10)
    masked = np.bincount(tenths, counts.masked, 10)
    return [
        (f"{_ordinal(tenth + 1)} tenth of the row", f"{masked[tenth] / maskable[tenth]:.2%}",
         f"{mask.masking_ratio:.2%}", _bar(masked[tenth] / maskable[tenth]))
        for tenth in np.flatnonzero(maskable).tolist()
    ]  # fmt: skip


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _bar(share: float) -> str:
    return "█" * round(share * BAR_WIDTH)


def _notes(mask: MaskConfig, shown: _Shown, epoch: int) -> list[tuple[str, str]]:
    notes = [
        (
            "Expected lengths are those of rows without boundaries; a span ends where a row does.",
            "dim",
        )
    ]
    if mask.mask_unit == "word":
        text = "Words are masked whole, so a row may fall short of its share by part of a word."
        notes.append((text, "dim"))
    if shown.differing_rows is None:
        text, style = f"Epoch {epoch} is not stored; its masks are derived from the row ids.", "dim"
    elif shown.differing_rows == 0:
        text, style = (
            f"The stored masks of epoch {epoch} equal those derived from the row ids.",
            "green",
        )
    else:
        text = (
            f"The stored masks of epoch {epoch} differ from those derived "
            f"in {shown.differing_rows:,} rows: the records are damaged, build them again."
        )
        style = "bold red"
    return [*notes, (text, style)]
