# SPDX-License-Identifier: Apache-2.0
"""What must not depend on what: rows, epochs, seeds, the sides of a boundary; what no mask may do.

Owns independence and the rules that hold in every row, on the native backend at scale. Seeds are
fixed: each test is deterministic. Expected values come from `exact_laws.py` or are counted from
the input.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import statistics_helpers
from exact_laws import arrangement_probabilities
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

# Pairs of draws whose addresses differ in one number: each must tell nothing of the other.

HIGH = 2**32
PAIRS = {
    "the next row": ({"seed": 21}, {"seed": 21, "first_row_id": 1}),
    "a row id that differs above 32 bits": ({"seed": 21}, {"seed": 21, "first_row_id": HIGH}),
    "the next epoch": ({"seed": 21, "epoch": 0}, {"seed": 21, "epoch": 1}),
    "a far epoch": ({"seed": 21, "epoch": 0}, {"seed": 21, "epoch": 2**30}),
    "the next seed": ({"seed": 21}, {"seed": 22}),
    "a seed that differs above 32 bits": ({"seed": 21}, {"seed": 21 + HIGH}),
    "seed and epoch exchanged": ({"seed": 1, "epoch": 0}, {"seed": 0, "epoch": 1}),
    "seed and row id exchanged": (
        {"seed": HIGH, "first_row_id": 0}, {"seed": 0, "first_row_id": HIGH},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_masks_of_two_addresses_are_independent(one: dict[str, int], other: dict[str, int]) -> None:
    """The joint law of two whole arrangements, cuts included, is the product of their laws."""
    row, budget = [1] * 5, 2
    alone = arrangement_probabilities(row, budget)
    batches = [draw(maskcore.mask_spans, row, budget, 1_000_000, **where) for where in (one, other)]
    joint = count_rows(np.concatenate(pair, axis=1) for pair in zip(*batches, strict=True))
    expected = {a + b: alone[a] * alone[b] for a in alone for b in alone}
    assert outcomes_p(joint, expected) > SIGNIFICANCE


@pytest.mark.parametrize(
    ("one", "other"),
    [PAIRS["the next row"], PAIRS["the next epoch"], PAIRS["the next seed"]],
    ids=["rows", "epochs", "seeds"],
)
def test_anchors_of_two_addresses_are_independent(
    one: dict[str, int], other: dict[str, int]
) -> None:
    """With a budget of 1 the mask is the anchor: all pairs of places are equally likely."""
    batches = [
        draw(maskcore.mask_positions, [1] * 126, 1, 1_000_000, **where) for where in (one, other)
    ]
    joint = np.zeros((126, 126))
    for a, b in zip(*batches, strict=True):
        np.add.at(joint, (a.argmax(axis=1), b.argmax(axis=1)), 1)
    assert chi_square_p(joint, np.full((126, 126), 1_000_000 / 126**2)) > SIGNIFICANCE


def test_overlap_of_rows_is_that_of_independent_masks() -> None:
    """At full size: two masks of 19 in 126 share 19 * 19 / 126 tokens on average."""
    for name, (one, other) in PAIRS.items():
        batches = [
            draw(maskcore.mask_positions, [1] * 126, 19, 100_000, **where) for where in (one, other)
        ]
        shared = [(a & b).sum(axis=1) for a, b in zip(*batches, strict=True)]
        deviations = np.concatenate(shared) - 19 * 19 / 126
        assert normal_p(deviations) > SIGNIFICANCE, name


# Both sides of a boundary.


@pytest.mark.parametrize("boundary", ["segments", "holes"])
def test_both_sides_of_a_boundary_are_independent(boundary: str) -> None:
    """But for the budget they share: neighbours across it are correlated as far tokens are."""
    parts, size = 6, 21
    if boundary == "segments":
        row = [1] * (parts * size)
        segments: dict[str, Any] = {"segment_ids": np.repeat(np.arange(parts), size)}
    else:
        row, segments = [0, *[1] * size] * parts, {}
    last, first = np.arange(1, parts) * size - 1, np.arange(1, parts) * size
    middle = first + size // 2
    columns = np.flatnonzero(row)[np.concatenate([last, first, middle, middle + 1])].tolist()
    moments = TokenMoments(
        draw(maskcore.mask_positions, row, 19, 1_000_000, seed=23, **segments),
        columns,
        covariance_rows=1_000_000,
    )
    number = parts - 1
    blocks = moments.correlation.reshape(4, number, 4, number).swapaxes(1, 2)
    across, inside = np.diag(blocks[0, 1]), np.diag(blocks[2, 3])
    far = blocks[0, 1][~np.eye(number, dtype=bool)]
    error = 1 / np.sqrt(moments.num_rows)  # of one correlation near 0
    assert inside.min() > 0.25  # the statistic sees dependence where there is some
    assert np.abs(across).max() < 0.02
    error_of_means = error * np.sqrt(1 / across.size + 1 / far.size)
    assert abs(across.mean() - far.mean()) < 4 * error_of_means


# Rules that hold in every row.


def random_rows(num_rows: int, length: int, seed: int) -> dict[str, NDArray[np.int32]]:
    """Return rows with holes, words and segments, none of them aligned with another."""
    rng = np.random.default_rng(seed)
    shape = (num_rows, length)
    words = np.cumsum(rng.random(shape) < 0.5, axis=1)
    words[rng.random(shape) < 0.1] = -1
    return {
        "maskable": (rng.random(shape) < 0.9).astype(np.int32),
        "word_ids": words.astype(np.int32),
        "segment_ids": np.cumsum(rng.random(shape) < 0.03, axis=1).astype(np.int32) % 3,
    }


@pytest.fixture(scope="module")
def rows() -> dict[str, NDArray[np.int32]]:
    return random_rows(50_000, 64, seed=24)


def span_edges(spans: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return where token t + 1 is in the span of token t."""
    joined: NDArray[np.bool_] = (spans[:, 1:] == spans[:, :-1]) & (spans[:, 1:] > 0)
    return joined


