# SPDX-License-Identifier: Apache-2.0
"""`maskcore verify`: every checksum, count and row of a folder; exit code 1 if anything is wrong.

Knows nothing of what is checked.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from maskcore import records
from maskcore._cli.progress import ProgressDisplay
from maskcore._numbers import count_of, duration, size

__all__ = ["add_parser", "run"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        parents=[common],
        help="check every record",
        description="Read a folder of records and check every checksum, count and row. Each damaged "
        "file is one line on standard output; exit code 1 if there is any.",
    )
    parser.add_argument("folder", metavar="DIR", help="a folder that maskcore build made")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify, and say what was found."""
    started = time.monotonic()
    with ProgressDisplay() as display:
        result = records.verify(args.folder, workers=args.workers, on_progress=display.update)
    for problem in result.problems:
        print(problem)
    for warning in result.warnings:
        print(f"note: {warning}")
    looked_at = (
        f"{count_of(result.rows, 'row')} in {count_of(result.files, 'file')}, {size(result.bytes)}, "
        f"{duration(time.monotonic() - started)}"
    )
    if not result.is_sound:
        print(f"{args.folder}: {count_of(len(result.problems), 'problem')}; {looked_at}")
        return 1
    print(f"{args.folder}: sound; {looked_at}")
    if not result.masks_checked:
        print(
            "Stored masks were not derived anew: the records were made for another version of the "
            "masks."
        )
    return 0
