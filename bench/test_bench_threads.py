# SPDX-License-Identifier: Apache-2.0
"""What two threads gain on a large batch.

(65,536, 128) uint8 on the native backend at its best level: threads start and end within the
call, which takes milliseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import maskcore
from bench import backends, workload
from bench.measure import measure

NUM_ROWS = 65_536


@pytest.mark.parametrize("num_threads", [1, 2])
def test_threads(benchmark: Any, num_threads: int) -> None:
    rows = np.tile(workload.maskable_rows(), (NUM_ROWS // workload.NUM_ROWS, 1))
    arguments = backends.mask_arguments(0) | {"row_ids": workload.row_ids(NUM_ROWS)}
    with backends.native_at():
        np.testing.assert_array_equal(
            maskcore.mask_positions(rows, num_threads=num_threads, **arguments),
            maskcore.mask_positions(rows, num_threads=1, **arguments),
        )
        measure(
            benchmark,
            f"threads-{num_threads}",
            lambda: maskcore.mask_positions(rows, num_threads=num_threads, **arguments),
            rows_per_call=NUM_ROWS,
        )
