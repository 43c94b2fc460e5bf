# SPDX-License-Identifier: Apache-2.0
"""`maskcore report`: the figures of a folder of records, made anew.

Knows nothing of what is counted or how it looks.
"""

from __future__ import annotations

import argparse
from typing import Any

from maskcore import records

__all__ = ["add_parser", "run"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        parents=[common],
        help="count the records again and write report.html",
        description="Read all records of a folder and write its report.html and report.json anew: "
        "lengths, padding, labels, masks, sample rows. The page needs no network.",
    )
    parser.add_argument("folder", metavar="DIR", help="a folder that maskcore build made")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    print(records.report(args.folder))
    return 0
