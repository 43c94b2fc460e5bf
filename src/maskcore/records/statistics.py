# SPDX-License-Identifier: Apache-2.0
"""What the masks of a set of rows look like: rates, span lengths, places.

Owns the counting. Knows nothing of files or of how the figures are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskcore.config import MaskConfig
from maskcore.records.schema import Columns

__all__ = ["MaskStatistics"]

NUM_BINS = 10

Ints = NDArray[np.int64]


def _by_tenth(places: Ints, chosen: NDArray[np.bool_]) -> Ints:
    return np.bincount(places, chosen[:, 1:].sum(axis=0), NUM_BINS).astype(np.int64)


@dataclass(slots=True)
class MaskStatistics:
    """Counts over the rows added so far."""

    mask: MaskConfig
    seq_length: int
    rows: int = 0
    maskable: Ints = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    """Tokens that may be masked, by tenth of the row's places between [CLS] and the end."""
    masked: Ints = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    span_lengths: Ints = field(init=False)
    """How many masked spans have 0, 1, ..., max_n units."""
    fewest: int = 2**62
    """Masked tokens in the row that has the fewest."""
    most: int = 0

    def __post_init__(self) -> None:
        self.span_lengths = np.zeros(self.mask.max_n + 1, np.int64)

    def add(self, columns: Columns, spans: NDArray[np.int32]) -> None:
        """Count a batch of rows with their span numbers."""
        words = columns["word_ids"]
        is_masked = spans > 0
        places = np.arange(self.seq_length - 1) * NUM_BINS // (self.seq_length - 1)
        self.maskable += _by_tenth(places, words > 0)
        self.masked += _by_tenth(places, is_masked)
        self.rows += len(spans)
        per_row = is_masked.sum(axis=1)
        self.fewest = min(self.fewest, int(per_row.min(initial=self.fewest)))
        self.most = max(self.most, int(per_row.max(initial=0)))
        self._add_span_lengths(words, spans)

    def _add_span_lengths(self, words: Ints, spans: NDArray[np.int32]) -> None:
        begins_unit = np.ones(words.shape, bool)
        if self.mask.mask_unit == "word":
            begins_unit[:, 1:] = words[:, 1:] != words[:, :-1]
        rows, places = np.nonzero((spans > 0) & begins_unit)
        numbers = rows * np.int64(self.seq_length + 1) + spans[rows, places]
        _, lengths = np.unique(numbers, return_counts=True)
        self.span_lengths += np.bincount(lengths, minlength=self.mask.max_n + 1)

    @property
    def rate(self) -> float:
        """Masked share of the tokens that may be masked."""
        return float(self.masked.sum() / max(int(self.maskable.sum()), 1))

    def length_shares(self) -> list[tuple[int, float, float]]:
        """Return for each span length in units the realised share, and that of the pieces drawn."""
        total = max(int(self.span_lengths.sum()), 1)
        weights = self.mask.ngram_weights or ()
        return [
            (n, float(self.span_lengths[n] / total), float(weights[n - 1] / sum(weights)))
            for n in range(1, self.mask.max_n + 1)
        ]

    def rates_by_place(self) -> list[float]:
        """Return the rate in each tenth of the row; NaN where nothing may be masked."""
        with np.errstate(invalid="ignore"):
            rates: list[float] = (self.masked / self.maskable).tolist()
        return rates
