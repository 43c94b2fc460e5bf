# SPDX-License-Identifier: Apache-2.0
"""Forces backends and SIMD levels of maskcore, and checks each before it is timed.

Owns forcing and restoring. Knows nothing of clocks or reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import maskcore
from bench import checks, workload

ALL_SIMD_LEVELS = ("avx512", "avx2", "scalar")
NUM_REFERENCE_ROWS = 128  # the reference takes about a millisecond a row


def native_module() -> ModuleType | None:
    """Return the native backend, or None; `maskcore.available_backends()` says why."""
    try:
        from maskcore import _native
    except ImportError:
        return None
    return _native


def simd_levels() -> tuple[str, ...]:
    """Return the SIMD levels that run here, best first; none without the native backend."""
    native = native_module()
    return () if native is None else tuple(native.simd_levels())


@contextmanager
def native_at(level: str | None = None) -> Iterator[None]:
    """Force the native backend at `level`, by default the best; skip where it cannot run."""
    native = native_module()
    levels = simd_levels()
    if native is None or (level is not None and level not in levels):
        pytest.skip(f"native backend at {level or 'any level'} cannot run here, only {levels}")
    before = native.active_simd_level()
    native.use_simd_level(level or levels[0])
    try:
        with maskcore.use_backend("native"):
            yield
    finally:
        native.use_simd_level(before)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Force a backend; skip with its reason where it cannot run."""
    status = next(s for s in maskcore.available_backends() if s.name == name)
    if not status.is_available:
        pytest.skip(f"backend {name} is missing: {status.reason}")
    with maskcore.use_backend(name):
        yield


def mask_arguments(num_rows: int = workload.NUM_ROWS) -> dict[str, Any]:
    """Return the keywords of the headline figure; row ids are those of stored records."""
    return {
        "masking_ratio": workload.MASKING_RATIO,
        "max_n": workload.MAX_N,
        "seed": workload.SEED,
        "row_ids": workload.row_ids()[:num_rows],
    }


@cache
def reference_mask() -> NDArray[np.uint8]:
    """Return the masks of the first rows by the reference backend."""
    rows = workload.maskable_rows()[:NUM_REFERENCE_ROWS]
    with maskcore.use_backend("reference"):
        arguments = mask_arguments(NUM_REFERENCE_ROWS)
        mask: NDArray[np.uint8] = maskcore.mask_positions(rows, **arguments)
    return mask


def check_mask(mask: NDArray[np.uint8]) -> None:
    """Check masks of the first rows of the workload: exact budgets, the bits of the reference."""
    rows = workload.maskable_rows()[: len(mask)]
    checks.exact_mask(mask, rows, workload.budgets(rows))
    shared = min(len(mask), NUM_REFERENCE_ROWS)
    np.testing.assert_array_equal(mask[:shared], reference_mask()[:shared])
