# SPDX-License-Identifier: Apache-2.0
"""Which features a record has, and how masks follow from them.

Owns the names of docs/records.md and the one derivation of masks from stored rows, which builder,
reader and reports share. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskcore.config import MaskConfig
from maskcore.masking import MaskedIndices, mask_indices, mask_positions, mask_spans

__all__ = [
    "MASKED_LM_COUNTS",
    "MASKED_LM_POSITIONS",
    "derive_indices",
    "derive_spans",
    "feature_lengths",
    "largest_budget",
    "mask_columns",
]

MASKED_LM_POSITIONS = "masked_lm_positions"
MASKED_LM_COUNTS = "masked_lm_counts"

Columns = Mapping[str, NDArray[np.int64]]


def feature_lengths(seq_length: int, mask_epochs: int, max_predictions: int) -> dict[str, int]:
    """Return the number of int64 values of each feature.

    >>> feature_lengths(128, 2, 20)["masked_lm_positions"]
    40
    """
    lengths = {
        "attention_mask": seq_length,
        "input_ids": seq_length,
        "row_id": 1,
        "token_type_ids": seq_length,
        "word_ids": seq_length,
    }
    if mask_epochs:
        lengths[MASKED_LM_COUNTS] = mask_epochs
        lengths[MASKED_LM_POSITIONS] = mask_epochs * max_predictions
    return dict(sorted(lengths.items()))


def largest_budget(masking_ratio: float, num_maskable: int) -> int:
    """Return how many tokens `masking_ratio` masks in a row of `num_maskable`.

    >>> largest_budget(0.15, 126)
    19
    """
    row = np.ones(num_maskable, np.uint8)
    return int(mask_positions(row, masking_ratio=masking_ratio, seed=0).sum())


def _arguments(mask: MaskConfig, columns: Columns, epoch: ArrayLike) -> dict[str, Any]:
    words = columns["word_ids"]
    return {
        "maskable_positions": words > 0,
        "word_ids": words - 1 if mask.mask_unit == "word" else None,
        "row_ids": columns["row_id"].reshape(len(words)),
        "epoch": epoch,
        **mask.arguments(),
    }


def derive_indices(mask: MaskConfig, columns: Columns, epoch: ArrayLike) -> MaskedIndices:
    """Return the masks of rows in an epoch; tokens whose `word_ids` are 0 are never masked."""
    return mask_indices(**_arguments(mask, columns, epoch))


def derive_spans(mask: MaskConfig, columns: Columns, epoch: ArrayLike) -> NDArray[np.int32]:
    """Return the same masks as span numbers."""
    return mask_spans(**_arguments(mask, columns, epoch))


def mask_columns(
    mask: MaskConfig, columns: Columns, mask_epochs: int
) -> dict[str, NDArray[np.int64]]:
    """Return the features that store the masks of epochs 0 .. `mask_epochs` - 1."""
    if mask_epochs == 0:
        return {}
    chosen = [derive_indices(mask, columns, epoch) for epoch in range(mask_epochs)]
    counts = np.stack([np.count_nonzero(indices.weights, axis=1) for indices in chosen], axis=1)
    positions = np.concatenate([indices.positions for indices in chosen], axis=1)
    return {
        MASKED_LM_COUNTS: counts.astype(np.int64),
        MASKED_LM_POSITIONS: positions.astype(np.int64),
    }
