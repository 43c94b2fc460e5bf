# SPDX-License-Identifier: Apache-2.0
"""What a row costs on each backend, and on each SIMD level of the native one.

(4096, 128) uint8, about 80 % maskable, 20 % of those masked, max_n=3, one thread, through the
public function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import maskcore
from bench import backends, workload
from bench.measure import measure


def _measure_rows(benchmark: Any, measures: str, rows: NDArray[np.uint8]) -> None:
    arguments = backends.mask_arguments(len(rows))
    backends.check_mask(maskcore.mask_positions(rows, **arguments))
    measure(
        benchmark,
        measures,
        lambda: maskcore.mask_positions(rows, **arguments),
        rows_per_call=len(rows),
    )


@pytest.mark.parametrize("level", backends.ALL_SIMD_LEVELS)
def test_native(benchmark: Any, level: str, maskable: NDArray[np.uint8]) -> None:
    with backends.native_at(level):
        _measure_rows(benchmark, f"native-{level}", maskable)


def test_numba(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    with backends.backend("numba"):
        _measure_rows(benchmark, "numba", maskable)


def test_reference(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    with backends.backend("reference"):
        _measure_rows(benchmark, "reference", maskable[:16])


def test_native_into_given_array(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    """Without the allocation of the result."""
    out = np.empty_like(maskable)
    arguments = backends.mask_arguments()
    with backends.native_at():
        backends.check_mask(maskcore.mask_positions(maskable, out=out, **arguments))
        measure(
            benchmark,
            "native-out",
            lambda: maskcore.mask_positions(maskable, out=out, **arguments),
            rows_per_call=len(maskable),
        )


def test_native_words(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    """Whole words of one to several pieces."""
    words = workload.word_ids(maskable)
    arguments = backends.mask_arguments() | {"word_ids": words}
    few = backends.NUM_REFERENCE_ROWS
    with maskcore.use_backend("reference"):
        expected = maskcore.mask_positions(
            maskable[:few], word_ids=words[:few], **backends.mask_arguments(few)
        )
    with backends.native_at():
        np.testing.assert_array_equal(
            maskcore.mask_positions(maskable, **arguments)[:few], expected
        )
        measure(
            benchmark,
            "native-words",
            lambda: maskcore.mask_positions(maskable, **arguments),
            rows_per_call=len(maskable),
        )
