# SPDX-License-Identifier: Apache-2.0
"""What a row costs when choice and replacement are one pass over int32 ids.

The native backend at its best level, 80/10/10, random ids from all ids of a vocabulary of 30,000
but the five special ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import maskcore
from bench import backends, checks, workload
from bench.measure import measure

RANDOM_IDS = {
    "range": (range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),),
    "table": maskcore.allowed_ids(workload.VOCAB_SIZE, workload.SPECIAL_IDS),
}


def _arguments(num_rows: int, random_ids: str) -> dict[str, Any]:
    return backends.mask_arguments(num_rows) | {
        "mask_id": workload.MASK_ID,
        "random_ids": RANDOM_IDS[random_ids],
        "special_ids": workload.SPECIAL_IDS,
    }


def _check(ids: NDArray[np.int32], maskable: NDArray[np.uint8], random_ids: str) -> None:
    masked = maskcore.mask_tokens(ids, **_arguments(len(ids), random_ids))
    assert isinstance(masked, maskcore.MaskedTokens)
    is_masked = masked.labels != workload.IGNORE_INDEX
    checks.exact_mask(is_masked, maskable, workload.budgets(maskable))
    checks.replaced_ids(ids, masked.input_ids, is_masked)
    np.testing.assert_array_equal(masked.labels[is_masked], ids[is_masked])
    few = backends.NUM_REFERENCE_ROWS
    with maskcore.use_backend("reference"):
        expected = maskcore.mask_tokens(ids[:few], **_arguments(few, random_ids))
    assert isinstance(expected, maskcore.MaskedTokens)
    np.testing.assert_array_equal(masked.input_ids[:few], expected.input_ids)
    np.testing.assert_array_equal(masked.labels[:few], expected.labels)


@pytest.mark.parametrize("random_ids", RANDOM_IDS)
def test_labels(benchmark: Any, random_ids: str, maskable: NDArray[np.uint8]) -> None:
    """Masked ids and labels; random ids given as a range or as a table."""
    ids = workload.token_ids(maskable)
    arguments = _arguments(len(ids), random_ids)
    with backends.native_at():
        _check(ids, maskable, random_ids)
        measure(
            benchmark,
            f"mask-tokens-{random_ids}",
            lambda: maskcore.mask_tokens(ids, **arguments),
            rows_per_call=len(ids),
        )


def test_positions(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    """Masked ids with positions, ids and weights of fixed size."""
    ids = workload.token_ids(maskable)
    arguments = _arguments(len(ids), "range") | {"output": "positions"}
    with backends.native_at():
        result = maskcore.mask_tokens(ids, **arguments)
        assert isinstance(result, maskcore.PredictionTokens)
        labels = maskcore.mask_tokens(ids, **_arguments(len(ids), "range"))
        np.testing.assert_array_equal(result.input_ids, labels.input_ids)
        np.testing.assert_array_equal(
            result.masked_lm_weights.sum(axis=1), workload.budgets(maskable)
        )
        measure(
            benchmark,
            "mask-tokens-positions",
            lambda: maskcore.mask_tokens(ids, **arguments),
            rows_per_call=len(ids),
        )
