# SPDX-License-Identifier: Apache-2.0
"""Which backend computes: order of preference, MASKCORE_BACKEND, use_backend, and what is missing and why.

Owns the choice, mostly in fresh interpreters, since it is made once in a process. A missing module is one that cannot be imported there.
"""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from helpers import Backend, run_python, running_on

import maskcore

NO_NATIVE = "import sys; sys.modules['maskcore._core'] = None\n"
NO_NUMBA = "import sys; sys.modules['numba'] = None\n"
NATIVE_REASON = (
    "ModuleNotFoundError: import of maskcore._core halted; None in sys.modules; "
    "install a wheel with compiled code, or build with a compiler"
)
NUMBA_REASON = (
    "ImportError: import of numba halted; None in sys.modules; pip install 'maskcore[numba]'"
)


def output(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def last_line(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.returncode != 0
    return completed.stderr.strip().splitlines()[-1]


ASK = "import maskcore; print(maskcore.active_backend())"
MASK = "import maskcore; print(maskcore.mask_positions([1, 0, 1], 9, seed=1).tolist(), maskcore.active_backend())"


def test_the_fastest_is_chosen() -> None:
    assert output(run_python(MASK)) == "[1, 0, 1] native"


@pytest.mark.parametrize("name", ["native", "numba", "reference"])
def test_the_environment_forces(name: str) -> None:
    assert output(run_python(MASK, MASKCORE_BACKEND=name)) == f"[1, 0, 1] {name}"


def test_an_empty_variable_forces_nothing() -> None:
    assert output(run_python(ASK, MASKCORE_BACKEND="")) == "native"


def test_an_unknown_backend() -> None:
    assert last_line(run_python(ASK, MASKCORE_BACKEND="cuda")) == (
        "ValueError: MASKCORE_BACKEND must be one of native, numba, reference, got 'cuda'; spell it so"
    )
    with pytest.raises(
        ValueError, match=r"^use_backend must be one of native, numba, reference, got 'Native'; "
    ):
        maskcore.use_backend("Native")


@pytest.mark.parametrize(
    ("name", "blocked", "reason"),
    [("native", NO_NATIVE, NATIVE_REASON), ("numba", NO_NUMBA, NUMBA_REASON)],
)
def test_forced_and_impossible_raises(name: str, blocked: str, reason: str) -> None:
    """It never becomes another backend; the text says why it cannot run, and how to get it."""
    assert last_line(run_python(blocked + ASK, MASKCORE_BACKEND=name)) == (
        f"maskcore.errors.BackendUnavailableError: MASKCORE_BACKEND asks for backend {name!r}, which cannot run: {reason}"
    )
    code = f"""
import maskcore
maskcore.use_backend("reference")
try:
    maskcore.use_backend({name!r})
except maskcore.BackendUnavailableError as error:
    print(error)
print(maskcore.active_backend())
"""
    assert output(run_python(blocked + code)).splitlines() == [
        f"use_backend asks for backend {name!r}, which cannot run: {reason}",
        "reference",
    ]


def test_fallback_warns_once_with_the_reasons() -> None:
    code = """
import warnings
import maskcore
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    maskcore.mask_positions([1], 1, seed=1)
    maskcore.mask_positions([1], 1, seed=1)
    maskcore.mask_spans([1], 1, seed=1)
for warning in caught:
    print(warning.category.__name__, warning.filename, warning.message)
print(maskcore.active_backend())
"""
    assert output(run_python(NO_NATIVE + code)).splitlines() == [
        f"RuntimeWarning <string> maskcore runs on its slower 'numba' backend. 'native' is missing ({NATIVE_REASON}).",
        "numba",
    ]
    assert output(run_python(NO_NATIVE + NO_NUMBA + code)).splitlines() == [
        f"RuntimeWarning <string> maskcore runs on its slower 'reference' backend. 'native' is missing ({NATIVE_REASON}). "
        f"'numba' is missing ({NUMBA_REASON}).",
        "reference",
    ]


def test_no_warning_where_nothing_is_missing() -> None:
    assert run_python("import warnings; warnings.simplefilter('error')\n" + MASK).stderr == ""


def test_forcing_a_slower_backend_does_not_warn() -> None:
    completed = run_python(NO_NATIVE + MASK, MASKCORE_BACKEND="reference")
    assert (output(completed), completed.stderr) == ("[1, 0, 1] reference", "")


def test_available_backends() -> None:
    code = "import maskcore\nfor s in maskcore.available_backends(): print(s.name, s.is_available, s.reason, sep='|')"
    assert output(run_python(code)).splitlines() == [
        "native|True|",
        "numba|True|",
        "reference|True|",
    ]
    assert output(run_python(NO_NATIVE + NO_NUMBA + code)).splitlines() == [
        f"native|False|{NATIVE_REASON}",
        f"numba|False|{NUMBA_REASON}",
        "reference|True|",
    ]


def test_asking_what_is_available_chooses_nothing() -> None:
    code = """
import os
import maskcore
maskcore.available_backends()
os.environ["MASKCORE_BACKEND"] = "reference"
print(maskcore.active_backend())
"""
    assert output(run_python(code)) == "reference"


def test_use_backend_restores() -> None:
    with maskcore.use_backend("numba"):
        with maskcore.use_backend("reference"):
            assert maskcore.active_backend() == "reference"
        assert maskcore.active_backend() == "numba"
        with pytest.raises(ZeroDivisionError), maskcore.use_backend("reference"):
            raise ZeroDivisionError
        assert maskcore.active_backend() == "numba"


def test_use_backend_without_with_lasts() -> None:
    code = """
import maskcore
maskcore.use_backend("reference")
print(maskcore.active_backend())
with maskcore.use_backend("numba"):
    print(maskcore.active_backend())
print(maskcore.active_backend())
"""
    assert output(run_python(code)).split() == ["reference", "numba", "reference"]


def test_after_use_backend_the_choice_is_still_open() -> None:
    code = """
import maskcore
with maskcore.use_backend("reference"):
    pass
print(maskcore.active_backend())
"""
    assert output(run_python(code)) == "native"


def test_the_forced_function_is_the_one_that_runs() -> None:
    with running_on(Backend("reference")) as calls:
        maskcore.mask_positions(np.ones((3, 5), np.uint8), 2, seed=1)
    assert calls == [(3, 5)]


def test_simd_levels_can_be_forced() -> None:
    """MASKCORE_SIMD names a level that can run, or the native backend cannot."""
    code = "import maskcore._native as native; print(native.active_simd_level(), *native.simd_levels())"
    best, *levels = output(run_python(code)).split()
    assert levels[0] == best
    assert levels[-1] == "scalar"
    for level in levels:
        assert output(run_python(code, MASKCORE_SIMD=level)).split() == [level, *levels]
    assert last_line(run_python(code, MASKCORE_SIMD="avx1024")).startswith(
        "maskcore.errors.BackendUnavailableError: MASKCORE_SIMD names no level that can run here; choose one of "
    )
    assert last_line(run_python(MASK, MASKCORE_SIMD="avx1024")).startswith(
        "maskcore.errors.BackendUnavailableError: MASKCORE_SIMD names no level that can run here"
    )
    listed = output(
        run_python(
            "import maskcore\nprint(maskcore.available_backends()[0])", MASKCORE_SIMD="avx1024"
        )
    )
    assert (
        "is_available=False, reason='BackendUnavailableError: MASKCORE_SIMD names no level"
        in listed
    )
    from maskcore import _native

    with pytest.raises(
        maskcore.BackendUnavailableError, match=r"^SIMD level 'avx1024' cannot run here; choose"
    ):
        _native.use_simd_level("avx1024")


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_importing_and_masking_loads_numpy_only(backend: str) -> None:
    code = (
        MASK
        + """
import sys
heavy = {"numba", "llvmlite", "tensorflow", "torch", "tokenizers", "rich", "scipy", "pandas", "google", "concurrent.futures"}
print(sorted(heavy & set(sys.modules)))
"""
    )
    assert output(run_python(code, MASKCORE_BACKEND=backend)).splitlines() == [
        f"[1, 0, 1] {backend}",
        "[]",
    ]
