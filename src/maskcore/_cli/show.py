# SPDX-License-Identifier: Apache-2.0
"""`maskcore show`: rows as text with the masked spans coloured, and what the masks amount to.

Owns how rows and figures look on a terminal. Knows nothing of how masks are drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore import records
from maskcore._cli.console import make_console
from maskcore._numbers import count_of, plural
from maskcore.config import MaskConfig
from maskcore.records import Records, RecordsError
from maskcore.records._errors import require
from maskcore.records.reporting.mask_statistics import MaskCounts, add_counts, expected_shares
from maskcore.records.reporting.masked_rows import unmasked_rows
from maskcore.records.reporting.report import LABEL_MEANINGS
from maskcore.records.reporting.row_text import RowPart, row_parts
from maskcore.records.reporting.statistics import SampleRow, sample_row
from maskcore.records.tokenising.tokenise import Tokeniser, load_tokeniser

__all__ = ["add_parser", "run", "show"]

# Enough for rates good to a tenth of a per cent, and read in a second.
ROWS_OF_TABLE = 20_000
BATCH_ROWS = 1024
BAR_WIDTH = 30
LEAST_SHARE = 0.001
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
        "-n", "--rows", type=int, default=3, metavar="N",
        help="rows to print, of each length where there are several (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--epoch", type=int, default=0, metavar="E",
        help="whose masks to show (default %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print rows and the table."""
    if args.rows < 0:
        raise ValueError(f"--rows must be >= 0, got {args.rows}; 0 prints the table alone")
    return show(Path(args.folder), args.rows, args.epoch)


@dataclass(slots=True)
class _Seen:
    """What was read: counts for each length of rows."""

    is_stored: bool
    counts: dict[int, MaskCounts] = field(default_factory=dict)
    differing_rows: int = 0
    """Rows whose stored masks are not the derived ones."""

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(counts.rows for counts in self.counts.values())


def show(folder: Path, num_rows: int, epoch: int) -> int:
    """Print rows and the table; return 1 if stored masks differ from the derived ones."""
    opened = records.open(folder)
    tokeniser = _tokeniser_of(opened)
    console = make_console()
    if opened.manifest.schema == "bert" and epoch:
        raise ValueError(
            f"--epoch must be 0 for rows of schema bert, got {epoch}; they hold one mask"
        )
    seen = _read(opened, tokeniser, console, num_rows, epoch)
    _print_table(console, opened, seen, epoch)
    return 1 if seen.differing_rows else 0


def _tokeniser_of(opened: Records) -> Tokeniser:
    entry = opened.manifest.tokenizer
    tokeniser = load_tokeniser(opened.folder / entry.file)
    if tokeniser.sha256 != entry.sha256:
        raise RecordsError(
            f"{opened.folder / entry.file}: not the tokenizer that the records were made with; "
            "copy the whole folder again"
        )
    return tokeniser


