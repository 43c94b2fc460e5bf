# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.profile_kernel LEVEL`: in which steps of the kernel a row spends its time.

Compiles the kernel's sources with line tables, samples them with perf, and adds the samples up by
function, inlined ones too. A function's share holds what it calls. Needs g++, perf and addr2line.
Knows no names of steps: it prints those that it finds.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "maskcore" / "csrc"
FLAGS = ("-std=c++17", "-O3", "-g", "-fno-threadsafe-statics")
LEAST_SHARE = 0.01
INTRINSIC = "_"  # the compiler's; no step of the kernel begins so
NAMESPACE = re.compile(r"\(anonymous namespace\)|maskcore::|std::")


def _run(*command: object) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def build(folder: Path) -> Path:
    """Compile the kernel and the loop around it."""
    program = folder / "profile_kernel"
    units = [Path(__file__).with_suffix(".cpp"), *sorted(SOURCES.glob("*.cpp"))]
    _run("g++", *FLAGS, "-I", SOURCES, *units, "-pthread", "-no-pie", "-o", program)
    return program


def sample(program: Path, level: str, calls: int) -> tuple[float, Counter[str]]:
    """Return nanoseconds a row and the number of samples at each address."""
    record = program.with_suffix(".perf")
    output = _run("perf", "record", "-q", "-F", 5000, "-o", record, program, level, calls)
    script = _run("perf", "script", "-i", record, "-F", "ip,dso")
    lines = (line.split() for line in script.splitlines() if program.name in line)
    return float(output), Counter(address for address, *_ in lines)


def short_name(function: str) -> str:
    """Return a C++ function without its template arguments, parameters and return type."""
    bare = NAMESPACE.sub("", function)
    while (shorter := re.sub(r"<[^<>]*>|\([^()]*\)", "", bare)) != bare:
        bare = shorter
    words = bare.replace("const", "").replace("::", " ").split()
    return words[-1] if words else function


def inclusive_shares(program: Path, samples: Counter[str]) -> Counter[str]:
    """Return the number of samples below each function, counted once a sample."""
    addresses = sorted(samples)
    frames = _run("addr2line", "-aifCe", program, *addresses).splitlines()
    shares: Counter[str] = Counter()
    names: set[str] = set()
    weight = 0
    for line in frames:
        if line.startswith("0x"):
            shares.update(dict.fromkeys(names, weight))
            names, weight = set(), samples[f"{int(line, 16):x}"]
        elif "/" not in line.split(":")[0] and not line.startswith("??"):
            name = short_name(line)
            if not name.startswith(INTRINSIC):
                names.add(name)
    shares.update(dict.fromkeys(names, weight))
    return shares


def main() -> None:
    """Print the share of every function that holds at least one in a hundred samples."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_kernel", description=__doc__)
    parser.add_argument("level", nargs="?", default="avx512")
    parser.add_argument("--calls", type=int, default=4000, help="calls with 4096 rows each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        ns_per_row, samples = sample(program, arguments.level, arguments.calls)
        shares = inclusive_shares(program, samples)
    total = samples.total()
    print(f"{arguments.level}: {ns_per_row:.0f} ns a row, {total} samples")
    print("| function, with what it calls | share | ns a row |\n| --- | ---: | ---: |")
    for name, count in shares.most_common():
        if count >= LEAST_SHARE * total:
            share = count / total
            print(f"| `{name}` | {100 * share:.0f} % | {ns_per_row * share:.0f} |")


if __name__ == "__main__":
    main()
