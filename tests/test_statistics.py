# SPDX-License-Identifier: Apache-2.0
"""The laws of docs/algorithm.md, section 9, on the native backend at scale.

Owns lengths, laws 1 and 2, and whole distributions of tiny rows; expected values come from
`exact_laws.py`, which does not know the code under test. Bit equality carries them to the other
backends. Seeds are fixed: each test is deterministic.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import statistics_helpers
from exact_laws import (
    DEFAULT_WEIGHTS,
    arrangement_probabilities,
    candidate_counts,
    length_law,
    span_counts,
    undershoot_limit,
    word_probability,
)
from numpy.typing import NDArray
from statistics_helpers import (
    SIGNIFICANCE,
    TokenMoments,
    chi_square_p,
    count_rows,
    draw,
    normal_p,
    outcomes_p,
)

import maskcore

native_backend = statistics_helpers.native_backend  # autouse in this module

WEIGHTS = {
    "only 1": (1,),
    "default": DEFAULT_WEIGHTS,
    "only 3": (0, 0, 1),
    "no 2": (0.3, 0, 0.7),
    "rare": (1, 1, 0.001),
    "to 10": tuple(Fraction(1, n) for n in range(1, 11)),
}


def arguments(weights: tuple[Any, ...]) -> dict[str, Any]:
    return {"max_n": len(weights), "ngram_weights": weights}


# Lengths.


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_piece_lengths_follow_the_weights(weights: tuple[Any, ...]) -> None:
    """With everything masked the spans are the pieces: those that surely end in the row count.

    They are counted in pairs, so that neighbours, which share a word of the generator, must be
    independent.
    """
    length = 128
    num_pieces = length // len(weights) - 1  # the row cannot end before this piece does
    num_pieces -= num_pieces % 2
    pairs = np.zeros((len(weights), len(weights)))
    for spans in draw(
        maskcore.mask_spans, [1] * length, length, 40_000, seed=11, **arguments(weights)
    ):
        starts = np.diff(spans, axis=1, prepend=0) != 0
        at = np.nonzero(starts)[1]
        first = np.concatenate([[0], np.cumsum(starts.sum(axis=1))[:-1]])
        begins = at[first[:, None] + np.arange(num_pieces + 1)]
        lengths = np.diff(begins, axis=1) - 1
        np.add.at(pairs, (lengths[:, 0::2], lengths[:, 1::2]), 1)
    law = np.array([float(weight) for weight in weights])
    law /= law.sum()
    assert chi_square_p(pairs, np.outer(law, law) * pairs.sum()) > SIGNIFICANCE


# (row, budget, weights, mean length), as section 10 quotes from `python tests/exact_laws.py`.
REALISED = {
    "14/2": ([0, *[1] * 14, 0], 2, DEFAULT_WEIGHTS, 1.221),
    "126/19": ([0, *[1] * 126, 0], 19, DEFAULT_WEIGHTS, 1.576),
    "126/19, runs of 13": ([0, *[1] * 13] * 9 + [0, *[1] * 9, 0], 19, DEFAULT_WEIGHTS, 1.514),
    "126/120": ([0, *[1] * 126, 0], 120, DEFAULT_WEIGHTS, 1.620),
    "126/19, only 3": ([0, *[1] * 126, 0], 19, (0, 0, 1), 2.660),
    "126/19, to 10": ([0, *[1] * 126, 0], 19, WEIGHTS["to 10"], 2.988),
}


@pytest.mark.parametrize(("row", "budget", "weights", "mean"), REALISED.values(), ids=REALISED)
def test_realised_lengths_are_as_documented(
    row: list[int], budget: int, weights: tuple[Any, ...], mean: float
) -> None:
    expected = span_counts(row, budget, weights)
    assert round(budget / sum(expected.values()), 3) == mean
    deviations: list[NDArray[Any]] = []
    for spans in draw(maskcore.mask_spans, row, budget, 200_000, seed=12, **arguments(weights)):
        stride = int(spans.max()) + 1
        cells = spans + stride * np.arange(len(spans))[:, None]
        lengths = np.bincount(cells.ravel(), minlength=stride * len(spans)).reshape(-1, stride)
        deviations.append(
            np.stack([(lengths[:, 1:] == n).sum(axis=1) - mean_n for n, mean_n in expected.items()])
        )
    p_values = [normal_p(by_row) for by_row in np.concatenate(deviations, axis=1)]
    assert min(p_values) * len(p_values) > SIGNIFICANCE


def test_closed_form_of_realised_lengths() -> None:
    """The formula of section 10 is the count over all windows."""
    row, budget = [0, *[1] * 40, 0, *[1] * 30], 19
    candidates, spans = (
        candidate_counts(row, DEFAULT_WEIGHTS),
        span_counts(row, budget, DEFAULT_WEIGHTS),
    )
    for n in (1, 2, 3):
        longer = sum(candidates[x] for x in candidates if x > n)
        assert spans[n] == pytest.approx(((budget - n + 1) * candidates[n] + 2 * longer) / 70)
    mean = 70 / sum(candidates.values())
    assert budget / sum(spans.values()) == pytest.approx(budget * mean / (budget - 1 + mean))


# Law 1: without words every maskable token has probability budget / maskable.


def row_of(num_maskable: int, layout: str) -> tuple[list[int], list[int] | None]:
    """Return (maskable, segment ids) of a row with `num_maskable` maskable tokens."""
    third = num_maskable // 3
    if layout == "plain":
        return [0, *[1] * num_maskable, 0], None
    if layout == "bare":
        return [1] * num_maskable, None
    if layout == "holes":
        rest = num_maskable - third - 1
        return [0, 1, 0, 0, *[1] * third, 0, *[1] * rest, 0, 0, 0], None
    parts = [third, 1, num_maskable - third - 1]
    return [1] * num_maskable, [s for s, size in enumerate(parts) for _ in range(size)]


LAW_1 = [
    (maskable, budget, layout, weights)
    for maskable, budget in [(6, 1), (14, 2), (126, 19), (126, 120)]
    for layout, weights in [
        ("plain", "default"),
        ("bare", "to 10"),
        ("holes", "default"),
        ("segments", "only 3"),
    ]
] + [(7, 6, "holes", "no 2"), (126, 19, "plain", "only 1"), (126, 19, "plain", "only 3")]


@pytest.mark.parametrize(("maskable", "budget", "layout", "weights"), LAW_1)
def test_every_token_alike(maskable: int, budget: int, layout: str, weights: str) -> None:
    row, segments = row_of(maskable, layout)
    given = {} if segments is None else {"segment_ids": segments}
    batches = draw(
        maskcore.mask_positions, row, budget, 1_000_000,
        seed=13, **given, **arguments(WEIGHTS[weights]),
    )  # fmt: skip
    moments = TokenMoments(batches, np.flatnonzero(row).tolist())
    assert moments.sums.sum() == moments.num_rows * budget
    assert moments.equal_rates_p(budget / maskable) > SIGNIFICANCE


# Law 2: a word's probability does not depend on its length.

WORD_LAW = [Fraction(12, 25 * n) for n in range(1, 5)]  # words of 1 to 4 tokens, P(n) ~ 1/n
NUM_JUDGED = 31  # the first words of a row: 126 tokens always hold that many


def rows_of_words(num_rows: int, num_tokens: int, seed: int) -> NDArray[np.int32]:
    """Return word ids of rows whose independent word lengths add up to `num_tokens` exactly."""
    rng = np.random.default_rng(seed)
    lengths = rng.choice(
        np.arange(1, 5), (3 * num_rows, num_tokens), p=[float(p) for p in WORD_LAW]
    )
    ends = lengths.cumsum(axis=1)
    ends = ends[(ends == num_tokens).any(axis=1)][:num_rows]
    assert len(ends) == num_rows
    is_start = np.zeros((num_rows, num_tokens), np.int32)
    row, column = np.nonzero(ends < num_tokens)
    is_start[row, ends[row, column]] = 1
    return is_start.cumsum(axis=1, dtype=np.int32)


@pytest.fixture(scope="module")
def words() -> NDArray[np.int32]:
    return rows_of_words(1 << 16, 126, seed=14)


@pytest.mark.parametrize("layout", ["plain", "segments"])
@pytest.mark.parametrize("budget", [4, 19, 60])
def test_every_word_alike(words: NDArray[np.int32], budget: int, layout: str) -> None:
    """Exact for these rows, even where the budget is small; at 126/19 they agree to six digits."""
    segments = None if layout == "plain" else (words >= 20).astype(np.int32)
    is_judged = np.diff(words, axis=1, prepend=-1).astype(bool) & (words < NUM_JUDGED)
    sizes = np.zeros_like(words)
    row, start = np.nonzero(np.diff(words, axis=1, prepend=-1))
    sizes[row, start] = np.diff(np.append(row * 126 + start, words.size))
    expected = [word_probability(n, WORD_LAW, budget, 126) for n in range(1, 5)]
    deviations: list[list[NDArray[Any]]] = [[] for _ in expected]
    num_masked: list[NDArray[Any]] = []
    rates = np.zeros((4, 2))
    for epoch in range(16):
        mask = maskcore.mask_positions(
            np.ones_like(words, np.uint8), budget,
            word_ids=words, segment_ids=segments, seed=15, epoch=epoch,
        ).astype(bool)  # fmt: skip
        num_masked.append(mask.sum(axis=1))
        for n, p in enumerate(expected, 1):
            is_word = is_judged & (sizes == n)
            hits, words_of_n = (is_word & mask).sum(axis=1), is_word.sum(axis=1)
            deviations[n - 1].append(hits - p * words_of_n)
            rates[n - 1] += hits.sum(), words_of_n.sum()
    p_values = [normal_p(np.concatenate(by_row)) for by_row in deviations]
    assert min(p_values) * 4 > SIGNIFICANCE
    if budget == 19:
        share = rates[:, 0] / rates[:, 1]
        assert share == pytest.approx([0.14484] * 4, abs=0.0005)
        masked = np.concatenate(num_masked)
        assert masked.mean() == pytest.approx(19 - undershoot_limit(WORD_LAW), abs=0.01)
        assert masked.min() == 16  # the shortfall is less than the word that did not fit


# Tiny rows: everything that can happen, as often as the algorithm says.

TINY = {
    "6/1": {"maskable": [1] * 6, "budget": 1},
    "6/2": {"maskable": [0, *[1] * 6, 0], "budget": 2},
    "6/5, the head": {"maskable": [1] * 6, "budget": 5},
    "7/4, only 3": {"maskable": [1] * 7, "budget": 4, "weights": (0, 0, 1)},
    "holes": {"maskable": [0, 1, 1, 0, 1, 0, 1, 1, 1, 0], "budget": 3},
    "segments": {
        "maskable": [1] * 6, "budget": 3, "weights": (0.3, 0, 0.7), "segments": [0, 0, 5, 5, 5, 0],
    },
    "words": {
        "maskable": [0, *[1] * 9, 0], "budget": 4, "words": [-1, 0, 1, 1, 2, -1, -1, 3, 3, 3, -1],
    },
    "a word that does not fit": {
        "maskable": [1] * 8, "budget": 2, "words": [0, 0, 0, 0, 1, 1, 2, 3], "weights": (1, 1),
    },
    "words cut by a hole and a segment": {
        "maskable": [1, 1, 1, 0, 1, 1, 1, 1, 1], "budget": 3,
        "words": [0, 1, 2, 2, 3, 4, 4, 5, 5], "segments": [0, 0, 0, 0, 0, 0, 1, 1, 1],
    },
}  # fmt: skip


def tiny_batches(case: dict[str, Any], num_rows: int, **where: Any) -> Any:
    names = {"words": "word_ids", "segments": "segment_ids"}
    given = {names[name]: case[name] for name in names if name in case}
    return draw(
        maskcore.mask_spans, case["maskable"], case["budget"], num_rows,
        **given, **arguments(case.get("weights", DEFAULT_WEIGHTS)), **where,
    )  # fmt: skip


@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
def test_all_arrangements_of_a_tiny_row(case: dict[str, Any]) -> None:
    probabilities = arrangement_probabilities(**case)
    assert sum(probabilities.values()) == 1
    counts = count_rows(tiny_batches(case, 1_000_000, seed=16))
    assert outcomes_p(counts, probabilities) > SIGNIFICANCE


def test_law_1_holds_in_the_enumeration() -> None:
    """Exactly, in rational numbers: the proof of section 9 by another way."""
    for budget in range(1, 7):
        probabilities = arrangement_probabilities([1, 1, 0, 1, 1, 1, 1], budget, (0.3, 0.2, 0.5))
        for t in (0, 1, 3, 4, 5, 6):
            chance = sum(p for spans, p in probabilities.items() if spans[t])
            assert chance == Fraction(budget, 6)


def test_length_law_is_the_weights_within_a_threshold_step() -> None:
    for weights in WEIGHTS.values():
        total = sum(Fraction(weight) for weight in weights)
        for weight, chance in zip(weights, length_law(weights), strict=True):
            assert abs(Fraction(weight) / total - chance) <= Fraction(1, 2**16)
            assert (weight == 0) == (chance == 0)


def test_p_values_see_a_known_bias() -> None:
    """2.4 % more at one token of 126 is seen, even without the neighbours that would share it."""
    moments = TokenMoments(iter([]), range(126))
    moments.num_rows = moments.num_product_rows = 1_000_000
    rate = 19 / 126
    moments.sums[:] = rate * 1_000_000
    moments.products = (rate**2 + np.eye(126) * (rate - rate**2)) * 1_000_000
    assert moments.equal_rates_p(rate) == 1.0
    moments.sums[0] *= 1.024
    assert moments.equal_rates_p(rate) < SIGNIFICANCE / 100