def _read(opened: Records, tokeniser: Tokeniser, console: Any, num_rows: int, epoch: int) -> _Seen:
    manifest = opened.manifest
    is_bert = manifest.schema == "bert"
    seen = _Seen(is_stored=epoch < manifest.mask_epochs)
    enough = max(ROWS_OF_TABLE // len(manifest.bins), num_rows)
    for length in manifest.bins:
        counts = seen.counts[length] = MaskCounts()
        for stored in opened.batches(BATCH_ROWS, length):
            columns, spans = _rows_of(opened, tokeniser, stored, epoch)
            for row in range(min(num_rows - counts.rows, len(spans))):
                _print_row(
                    console, opened, tokeniser, sample_row(columns, spans, row), counts.rows + row
                )
            if seen.is_stored:
                seen.differing_rows += _num_differing(opened, stored, epoch)
            counts.add(columns, spans, "token" if is_bert else manifest.mask.mask_unit)
            if counts.rows >= enough:
                break
    return seen


def _rows_of(
    opened: Records, tokeniser: Tokeniser, stored: dict[str, NDArray[Any]], epoch: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    """Return rows with their spans, whatever the schema."""
    if opened.manifest.schema == "bert":
        return unmasked_rows(stored, tokeniser.special, opened.manifest.pairs != "none")
    return stored, opened.spans(stored, epoch)


def _num_differing(opened: Records, stored: Mapping[str, NDArray[Any]], epoch: int) -> int:
    kept, derived = opened.stored_masks(stored, epoch), opened.masks(stored, epoch)
    same = (kept.positions == derived.positions) & (kept.weights == derived.weights)
    return int(np.count_nonzero(~same.all(axis=1)))


def _print_row(
    console: Any, opened: Records, tokeniser: Tokeniser, row: SampleRow, number: int
) -> None:
    make_text = require("rich.text").Text
    title = make_text(f"row {number}", style="bold")
    title.append(f"  {', '.join(_facts(opened, row))}", style="not bold dim")
    console.print(title)
    has_colour = console.color_system is not None and not console.no_color
    text = make_text()
    for place, part in enumerate(row_parts(row, tokeniser)):
        _append(text, part._replace(text=part.text if place else part.text.lstrip()), has_colour)
    num_padding = row.seq_length - len(row.input_ids)
    if num_padding:
        text.append(f" {tokeniser.special['pad'].token} x {num_padding}", style="dim")
    padding = require("rich.padding").Padding
    console.print(padding(text, (0, 0, 1, 2)))


def _facts(opened: Records, row: SampleRow) -> Iterator[str]:
    manifest = opened.manifest
    if manifest.schema != "bert":
        yield f"id {row.row_id}"
    yield f"{len(row.input_ids)} of {row.seq_length} tokens"
    yield f"{sum(1 for span in row.spans if span)} masked"
    if row.label is not None:
        yield f"label {row.label}: {LABEL_MEANINGS[manifest.pairs][row.label]}"
    if row.segment_ids is not None:
        yield count_of(max(row.segment_ids), "document")


def _append(text: Any, part: RowPart, has_colour: bool) -> None:
    if part.is_special:
        text.append(part.text, style="dim")
        return
    if not part.span:
        text.append(part.text)
        return
    bare = part.text.lstrip()
    text.append(part.text[: len(part.text) - len(bare)])
    if has_colour:
        text.append(bare, style=SPAN_STYLES[part.span % 2])
    else:
        text.append(f"⟦{bare}⟧")


def _print_table(console: Any, opened: Records, seen: _Seen, epoch: int) -> None:
    make_text = require("rich.text").Text
    title = make_text(f"masks of epoch {epoch}", style="bold")
    title.append(f"  {seen.rows:,} of {len(opened):,} rows", style="not bold dim")
    console.print(title)
    table = require("rich.table").Table(box=require("rich.box").SIMPLE_HEAD, pad_edge=True)
    table.add_column("", no_wrap=True)
    table.add_column("realised", justify="right", no_wrap=True)
    table.add_column("expected", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    mask, is_bert = opened.manifest.mask, opened.manifest.schema == "bert"
    for section in (
        _overall(mask, seen),
        _span_lengths(mask, seen, is_bert),
        _places(mask, seen),
    ):
        for cells in section:
            table.add_row(*cells)
        table.add_section()
    console.print(table)
    for note, style in _notes(mask, seen, epoch, is_bert):
        console.print(make_text(note, style=style), soft_wrap=not console.is_terminal)


Cells = tuple[str, ...]


def _overall(mask: MaskConfig, seen: _Seen) -> list[Cells]:
    parts = seen.counts.values()
    masked = sum(int(counts.masked.sum()) for counts in parts)
    maskable = sum(int(counts.maskable.sum()) for counts in parts)
    most = max(counts.most for counts in parts)
    fewest = min(*(counts.fewest for counts in parts), most)
    return [
        ("masked tokens", f"{masked / max(maskable, 1):.2%}", f"{mask.masking_ratio:.2%}"),
        ("mean in a row", f"{masked / max(seen.rows, 1):.2f}", ""),
        ("fewest and most", f"{fewest}, {most}", f"at most {mask.max_predictions}"),
    ]


def _span_lengths(mask: MaskConfig, seen: _Seen, is_bert: bool) -> list[Cells]:
    realised = np.zeros(mask.max_n + 1, np.int64)
    expected = np.zeros(mask.max_n)
    for counts in seen.counts.values():
        realised = add_counts(realised, counts.span_lengths)
        expected += np.array(expected_shares(mask, counts)) * counts.span_lengths.sum()
    realised_shares = realised / max(int(realised.sum()), 1)
    if is_bert:  # masks side by side make a few long spans, which are not worth a line each
        longest = int(np.flatnonzero(realised_shares >= LEAST_SHARE).max(initial=mask.max_n))
        realised_shares = realised_shares[: longest + 1]
    expected_of = expected / max(float(expected.sum()), 1.0)
    unit = "token" if is_bert else mask.mask_unit
    return [
        (
            f"spans of {n} {plural(unit, n)}",
            f"{share:.1%}",
            "" if is_bert else f"{expected_of[n - 1]:.1%}",
            _bar(share),
        )
        for n, share in enumerate(realised_shares[1:], start=1)
    ]


def _places(mask: MaskConfig, seen: _Seen) -> list[Cells]:
    maskable, masked = np.zeros(10), np.zeros(10)
    for counts in seen.counts.values():
        tenths = np.arange(len(counts.masked)) * 10 // max(len(counts.masked), 1)
        maskable += np.bincount(tenths, counts.maskable, 10)
        masked += np.bincount(tenths, counts.masked, 10)
    return [
        (
            f"{_ordinal(tenth + 1)} tenth of the row",
            f"{masked[tenth] / maskable[tenth]:.2%}",
            f"{mask.masking_ratio:.2%}",
            _bar(masked[tenth] / maskable[tenth]),
        )
        for tenth in np.flatnonzero(maskable).tolist()
    ]


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _bar(share: float) -> str:
    return "█" * round(share * BAR_WIDTH)


def _notes(mask: MaskConfig, seen: _Seen, epoch: int, is_bert: bool) -> Iterator[tuple[str, str]]:
    if is_bert:
        yield (
            "Rows of schema bert are masked already; a span is what is masked side by side, as they "
            "do not say what was drawn together.",
            "dim",
        )
        return
    yield (
        "Expected lengths are those of rows without boundaries; a span ends where a row does.",
        "dim",
    )
    if mask.mask_unit == "word":
        yield (
            "Words are masked whole, so a row may fall short of its share by part of a word.",
            "dim",
        )
    if not seen.is_stored:
        yield f"Epoch {epoch} is not stored; its masks are derived from the row ids.", "dim"
    elif not seen.differing_rows:
        yield (
            f"The stored masks of epoch {epoch} equal those derived from the row ids.",
            "green",
        )
    else:
        yield (
            f"The stored masks of epoch {epoch} differ from those derived "
            f"in {seen.differing_rows:,} rows: the records are damaged, build them again.",
            "bold red",
        )
