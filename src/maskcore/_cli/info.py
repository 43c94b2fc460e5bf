# SPDX-License-Identifier: Apache-2.0
"""`maskcore info`: versions, backends, instruction-set levels, codecs of records, self-check.

Needs numpy only. Knows nothing of what backends and codecs do.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import maskcore
from maskcore._cli.known_answers import PHILOX_VECTORS, ROWS, check_backend, check_codec
from maskcore.errors import BackendUnavailableError
from maskcore.records.encoding._codec import codec_name, codecs
from maskcore.records.tokenising.word_cache import why_not_compiled

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
        "and codec against known answers (exit code 1 if one differs).",
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
    _print_records()
    print(
        f"\nself-check: {len(PHILOX_VECTORS)} published vectors of the generator, {len(ROWS) + 1} "
        "rows, a record"
    )
    is_right = True
    for label, differences in _checks(statuses):
        is_right &= not differences
        print(f"  {label:<14}{'ok' if not differences else 'WRONG'}")
        for difference in differences:
            print(f"    {difference}")
    if not is_right:
        print(
            "This installation gives wrong masks or records: do not use it, and report what is "
            "printed here."
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


def _print_records() -> None:
    """Print what makes the bytes of records, and what looks words up."""
    print("\ncodecs of records, best first")
    try:
        active = codec_name()
    except BackendUnavailableError:
        active = ""  # the reasons follow
    for name, codec in codecs().items():
        state = codec if isinstance(codec, str) else "available"
        print(f"  {name:<14}{state}{', in use' if name == active else ''}")
    print(f"  {'word cache':<14}{why_not_compiled or 'compiled'}")


def _checks(statuses: Sequence[maskcore.BackendStatus]) -> Iterator[tuple[str, list[str]]]:
    """Yield what was checked and what was wrong."""
    for status in statuses:
        if status.is_available:
            yield from _checked(status.name)
    for name, codec in codecs().items():
        if not isinstance(codec, str):
            yield f"codec {name}", list(check_codec(codec))


def _checked(backend: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the checks of a backend; the native one at each of its levels."""
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
