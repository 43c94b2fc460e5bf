# SPDX-License-Identifier: Apache-2.0
"""Whether a token costs the same in short and in long rows.

The native backend at its best level on 524,288 tokens, cut into rows of 64 to 65,536.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import maskcore
from bench import backends, checks, workload
from bench.measure import measure
from bench.results import ROW_LENGTHS

NUM_TOKENS = workload.NUM_ROWS * workload.ROW_LENGTH


@pytest.mark.parametrize("row_length", ROW_LENGTHS)
def test_row_length(benchmark: Any, row_length: int) -> None:
    rows = workload.maskable_rows(NUM_TOKENS // row_length, row_length)
    arguments = backends.mask_arguments(0) | {"row_ids": workload.row_ids(len(rows))}
    with backends.native_at():
        mask = maskcore.mask_positions(rows, **arguments)
        checks.exact_mask(mask, rows, workload.budgets(rows))
        with backends.native_at("scalar"):
            np.testing.assert_array_equal(mask, maskcore.mask_positions(rows, **arguments))
        measure(
            benchmark,
            f"row-length-{row_length}",
            lambda: maskcore.mask_positions(rows, **arguments),
            rows_per_call=len(rows),
        )
