# SPDX-License-Identifier: Apache-2.0
"""What the kernel tests share: the backends under test, the reference's answer, known answers, random rows.

Owns test data and comparison. Knows nothing of how a backend computes.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import maskcore
from maskcore import _backends
from maskcore._call import MaskCall

KAT = Path(__file__).parent / "kat"

# 0, 1, 2, 3; around a vector of 64 bytes and its multiples; a length that fits none of them.
LENGTHS = (0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000)

# Everything that `maskable_positions` may be.
MASKABLE_DTYPES = tuple("?bBhHiIlLqQfd")


class Backend(NamedTuple):
    """A backend under test, and for the native one the instruction set."""

    name: str
    simd_level: str | None = None

    @property
    def id(self) -> str:
        return self.name if self.simd_level is None else f"{self.name}-{self.simd_level}"


def _native_levels() -> tuple[str | None, ...]:
    try:
        levels: tuple[str, ...] = importlib.import_module("maskcore._native").simd_levels()
    except ImportError:
        return (None,)  # the fixture then fails with the reason
    return levels


def backends_under_test() -> list[Backend]:
    """Return what to test; where one of them cannot run, its tests fail.

    MASKCORE_TEST_BACKENDS, as in "numba,reference", is for installations that cannot have the native one.
    """
    names = os.environ.get("MASKCORE_TEST_BACKENDS", "reference,numba,native").split(",")
    backends = []
    for name in names:
        levels = _native_levels() if name == "native" else (None,)
        backends += [Backend(name, level) for level in levels]
    return backends


@contextmanager
def running_on(backend: Backend) -> Iterator[list[tuple[int, int]]]:
    """Force a backend, and yield the list of the shapes that it was given."""
    calls: list[tuple[int, int]] = []
    with maskcore.use_backend(backend.name):
        kernel = importlib.import_module(f"maskcore._{backend.name}").mask_rows

        def recorded(call: MaskCall) -> None:
            calls.append((call.num_rows, call.row_length))
            kernel(call)

        forced = _backends._active
        assert forced is not None
        assert forced.mask_rows is kernel
        _backends._active = forced._replace(mask_rows=recorded)  # undone by use_backend
        with _simd_level(backend.simd_level):
            yield calls


@contextmanager
def _simd_level(level: str | None) -> Iterator[None]:
    if level is None:
        yield
        return
    native = importlib.import_module("maskcore._native")
    before = native.active_simd_level()
    native.use_simd_level(level)
    try:
        yield
        assert native.active_simd_level() == level
    finally:
        native.use_simd_level(before)


def reference_answer(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what the plain-Python reference gives."""
    with running_on(Backend("reference")) as calls:
        answer = function(*args, **kwargs)
    assert calls
    return answer


def assert_identical(actual: Any, expected: Any) -> None:
    """Fail unless two arrays, or tuples of arrays, agree in dtype, shape and every value."""
    if isinstance(expected, tuple):
        assert type(actual) is type(expected)
        for name, one, other in zip(expected._fields, actual, expected, strict=True):
            assert (name, one.dtype, one.shape) == (name, other.dtype, other.shape)
            np.testing.assert_array_equal(one, other, err_msg=name, strict=True)
        return
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(actual, expected, strict=True)


def known_answers(file: str) -> list[dict[str, Any]]:
    """Return the entries of a file of tests/kat."""
    entries: list[dict[str, Any]] = json.loads((KAT / file).read_text())["entries"]
    return entries


def random_maskable(seed: int, num_rows: int, length: int) -> NDArray[np.uint8]:
    """Return a batch of which 80 % may be masked."""
    return (np.random.default_rng(seed).random((num_rows, length)) < 0.8).astype(np.uint8)


def random_words(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return word ids of words of 1 to 4 tokens, every fifth token without a word."""
    words = np.cumsum(rng.random(shape) < 0.6, axis=-1)
    return np.where(rng.random(shape) < 0.2, -1, words).astype(np.int32)


def random_segments(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return segment ids that change about every twelfth token."""
    return np.cumsum(rng.random(shape) < 1 / 12, axis=-1).astype(np.int32) % 3


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter, without this process's choice of backend."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MASKCORE_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
