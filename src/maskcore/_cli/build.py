# SPDX-License-Identifier: Apache-2.0
"""`maskcore build`: options to `maskcore.records.build`, with progress and a summary.

Knows nothing of how records are made.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from maskcore import records
from maskcore._cli.build_options import DESCRIPTION, EXAMPLES, add_options, build_arguments
from maskcore._cli.progress import ProgressDisplay
from maskcore._cli.summary import print_plan, print_summary

__all__ = ["add_parser", "interruption", "run"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "build",
        parents=[common],
        help="turn text into records",
        usage="maskcore build CORPUS... --out DIR [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.set_defaults(run=run, interruption=interruption)


def run(args: argparse.Namespace) -> int:
    """Build, and say what was made."""
    if args.dry_run:
        estimate = records.plan(args.corpus, **build_arguments(args, dry_run=True))
        print_plan(estimate, Path(args.out))
        return 0
    started = time.monotonic()
    with ProgressDisplay() as display:
        manifest = records.build(
            args.corpus, args.out, **build_arguments(args), on_progress=display.update
        )
    print_summary(
        manifest,
        Path(args.out),
        is_trained=args.tokenizer is None,
        seconds=time.monotonic() - started,
        stages=display.stage_seconds(),
        tokens_done=display.tokens_done(),
    )
    return 0


def interruption(args: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C, and how to go on."""
    if Path(args.out, "_build").exists():
        return "what is finished is kept: run the same command again to go on"
    return f"{args.out} is as it was before"
