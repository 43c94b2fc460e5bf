# SPDX-License-Identifier: Apache-2.0
"""What one call with one row of 128 tokens costs, checks and all.

The price of the Python layer: a batch spreads it over its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskcore
from bench import backends, workload
from bench.measure import measure


def test_mask_positions(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    row, row_id = maskable[0], int(workload.row_ids()[0])
    mask_positions, budget, seed = (
        maskcore.mask_positions,
        workload.NUM_TOKENS_TO_MASK,
        workload.SEED,
    )
    with backends.native_at():
        mask = maskcore.mask_positions(
            row, masking_ratio=workload.MASKING_RATIO, seed=workload.SEED, row_ids=row_id
        )
        backends.check_mask(mask[np.newaxis])
        measure(
            benchmark,
            "single-call",
            lambda: mask_positions(row, budget, seed=seed, row_ids=row_id),
            rows_per_call=1,
        )


def test_mask_tokens(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    ids, row_id = workload.token_ids(maskable)[0], int(workload.row_ids()[0])
    arguments: dict[str, Any] = {
        "mask_id": workload.MASK_ID,
        "special_ids": workload.SPECIAL_IDS,
        "random_ids": (range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),),
        "seed": workload.SEED,
        "row_ids": row_id,
    }
    with backends.native_at():
        masked = maskcore.mask_tokens(ids, None, workload.NUM_TOKENS_TO_MASK, **arguments)
        assert isinstance(masked, maskcore.MaskedTokens)
        assert int((masked.labels != workload.IGNORE_INDEX).sum()) == workload.NUM_TOKENS_TO_MASK
        measure(
            benchmark,
            "single-call-tokens",
            lambda: maskcore.mask_tokens(ids, None, workload.NUM_TOKENS_TO_MASK, **arguments),
            rows_per_call=1,
        )
