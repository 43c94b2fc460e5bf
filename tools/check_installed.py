# SPDX-License-Identifier: Apache-2.0
"""Check the maskcore that this interpreter has installed: `python check_installed.py BACKEND`.

Runs in environments that hold nothing but maskcore and what it needs. BACKEND is what must be
chosen by itself; the native one must also pick the instruction-set level that /proc/cpuinfo calls
for, and come with the TensorFlow op. Every backend must give the known answers that ship with the
package, and the record encoder a record of TensorFlow's.
"""

from __future__ import annotations

import ctypes
import importlib.resources
import platform
import sys
import warnings
from pathlib import Path

import numpy as np

import maskcore
from maskcore._cli.known_answers import check_backend

# What each level is compiled for (CMakeLists.txt), in the words of /proc/cpuinfo; "abm" is lzcnt.
_AVX2 = {"avx2", "bmi1", "bmi2", "abm", "popcnt"}
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_AVX512 |= {"avx512vbmi", "avx512_vbmi2", "avx512_vpopcntdq"}
# Zen 1 and 2, and Hygon's: they have AVX2 and run pdep in microcode, so the kernel leaves it out.
_SLOW_PDEP_FAMILIES = {0x17, 0x18}
# What TensorFlow 2.21 writes for an Example whose feature "a" is the int64 list [300].
_RECORD = "0f000000000000006d532b090a0d0a0b0a016112061a040a02ac02afcb1c3e"


def expected_simd_level(cpuinfo: str) -> str:
    """Return the level that a machine with this /proc/cpuinfo must get."""
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in cpuinfo.splitlines()
        if ":" in line
    )
    flags = set(fields.get("flags", "").split())
    if not flags >= _AVX2 or int(fields["cpu family"]) in _SLOW_PDEP_FAMILIES:
        return "scalar"
    return "avx512" if flags >= _AVX512 else "avx2"


def wrong_with_simd() -> str:
    """Return what is wrong with the level that the native backend chose, or nothing."""
    from maskcore import _native  # noqa: PLC0415  # there is none in the pure wheel

    is_x86 = platform.machine() == "x86_64"
    expected = expected_simd_level(Path("/proc/cpuinfo").read_text()) if is_x86 else "scalar"
    chosen = _native.active_simd_level()
    print(f"  SIMD level {chosen}")
    return "" if chosen == expected else f"SIMD level {chosen} chosen, {expected} expected"


def wrong_with_op_library() -> str:
    """Return what is wrong with the TensorFlow op, loaded without TensorFlow, or nothing."""
    path = importlib.resources.files("tfshim") / "_tfop.so"
    if not path.is_file():
        return "there is no tfshim/_tfop.so"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return f"the op does not load: {error}"
    print("  op library: loads without TensorFlow")
    return ""


def wrong_with_records(is_compiled: bool) -> str:
    """Return what is wrong with the record encoder, or nothing."""
    from maskcore.records.encoding import _codec  # noqa: PLC0415  # so that masks are checked without it
    from maskcore.records.encoding.example import ExampleLayout  # noqa: PLC0415
    from maskcore.records.encoding.tfrecord import encode_records  # noqa: PLC0415

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            name = _codec.codec_name()
    except maskcore.BackendUnavailableError as error:
        is_told = not is_compiled and "pip install 'maskcore[build]'" in str(error)
        print(f"  records: {error}")
        return "" if is_told else f"records cannot be made: {error}"
    print(f"  records: {name} codec")
    if name != ("native" if is_compiled else "numpy"):
        return f"records are made by the {name} codec"
    if not is_compiled and not any("'native' is missing" in str(w.message) for w in warned):
        return "no warning says that the native codec is missing"
    records, _ = encode_records(ExampleLayout({"a": 1}), {"a": np.array([[300]])})
    return "" if records.tobytes().hex() == _RECORD else f"record {records.tobytes().hex()}"


def main(expected_backend: str) -> int:
    """Print what was checked; return 1 if something is wrong."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        active = maskcore.active_backend()
    print(f"Python {platform.python_version()} on {platform.machine()}, backend {active}")
    for warning in warned:
        print(f"  {warning.category.__name__}: {warning.message}")
    wrong = []
    if active != expected_backend:
        wrong.append(f"backend {active} chosen, {expected_backend} expected")
    if active != "native" and not any("'native' is missing" in str(w.message) for w in warned):
        wrong.append("no warning says that the native backend is missing")
    if active == "native":
        wrong += filter(None, [wrong_with_simd(), wrong_with_op_library()])
    wrong += filter(None, [wrong_with_records(is_compiled=active == "native")])
    for status in maskcore.available_backends():
        if status.is_available:
            wrong += [f"{status.name}: {mistake}" for mistake in check_backend(status.name)]
            print(f"  {status.name}: known answers checked")
    for mistake in wrong:
        print(f"  WRONG: {mistake}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
