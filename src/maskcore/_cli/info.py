# SPDX-License-Identifier: Apache-2.0
"""`maskcore info`: versions, backends, instruction-set levels, self-check.

Needs numpy only. Knows nothing of records.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import maskcore
from maskcore._cli.known_answers import PHILOX_VECTORS, ROWS, check_backend

__all__ = ["add_parser", "run"]

# Library -> what it is for, and the extra that brings it.
_LIBRARIES = (
    ("numpy", "", ""),
    ("numba", "backend", "numba"),
    ("tensorflow", "tfshim", "tensorflow"),
    ("tokenizers", "maskcore build", "build"),
    ("google-crc32c", "maskcore build", "build"),
    ("rich", "maskcore build", "build"),
    ("jinja2", "maskcore build", "build"),
    ("pyarrow", "Parquet", "parquet"),
    ("zstandard", ".zst files", "zstd"),
    ("fsspec", "URLs", "remote"),
    ("sentencepiece", ".model files", "sentencepiece"),
)


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        parents=[common],
        help="print versions and backends, and check them",
        description="Print versions, backends and instruction-set levels, and check every backend "
        "against known answers "
        "(exit code 1 if one differs).",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is there and whether it is right."""
    print(f"maskcore {maskcore.__version__}, version {maskcore.ALGORITHM_VERSION} of the algorithm")
    print(
        f"  {'python':<14}{platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs"
    )
    for name, purpose, extra in _LIBRARIES:
        print(f"  {name:<14}{_version_of(name, purpose, extra)}")
    print("\nbackends, best first")
    statuses = maskcore.available_backends()
    active = maskcore.active_backend()
    for status in statuses:
        state = status.reason or "available"
        print(f"  {status.name:<14}{state}{', in use' if status.name == active else ''}")
    native = next(
        (status for status in statuses if status.name == "native" and status.is_available), None
    )
    if native is not None:
        print(f"  {'SIMD level':<14}{_simd_levels()}")
    print(
        f"\nself-check: {len(PHILOX_VECTORS)} published vectors of the generator, {len(ROWS) + 1} "
        "rows"
    )
    is_right = True
    for status in statuses:
        if status.is_available:
            for label, differences in _checked(status.name):
                is_right &= not differences
                print(f"  {label:<14}{'ok' if not differences else 'WRONG'}")
                for difference in differences:
                    print(f"    {difference}")
    if not is_right:
        print(
            "This installation gives wrong masks: do not use it, and report what is printed here."
        )
    return 0 if is_right else 1


def _version_of(name: str, purpose: str, extra: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"not installed; for {purpose}: pip install 'maskcore[{extra}]'"


def _simd_levels() -> str:
    native = importlib.import_module("maskcore._native")
    return (
        f"{native.active_simd_level()} in use; this machine runs {', '.join(native.simd_levels())}"
    )


def _checked(backend: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what was checked and what was wrong; the native backend at each of its levels."""
    if backend != "native":
        yield backend, list(check_backend(backend))
        return
    native = importlib.import_module("maskcore._native")
    before = native.active_simd_level()
    try:
        for level in native.simd_levels():
            native.use_simd_level(level)
            yield f"native {level}", list(check_backend(backend))
    finally:
        native.use_simd_level(before)
