# SPDX-License-Identifier: Apache-2.0
"""What an output must satisfy before its maker is timed.

Owns the checks that are the same for several maskers. Knows nothing of clocks or reports. A
failed check fails the bench: a masker that masks something else is not timed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import workload

NUM_SIGMAS = 6.0  # one false alarm in 5e8 checks of an independent draw


def exact_mask(mask: NDArray[Any], maskable: NDArray[np.uint8], budgets: NDArray[np.int64]) -> None:
    """Check a mask of 0 and 1 that spends exactly its budgets on maskable tokens."""
    assert mask.shape == maskable.shape
    assert np.isin(mask, (0, 1)).all()
    assert not mask[maskable == 0].any(), "masks tokens that must stay"
    np.testing.assert_array_equal(np.count_nonzero(mask, axis=1), budgets)


def independent_mask(is_masked: NDArray[np.bool_], maskable: NDArray[np.uint8]) -> None:
    """Check a mask that draws each maskable token with `MASKING_RATIO`, and no other."""
    assert not is_masked[maskable == 0].any(), "masks tokens that must stay"
    share, count = workload.MASKING_RATIO, int(np.count_nonzero(maskable))
    deviation = math.sqrt(count * share * (1 - share))
    assert abs(int(is_masked.sum()) - count * share) < NUM_SIGMAS * deviation


def replaced_ids(ids: NDArray[Any], masked_ids: NDArray[Any], is_masked: NDArray[np.bool_]) -> None:
    """Check the shares 80/10/10 at masked positions, and that nothing else changed."""
    assert masked_ids.dtype == ids.dtype
    np.testing.assert_array_equal(masked_ids[~is_masked], ids[~is_masked])
    count = int(is_masked.sum())
    became_mask = int((masked_ids[is_masked] == workload.MASK_ID).sum())
    kept = int((masked_ids[is_masked] == ids[is_masked]).sum())
    # A random id is [MASK] or the id itself once in VOCAB_SIZE draws: far below the tolerance.
    assert abs(became_mask - 0.8 * count) < NUM_SIGMAS * math.sqrt(count * 0.8 * 0.2)
    assert abs(kept - 0.1 * count) < NUM_SIGMAS * math.sqrt(count * 0.1 * 0.9)
