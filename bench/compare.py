# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.compare`: ours, the peers, and the targets, from a run that it reads or makes.

Owns the command line. A missed target is printed, and fails the command only under --strict,
since a busy machine misses some.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench import tables
from bench.results import read_run
from bench.targets import verdicts

DEFAULT_JSON = Path(".benchmarks/bench.json")


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "json",
        nargs="?",
        type=Path,
        help=f"what `pytest bench --benchmark-json=FILE` wrote; without it the bench runs, "
        f"into {DEFAULT_JSON}",
    )
    parser.add_argument("--strict", action="store_true", help="fail where a target is missed")
    parser.add_argument(
        "--update",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="fill the bench blocks of these files",
    )
    return parser.parse_args(given)


def run_bench(path: Path) -> int:
    """Run the whole bench into `path`; return pytest's exit status."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "bench", "--benchmark-only", "-q"]
    return subprocess.run([*command, f"--benchmark-json={path}"], check=False).returncode


def main(given: list[str] | None = None) -> int:
    """Print the tables; return 0, pytest's status if it failed, 1 if --strict finds a miss."""
    arguments = _arguments(given)
    status = 0
    if arguments.json is None:
        arguments.json = DEFAULT_JSON
        status = run_bench(arguments.json)
        if not arguments.json.exists():
            return status
    run = read_run(arguments.json)
    print(tables.machine_line(run))
    tables.print_table(tables.figures_table(run))
    tables.print_table(tables.targets_table(run))
    for path in arguments.update:
        path.write_text(tables.fill_blocks(path.read_text(encoding="utf-8"), run), encoding="utf-8")
        print(f"filled the bench blocks of {path}")
    if status == 0 and arguments.strict and not all(verdict.is_met for verdict in verdicts(run)):
        return 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
