# SPDX-License-Identifier: Apache-2.0
"""Drawing many masks of one row, and the p-values that say whether they follow a law.

Owns batching and significance. Knows nothing of how masks are chosen; `exact_laws.py` holds what
is expected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from helpers import backends_under_test
from numpy.typing import NDArray
from scipy import stats

import maskcore

SIGNIFICANCE = 1e-4
"""Seeds are fixed: a p-value below this is no bad luck that goes away, it comes again."""

BATCH = 1 << 15
MIN_EXPECTED = 10.0  # cells that expect less are pooled, as the chi-square limit needs


@pytest.fixture(autouse=True, scope="module")
def native_backend() -> Iterator[None]:
    """Only this backend is fast enough here; where it cannot run, tests fail with the reason."""
    if "native" not in {backend.name for backend in backends_under_test()}:
        pytest.skip("MASKCORE_TEST_BACKENDS leaves out native; bit equality is tested elsewhere")
    with maskcore.use_backend("native"):
        yield


def draw(
    function: Callable[..., NDArray[Any]],
    row: Sequence[int],
    budget: int,
    num_rows: int,
    *,
    first_row_id: int = 0,
    **arguments: Any,
) -> Iterator[NDArray[Any]]:
    """Yield batches of `function`'s answers for `num_rows` copies of one row."""
    for start in range(0, num_rows, BATCH):
        size = min(BATCH, num_rows - start)
        copies = {
            name: np.tile(np.asarray(value, np.int32), (size, 1))
            if name in ("word_ids", "segment_ids")
            else value
            for name, value in arguments.items()
        }
        row_ids = np.arange(size, dtype=np.int64) + (first_row_id + start)
        yield function(
            np.tile(np.asarray(row, np.uint8), (size, 1)), budget, row_ids=row_ids, **copies
        )


def count_rows(batches: Iterator[NDArray[Any]]) -> Counter[tuple[int, ...]]:
    """Count how often each row occurs; values below 16, at most 15 of them."""
    totals: Counter[int] = Counter()
    length = 0
    for batch in batches:
        length = batch.shape[1]
        keys = batch.astype(np.int64) @ (1 << 4 * np.arange(length, dtype=np.int64))
        values, counts = np.unique(keys, return_counts=True)
        totals.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return Counter(
        {tuple(key >> 4 * t & 15 for t in range(length)): count for key, count in totals.items()}
    )


def chi_square_p(observed: Sequence[float], expected: Sequence[float]) -> float:
    """Return Pearson's p-value; cells that expect little are pooled, impossible ones are empty."""
    seen, mean = np.asarray(observed, float).ravel(), np.asarray(expected, float).ravel()
    assert not seen[mean == 0].any(), "an outcome of probability 0 occurred"
    is_small = mean < MIN_EXPECTED
    seen = np.append(seen[~is_small], seen[is_small].sum())
    mean = np.append(mean[~is_small], mean[is_small].sum())
    if mean[-1] < MIN_EXPECTED:
        seen = np.append(seen[:-2], seen[-2:].sum())
        mean = np.append(mean[:-2], mean[-2:].sum())
    if len(mean) == 1:
        return 1.0
    return float(stats.chi2.sf(((seen - mean) ** 2 / mean).sum(), len(mean) - 1))


def outcomes_p(counts: Mapping[Any, int], probabilities: Mapping[Any, Any]) -> float:
    """Return the p-value of counted outcomes against their probabilities."""
    unknown = set(counts) - set(probabilities)
    assert not unknown, f"outcomes that the algorithm does not allow: {sorted(unknown)[:3]}"
    total = sum(counts.values())
    outcomes = sorted(probabilities)
    return chi_square_p(
        [counts.get(outcome, 0) for outcome in outcomes],
        [float(probabilities[outcome]) * total for outcome in outcomes],
    )


def normal_p(deviations: NDArray[Any]) -> float:
    """Return the two-sided p-value that independent deviations have mean 0."""
    total, spread = float(np.sum(deviations)), float(np.sqrt(np.sum(np.square(deviations))))
    return float(2 * stats.norm.sf(abs(total) / spread)) if spread else 1.0


class TokenMoments:
    """Sums of masks over rows and, over some of them, products: what the test of law 1 needs."""

    def __init__(
        self,
        batches: Iterator[NDArray[Any]],
        tokens: Sequence[int],
        covariance_rows: int = 4 * BATCH,
    ) -> None:
        """Add up the columns `tokens` of all batches, and their products in the first rows."""
        self.num_rows = self.num_product_rows = 0
        self.sums = np.zeros(len(tokens))
        self.products = np.zeros((len(tokens), len(tokens)))
        for batch in batches:
            self.sums += batch[:, tokens].sum(axis=0)
            self.num_rows += len(batch)
            if self.num_product_rows < covariance_rows:
                chosen = np.ascontiguousarray(batch[:, tokens], np.float32)
                self.products += chosen.T @ chosen  # exact: counts below 2**24
                self.num_product_rows += len(batch)

    @property
    def rates(self) -> NDArray[Any]:
        """The share of rows in which each token is masked."""
        return self.sums / self.num_rows

    @property
    def covariance(self) -> NDArray[Any]:
        """Between the tokens of one row."""
        joint = self.products / self.num_product_rows
        return joint - np.outer(np.diag(joint), np.diag(joint))

    @property
    def correlation(self) -> NDArray[Any]:
        """Between the tokens of one row."""
        spread = np.sqrt(np.diag(self.covariance))
        return self.covariance / np.outer(spread, spread)

    def equal_rates_p(self, rate: float) -> float:
        """Return the p-value that every token's probability is `rate`.

        The smaller of two tests, doubled: Hotelling's T2, which sees any pattern, and the largest
        single deviation. The last token is left out of T2: the others determine it, since every
        row masks equally many.
        """
        deviation = self.rates - rate
        inner = deviation[:-1]
        t_squared = self.num_rows * inner @ np.linalg.solve(self.covariance[:-1, :-1], inner)
        any_pattern = float(stats.chi2.sf(t_squared, len(inner)))
        z = np.abs(deviation) * np.sqrt(self.num_rows / (rate * (1 - rate)))
        single = min(1.0, len(z) * float(2 * stats.norm.sf(z.max())))
        return min(1.0, 2 * min(any_pattern, single))
