# SPDX-License-Identifier: Apache-2.0
"""What becomes of masked tokens, on the native backend at scale: replacement and random ids.

Owns the distribution of `mask_tokens`; which tokens are masked is the matter of
test_statistics.py. Seeds are fixed: each test is deterministic. Expected values are the shares
themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statistics_helpers
from numpy.typing import NDArray
from statistics_helpers import SIGNIFICANCE, chi_square_p

import maskcore

LENGTH, NUM_ROWS = 128, 1 << 14  # 2,097,152 tokens
MASK_ID = 4
ORIGINAL = np.arange(LENGTH, dtype=np.int32) + 100  # an id for each position, none in a table
RANDOM_IDS = [(1_000, 1_700), range(9_000, 8_000, -2), (20_000, 20_003)]  # 1,203 ids
MASK, RANDOM, KEEP = 0, 1, 2


native_backend = statistics_helpers.native_backend  # autouse in this module


def masked_tokens(budget: int, **arguments: Any) -> maskcore.MaskedTokens:
    ids = np.tile(ORIGINAL, (NUM_ROWS, 1))
    result = maskcore.mask_tokens(
        ids,
        np.ones(ids.shape, np.uint8),
        budget,
        mask_id=MASK_ID,
        random_ids=RANDOM_IDS,
        **arguments,
    )
    assert isinstance(result, maskcore.MaskedTokens)
    return result


def outcomes(masked_ids: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.where(masked_ids == MASK_ID, MASK, np.where(masked_ids == ORIGINAL, KEEP, RANDOM))


def table() -> NDArray[np.int64]:
    return np.concatenate(
        [np.arange(1_000, 1_700), np.arange(9_000, 8_000, -2), np.arange(20_000, 20_003)]
    )


SHARES = [
    (0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05),
    (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0.5, 0.5), (0.5, 0, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("replacement", SHARES, ids=str)
def test_replacement_shares_at_every_position(replacement: tuple[float, ...]) -> None:
    became = outcomes(masked_tokens(LENGTH, replacement=replacement, seed=31).input_ids)
    by_position = np.stack([np.bincount(column, minlength=3) for column in became.T])
    expected = np.tile(np.array(replacement) * NUM_ROWS, (LENGTH, 1))
    assert chi_square_p(by_position.sum(axis=0), expected.sum(axis=0)) > SIGNIFICANCE
    for outcome in (MASK, RANDOM, KEEP):
        share = replacement[outcome]
        if 0 < share < 1:
            counts = np.stack([by_position[:, outcome], NUM_ROWS - by_position[:, outcome]])
            means = np.tile([[share * NUM_ROWS], [(1 - share) * NUM_ROWS]], LENGTH)
            assert chi_square_p(counts.T, means.T) > SIGNIFICANCE
        else:
            assert (by_position[:, outcome] == share * NUM_ROWS).all()


@pytest.mark.parametrize("replacement", [(0, 1, 0), (0.8, 0.1, 0.1)], ids=str)
def test_random_ids_are_uniform_over_the_table(replacement: tuple[float, ...]) -> None:
    """Also where the random share is the narrow band above 0.8: the id has a draw of its own."""
    masked_ids = masked_tokens(LENGTH, replacement=replacement, seed=32).input_ids
    drawn = masked_ids[outcomes(masked_ids) == RANDOM]
    counts = np.bincount(drawn, minlength=20_003)
    assert counts[table()].sum() == drawn.size  # no id that is not in the table
    expected = np.full(1_203, drawn.size / 1_203)
    assert chi_square_p(counts[table()], expected) > SIGNIFICANCE


def test_random_ids_are_uniform_over_a_large_vocabulary() -> None:
    """250,002 ids: a float32 draw, 23 bits, gives some of them 34 of 2**23 cases, others 33."""
    size, first_id = 250_002, 1_000
    counts = np.zeros(size, np.int64)
    ids = np.zeros((NUM_ROWS, LENGTH), np.int32)
    for epoch in range(2):
        masked = maskcore.mask_tokens(
            ids, ids == 0, LENGTH, mask_id=MASK_ID, random_ids=range(first_id, first_id + size),
            replacement=(0, 1, 0), seed=33, epoch=epoch,
        )  # fmt: skip
        counts += np.bincount(masked.input_ids.ravel() - first_id, minlength=size)
    assert len(counts) == size
    assert chi_square_p(counts, np.full(size, counts.sum() / size)) > SIGNIFICANCE
    cases_of_23_bits = np.bincount((np.arange(2**23) * size) >> 23)
    is_favoured = cases_of_23_bits == 34
    observed = [counts[is_favoured].sum(), counts[~is_favoured].sum()]
    means = np.array([is_favoured.sum(), (~is_favoured).sum()]) * counts.sum() / size
    assert chi_square_p(observed, means) > SIGNIFICANCE


def test_replacements_are_independent() -> None:
    """Of the next token's, the next row's, the next epoch's, and of the ids that are drawn."""
    result = masked_tokens(LENGTH, seed=34)
    became = outcomes(result.input_ids)
    next_epoch = outcomes(masked_tokens(LENGTH, seed=34, epoch=1).input_ids)
    shares = np.outer([0.8, 0.1, 0.1], [0.8, 0.1, 0.1])
    for one, other in [
        (became[:, 0::2], became[:, 1::2]),
        (became[0::2], became[1::2]),
        (became, next_epoch),
    ]:
        joint = np.bincount((3 * one + other).ravel(), minlength=9)
        assert chi_square_p(joint, shares.ravel() * joint.sum()) > SIGNIFICANCE
    is_high = np.isin(result.input_ids, table()[600:])
    after = became[:, 1:][became[:, :-1] == RANDOM]
    high = is_high[:, :-1][became[:, :-1] == RANDOM]
    joint = np.bincount(2 * after + high, minlength=6)
    halves = np.array([600, 603]) / 1_203
    expected = np.outer([0.8, 0.1, 0.1], halves).ravel() * joint.sum()
    assert chi_square_p(joint, expected) > SIGNIFICANCE


def test_choice_and_labels_are_those_of_mask_positions() -> None:
    result = masked_tokens(19, seed=35)
    mask = maskcore.mask_positions(np.ones((NUM_ROWS, LENGTH), np.uint8), 19, seed=35) == 1
    assert (result.labels == np.where(mask, ORIGINAL, -100)).all()
    assert ((result.input_ids == ORIGINAL) >= ~mask).all()
    became = outcomes(result.input_ids)[mask]
    expected = np.array([0.8, 0.1, 0.1]) * mask.sum()
    assert chi_square_p(np.bincount(became, minlength=3), expected) > SIGNIFICANCE


def test_what_becomes_of_a_token_does_not_depend_on_the_others() -> None:
    few, all_masked = masked_tokens(19, seed=36), masked_tokens(LENGTH, seed=36)
    is_masked = few.labels != -100
    assert (few.input_ids[is_masked] == all_masked.input_ids[is_masked]).all()