@pytest.mark.parametrize("budget", [1, 9, 40, 64])
def test_budgets_are_exact_without_words(rows: dict[str, NDArray[np.int32]], budget: int) -> None:
    mask = maskcore.mask_positions(
        rows["maskable"], budget, segment_ids=rows["segment_ids"], seed=25
    )
    assert ((mask == 1) <= (rows["maskable"] == 1)).all()
    assert (mask.sum(axis=1) == np.minimum(budget, rows["maskable"].sum(axis=1))).all()


def test_no_span_crosses_a_boundary(rows: dict[str, NDArray[np.int32]]) -> None:
    for words in (None, rows["word_ids"]):
        spans = maskcore.mask_spans(
            rows["maskable"], 40, max_n=5, seed=26,
            word_ids=words, segment_ids=rows["segment_ids"],
        )  # fmt: skip
        joined = span_edges(spans)
        assert joined.any()
        assert not spans[rows["maskable"] == 0].any()
        same_segment = rows["segment_ids"][:, 1:] == rows["segment_ids"][:, :-1]
        assert (joined <= same_segment).all()
        sizes = Counter[int]()
        for row in spans[:2000]:
            numbers, lengths = np.unique(row[row > 0], return_counts=True)
            assert numbers.tolist() == list(range(1, len(numbers) + 1))
            sizes.update(lengths.tolist())
        if words is None:
            assert max(sizes) == 5


def unit_starts(words: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return where a word begins, or a token that belongs to none stands."""
    starts = np.ones(words.shape, bool)
    starts[:, 1:] = (words[:, 1:] < 0) | (words[:, 1:] != words[:, :-1])
    return starts


@pytest.mark.parametrize("budget", [3, 9, 40])
def test_no_half_words(rows: dict[str, NDArray[np.int32]], budget: int) -> None:
    words, segments = rows["word_ids"], rows["segment_ids"]
    mask = maskcore.mask_positions(
        rows["maskable"], budget, word_ids=words, segment_ids=segments, seed=27
    )
    starts = unit_starts(words).ravel()
    unit = np.cumsum(starts) - 1
    size = np.bincount(unit)
    masked = np.bincount(unit, mask.ravel()).astype(int)
    assert ((masked == 0) | (masked == size)).all()

    changes = np.zeros(words.shape, bool)
    changes[:, 1:] = segments[:, 1:] != segments[:, :-1]
    is_cut = np.bincount(unit, changes.ravel() & ~starts) > 0
    is_eligible = (np.bincount(unit, rows["maskable"].ravel()) == size) & ~is_cut
    assert not masked[~is_eligible].any()

    in_row = np.repeat(np.arange(len(mask)), words.shape[1])[starts]
    num_eligible = np.bincount(in_row, size * is_eligible, len(mask)).astype(int)
    longest = np.zeros(len(mask), int)
    np.maximum.at(longest, in_row, size * is_eligible)
    goal = np.minimum(budget, num_eligible)
    num_masked = mask.sum(axis=1)
    assert (num_masked <= goal).all()
    fits = longest <= goal
    assert fits.sum() > 1000
    assert (num_masked > goal - np.maximum(longest, 1))[fits].all()
    assert (num_masked == goal)[goal == num_eligible].all()


def test_padding_changes_nothing(rows: dict[str, NDArray[np.int32]]) -> None:
    for pad in (1, 64, 193):
        for words in (None, rows["word_ids"]):
            for amount in ({"num_tokens_to_mask": 9}, {"masking_ratio": 0.15}):
                short, long = (
                    maskcore.mask_spans(
                        np.pad(rows["maskable"][:5000], ((0, 0), (0, extra))),
                        word_ids=None
                        if words is None
                        else np.pad(words[:5000], ((0, 0), (0, extra)), constant_values=-1),
                        segment_ids=np.pad(rows["segment_ids"][:5000], ((0, 0), (0, extra))),
                        seed=28,
                        **amount,
                    )
                    for extra in (0, pad)
                )
                assert (short == long[:, :64]).all()
                assert not long[:, 64:].any()


def test_a_ratio_masks_its_share() -> None:
    """0.15 of M tokens, rounded half up in decimal: 10 of them are 1.5, so 2."""
    for num_maskable, expected in [(1, 1), (3, 1), (10, 2), (30, 5), (126, 19)]:
        mask = maskcore.mask_positions(
            np.ones((100, num_maskable), np.uint8), masking_ratio=0.15, seed=29
        )
        assert (mask.sum(axis=1) == expected).all()
        assert expected == max(1, int(Fraction(15, 100) * num_maskable + Fraction(1, 2)))
