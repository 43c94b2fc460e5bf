# SPDX-License-Identifier: Apache-2.0
"""The figures and verdicts of a run as tables: Markdown for files, colours for terminals.

Owns wording and layout. Knows nothing of how figures come about.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from bench.results import (
    FIGURES,
    LENGTHS,
    PARSING,
    PIPELINES,
    RECORDS,
    ROW_LENGTHS,
    TOKENISING,
    Figure,
    Run,
)
from bench.targets import BEST, Verdict, verdicts

TOKENS = "mask-tokens-range"
BUSY_LOAD = 0.5  # of other work; above it the figures are told as too long
HEADLINE = (
    BEST,
    "native-avx2",
    "native-scalar",
    TOKENS,
    "numba",
    "torch-mask-tokens-4096",
    "collator-np",
    "tensorflow-text",
    "keras-hub",
    "albert-style-numpy",
    "while-loop-function",
)
_LENGTH_OF = dict(zip((figure.name for figure in LENGTHS), ROW_LENGTHS, strict=True))
_STYLE_OF = {"met": "green", "missed": "bold red", "missing": "yellow"}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is left-aligned, the others right."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits and thousands separated.

    >>> significant(0.103449), significant(17834.2), significant(69.96)
    ('0.103', '17,800', '70.0')
    """
    if value == 0:
        return "0"
    decimals = digits - 1 - floor(log10(abs(value)))
    rounded = round(value, decimals)
    return f"{rounded:,.{max(decimals, 0)}f}"


def _figure_row(figure: Figure, run: Run) -> tuple[str, ...]:
    timing = run.timings.get(figure.name)
    if timing is None:
        return (figure.label, run.why_missing(figure), "", "", "")
    ratios = []
    for denominator in (BEST, TOKENS):
        ours = run.timings.get(denominator)
        masks_rows_of_128 = (
            figure.name not in _LENGTH_OF
            and figure not in RECORDS + PARSING + PIPELINES + TOKENISING
        )
        ratios.append(
            significant(timing.median / ours.median) if ours and masks_rows_of_128 else ""
        )
    per_token = _LENGTH_OF.get(figure.name)
    label = figure.label
    if per_token:
        label += f" ({significant(timing.median * 1e9 / per_token)} ns a token)"
    quartiles = (
        f"{significant(timing.lower_quartile * 1e6)} to {significant(timing.upper_quartile * 1e6)}"
    )
    return (label, significant(timing.median * 1e6), quartiles, *ratios)


def figures_table(run: Run, names: Sequence[str] | None = None) -> Table:
    """Return the figures, all or those named; the ratios are to rows of ours."""
    shown = [figure for figure in FIGURES if names is None or figure.name in names]
    return Table(
        "Figures",
        ("what", "us a row, median", "quartiles", "over `mask_positions`", "over `mask_tokens`"),
        [_figure_row(figure, run) for figure in shown],
    )


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    target = verdict.target
    bound = "at most" if target.is_ceiling else "at least"
    limit = f"{bound} {significant(target.limit)} {target.unit}"
    if verdict.measured is None:
        return (target.label, limit, f"no {', '.join(verdict.missing)}", "", "missing")
    measured = f"{significant(verdict.measured)} {target.unit}"
    ratio = significant(verdict.measured / target.limit)
    return (target.label, limit, measured, ratio, "met" if verdict.is_met else "missed")


def targets_table(run: Run) -> Table:
    """Return every target with what was measured."""
    return Table(
        "Targets",
        ("target", "limit", "measured", "measured / limit", ""),
        [_verdict_row(verdict) for verdict in verdicts(run)],
    )


def machine_line(run: Run) -> str:
    """Return one line: processor, level, versions, date, and how busy the machine was."""
    info = run.machine_info
    packages = [
        f"{name} {version}" for name, version in info.get("packages", {}).items() if version
    ]
    ours = info.get("maskcore", {})
    levels = ours.get("simd_levels") or ["no native backend"]
    load = info.get("load_average_at_start", 0.0)
    processor = info.get("cpu", {}).get("brand_raw", info.get("machine"))
    return (
        f"{processor} ({info.get('num_cpus')} CPUs, {levels[0]}), {info.get('system')}, "
        f"Python {info.get('python_version')}, maskcore {ours.get('version')} at {run.commit}; "
        f"{', '.join(packages)}; one thread; {run.date} UTC; load average at the start {load:.2f}"
        f"{': other work had run, and the times are too long' if load > BUSY_LOAD else ''}"
    )


def to_markdown(table: Table) -> str:
    """Return the table in Markdown."""
    rule = ["---"] + ["---:"] * (len(table.header) - 1)
    lines = [table.header, tuple(rule), *table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def blocks(run: Run) -> dict[str, str]:
    """Return what may stand between `<!-- bench:NAME -->` and `<!-- /bench -->` in a file."""
    return {
        "machine": machine_line(run) + ".",
        "figures": to_markdown(figures_table(run)),
        "headline": to_markdown(figures_table(run, HEADLINE)),
        "targets": to_markdown(targets_table(run)),
    }


def fill_blocks(text: str, run: Run) -> str:
    """Return `text` with every block filled; at least one must be there."""
    filled = blocks(run)
    pattern = re.compile(r"<!-- bench:(\w+) -->\n.*?<!-- /bench -->", re.DOTALL)
    names = pattern.findall(text)
    unknown = sorted(set(names) - set(filled))
    if not names or unknown:
        known = ", ".join(f"<!-- bench:{name} -->" for name in filled)
        raise ValueError(
            f"the file must hold blocks of {known}, each ended by <!-- /bench -->, "
            f"got {unknown or 'none'}"
        )
    return pattern.sub(
        lambda block: f"<!-- bench:{block[1]} -->\n{filled[block[1]]}\n<!-- /bench -->", text
    )


def fill_block(text: str, name: str, body: str) -> str:
    """Return `text` with `body` between its `<!-- NAME -->` and `<!-- /NAME -->`, which must be there."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    filled, count = re.subn(
        f"{first}\n.*?{last}", lambda _: f"{first}\n{body}\n{last}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"the file must hold one block from {first} to {last}, got {count}")
    return filled


def print_table(table: Table) -> None:
    """Print the table: with colours on a terminal where rich is installed, else in Markdown."""
    is_plain = not sys.stdout.isatty() or importlib.util.find_spec("rich") is None
    if is_plain:
        print(f"\n{table.title}\n\n{to_markdown(table)}")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left")
    for index, name in enumerate(table.header):
        drawn.add_column(name.replace("`", ""), justify="right" if index else "left")
    for cells in table.rows:
        styled = []
        for cell in cells:
            style = _STYLE_OF.get(cell, "yellow" if cell.startswith("missing") else "")
            styled.append(Text(cell.replace("`", ""), style=style))
        drawn.add_row(*styled)
    Console().print(drawn)
