# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.ladder`: rows/s of an input pipeline, one technique after another, as tables and a picture.

Owns the command line. The last rung is `tfshim.masked_dataset`; every pipeline's masks are checked before it is timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench import libraries, tables

os.environ.update(libraries.QUIET)  # before TensorFlow is imported

from bench.ladder import report, timing  # as above

BLOCK = "ladder-bench"


def main(given: list[str] | None = None) -> int:
    """Measure, or read figures; print, draw, and fill the blocks of files."""
    parser = argparse.ArgumentParser(prog="python -m bench.ladder", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--read",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="figures of --json instead of measuring; of several runs their rounds together",
    )
    parser.add_argument(
        "--plot", type=Path, help="draw them here: .svg, .png or .pdf; needs matplotlib"
    )
    parser.add_argument(
        "--update", type=Path, nargs="+", default=[], metavar="FILE", help="fill their blocks"
    )
    arguments = parser.parse_args(given)
    if arguments.read:
        figures = timing.Figures()
        for file in arguments.read:
            figures.add_json(file.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory() as root:
            figures = timing.measure(Path(root), arguments.rounds, _say)
        figures.machine = report.machine()
    told = report.conditions(figures)
    print(told)
    shown = (report.rates_table(figures), report.steps_table(figures))
    for table in shown:
        tables.print_table(table)
    if arguments.json:
        arguments.json.write_text(figures.to_json(), encoding="utf-8")
    if arguments.plot:
        from bench.ladder import plot  # only here, since matplotlib may be missing

        plot.draw(figures, arguments.plot)
    body = "\n\n".join([told, *map(tables.to_markdown, shown)])
    for path in arguments.update:
        filled = tables.fill_block(path.read_text(encoding="utf-8"), BLOCK, body)
        path.write_text(filled, encoding="utf-8")
    return 0


def _say(what: str) -> None:
    """Tell what is being done, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="" if what else "\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
