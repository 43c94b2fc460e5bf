# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments, exit codes, and errors in one line.

Owns the parser and what an error looks like. Each command lives in a file of its own and is a thin
layer over the Python API. Exit codes: 0 done, 1 a check failed, 2 bad arguments or input, 130
interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from maskcore import __version__
from maskcore._cli import build, demo, info, report, show, train_tokenizer, verify
from maskcore.errors import BackendUnavailableError

__all__ = ["main"]

# What bad input raises; anything else is a defect of maskcore and shows its traceback.
_EXPECTED_ERRORS = (ValueError, OSError, ImportError, BackendUnavailableError)


class _OneLineParser(argparse.ArgumentParser):
    """Reports a bad argument in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="maskcore",
        description="Masks for masked-model pretraining: build records from text, look at them, "
        "check this installation.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=24),
        epilog="Exit codes: 0 done, 1 a check failed, 2 bad arguments or input, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"maskcore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    for command in (build, train_tokenizer, verify, report, show, info, demo):
        command.add_parser(commands, common)
    return parser


def one_line(error: BaseException) -> str:
    """Return what a user reads of an error."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of the process.

    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character shows `?`
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would fail once more when it flushes at
        # exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        interruption = getattr(args, "interruption", None)
        remedy = f"; {interruption(args)}" if interruption else ""
        print(f"maskcore {args.command}: interrupted{remedy}", file=sys.stderr)
        return 130
    except _EXPECTED_ERRORS as error:
        if args.debug:
            raise
        print(f"maskcore {args.command}: {one_line(error)}", file=sys.stderr)
        return 2
