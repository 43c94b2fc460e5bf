# SPDX-License-Identifier: Apache-2.0
"""What masks promise, on every backend: budgets, words, boundaries, invariance.

Owns the properties that hold for every row, checked without knowing how positions are chosen. Laws of chance are in
test_statistics.py, ids and labels in test_contract_tokens.py, dtypes and memory in test_contract_arrays.py.
"""

from __future__ import annotations

import random
import threading
import time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    LENGTHS,
    Backend,
    assert_identical,
    backends_under_test,
    random_maskable,
    random_segments,
    random_words,
    running_on,
)
from numpy.typing import NDArray

import maskcore

ONES = np.ones((3, 64), np.uint8)


def eligible(
    maskable: NDArray[Any], words: NDArray[Any] | None, segments: NDArray[Any] | None
) -> list[list[int]]:
    """Return the words (or single tokens) of one row that may be masked, as lists of positions."""
    units: list[list[int]] = []
    for t in range(len(maskable)):
        goes_on = words is not None and t > 0 and words[t] >= 0 and words[t] == words[t - 1]
        if goes_on:
            units[-1].append(t)
        else:
            units.append([t])
    return [
        unit
        for unit in units
        if maskable[unit].all() and (segments is None or len(set(segments[unit])) == 1)
    ]


# Budgets.


@pytest.mark.parametrize("length", LENGTHS)
def test_without_words_the_budget_is_met_exactly(length: int, backend: Backend) -> None:
    maskable = random_maskable(length, 3, length)
    num_maskable = maskable.sum(axis=1)
    for budget in (0, 1, 2, length // 5, length, length + 1):
        mask = maskcore.mask_positions(maskable, budget, seed=length)
        assert mask.sum(axis=1).tolist() == np.minimum(budget, num_maskable).tolist()
        assert (mask <= maskable).all()


def test_a_budget_for_each_row(backend: Backend) -> None:
    mask = maskcore.mask_positions(ONES, [0, 7, 99], seed=1)
    assert mask.sum(axis=1).tolist() == [0, 7, 64]


@pytest.mark.parametrize("seed", range(6))
def test_with_words_at_most_the_budget_and_never_half_a_word(seed: int, backend: Backend) -> None:
    rng = np.random.default_rng(seed)
    shape = (8, 90)
    maskable, words = random_maskable(seed, *shape), random_words(rng, shape)
    segments = random_segments(rng, shape)
    for budget in (1, 5, 20, 90):
        mask = maskcore.mask_positions(
            maskable, budget, word_ids=words, segment_ids=segments, seed=seed
        )
        for row in range(shape[0]):
            units = eligible(maskable[row], words[row], segments[row])
            masked = [unit for unit in units if mask[row, unit].any()]
            assert all(mask[row, unit].all() for unit in masked), "half a word"
            num_masked = sum(map(len, masked))
            assert num_masked == mask[row].sum(), "a word that may not be masked"
            # The shortfall is less than the unit that did not fit: docs/algorithm.md, section 5.
            num_eligible = sum(map(len, units))
            longest = max(map(len, units), default=0)
            assert min(budget, num_eligible) - longest < num_masked <= budget or not masked
            if budget >= num_eligible:
                assert num_masked == num_eligible


def test_a_word_longer_than_the_budget_is_passed_over(backend: Backend) -> None:
    """While nothing is masked, a unit that does not fit only ends its part; here units are parts."""
    words = [[0, 0, 0, 1, 2, 2, 2]] * 200
    ones = np.ones((200, 7), np.uint8)
    mask = maskcore.mask_positions(ones, 1, word_ids=words, max_n=1, seed=1)
    assert_identical(mask, np.array([[0, 0, 0, 1, 0, 0, 0]] * 200, np.uint8))


@pytest.mark.parametrize("budget", [1, 2])
def test_nothing_is_masked_where_no_word_fits(budget: int, backend: Backend) -> None:
    words = [[0, 0, 0, 1, 1, 1]]
    mask = maskcore.mask_positions(np.ones((1, 6), np.uint8), budget, word_ids=words, seed=1)
    assert mask.sum() == 0


@pytest.mark.parametrize(
    ("ratio", "maskable", "expected"),
    [(0.15, 10, 2), (0.15, 30, 5), (0.25, 2, 1), (0.35, 10, 4), (0.145, 100, 15), (0.5, 1, 1)],
)
def test_a_ratio_is_rounded_half_up_in_decimal(
    ratio: float, maskable: int, expected: int, backend: Backend
) -> None:
    """In binary 0.15 * 10 is 1.5 but 0.35 * 10 and 0.145 * 100 fall on either side of the half."""
    mask = maskcore.mask_positions(np.ones(maskable), masking_ratio=ratio, seed=1)
    assert mask.sum() == expected


def test_ratios_against_decimal_arithmetic(backend: Backend) -> None:
    maskable = np.tri(201, 200, -1, np.uint8)  # row m has m maskable tokens
    for text in ("0.01", "0.05", "0.1", "0.15", "0.2", "0.333", "0.5", "0.85", "1"):
        budgets = maskcore.mask_positions(maskable, masking_ratio=float(text), seed=1).sum(axis=1)
        exact = [
            max(1, int((Decimal(text) * m).to_integral_value(ROUND_HALF_UP))) if m else 0
            for m in range(201)
        ]
        assert budgets.tolist() == exact


def test_a_ratio_masks_at_least_one_token(backend: Backend) -> None:
    """Short texts get a mask, so that no batch is without a loss (NaN in transformers, BERT4Rec)."""
    mask = maskcore.mask_positions([[1, 0, 0], [0, 0, 0]], masking_ratio=0.001, seed=1)
    assert mask.sum(axis=1).tolist() == [1, 0]


def test_with_words_a_ratio_counts_what_may_be_masked_as_a_whole(backend: Backend) -> None:
    """The word of tokens 0 and 1 holds a token that may not be masked: 0.5 of 4 are 2."""
    mask = maskcore.mask_positions(
        [1, 0, 1, 1, 1, 1], masking_ratio=0.5, word_ids=[0, 0, 1, 2, 3, 4], seed=1
    )
    assert mask.sum() == 2
    assert mask[:2].sum() == 0


def test_the_smallest_ratio(backend: Backend) -> None:
    """5e-10 is rounded half up to 1e-9, and masks the one token that every row gets."""
    assert (
        maskcore.mask_positions(ONES, masking_ratio=5e-10, seed=1).sum(axis=1).tolist() == [1] * 3
    )


def test_max_predictions_caps_a_ratio(backend: Backend) -> None:
    mask = maskcore.mask_positions(ONES, masking_ratio=0.5, max_predictions=10, seed=1)
    assert mask.sum(axis=1).tolist() == [10, 10, 10]


# Boundaries.


def spans_of(numbers: NDArray[np.int32]) -> list[list[int]]:
    return [
        np.flatnonzero(numbers == n).tolist() for n in range(1, int(numbers.max(initial=0)) + 1)
    ]


@pytest.mark.parametrize("max_n", [1, 3, 255])
def test_spans_keep_within_boundaries_and_max_n(max_n: int, backend: Backend) -> None:
    """ALBERT's and Megatron's spans cross [SEP] in 5 to 10 % of sequences."""
    shape = (40, 120)
    rng = np.random.default_rng(max_n)
    maskable, segments = random_maskable(max_n, *shape), random_segments(rng, shape)
    numbers = maskcore.mask_spans(
        maskable, masking_ratio=0.6, max_n=max_n, segment_ids=segments, seed=5
    )
    for row in range(shape[0]):
        for span in spans_of(numbers[row]):
            assert span == list(range(span[0], span[-1] + 1)), "not adjacent"
            assert 1 <= len(span) <= max_n
            assert maskable[row, span].all()
            assert len(set(segments[row, span])) == 1


def test_neighbouring_documents_are_not_joined(backend: Backend) -> None:
    """Both sides of a boundary are masked here, as two spans."""
    numbers = maskcore.mask_spans(
        [[1, 1]] * 50, 2, max_n=2, ngram_weights=(0, 1), segment_ids=[[0, 1]] * 50, seed=1
    )
    assert_identical(numbers, np.array([[1, 2]] * 50, np.int32))


def test_span_lengths_are_those_with_a_weight(backend: Backend) -> None:
    """All is masked, so no span is cut short but by the end of the row: pairs and one single."""
    numbers = maskcore.mask_spans(
        np.ones((9, 7), np.uint8), 7, max_n=2, ngram_weights=(0, 1), seed=1
    )
    lengths = {tuple(sorted(map(len, spans_of(row)))) for row in numbers}
    assert lengths == {(1, 2, 2, 2)}


def test_equal_word_ids_apart_are_two_words(backend: Backend) -> None:
    """Hugging Face ids start again in each segment, so equality is judged between neighbours."""
    mask = maskcore.mask_positions(
        [[1, 1, 0, 1, 1]] * 60, 2, word_ids=[[0, 0, -1, 0, 0]] * 60, seed=1
    )
    assert {tuple(row) for row in mask} == {(1, 1, 0, 0, 0), (0, 0, 0, 1, 1)}


def test_negative_word_ids_are_no_words(backend: Backend) -> None:
    mask = maskcore.mask_positions([[1, 1, 1]] * 90, 1, word_ids=[[-1, -1, -7]] * 90, seed=1)
    assert {tuple(row) for row in mask} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


def test_a_word_across_a_segment_boundary_is_not_masked(backend: Backend) -> None:
    mask = maskcore.mask_positions(
        [1, 1, 1, 1], 4, word_ids=[0, 0, 1, 1], segment_ids=[0, 0, 0, 1], seed=1
    )
    assert_identical(mask, np.array([1, 1, 0, 0]))


def test_every_maskable_position_is_masked_in_some_row(backend: Backend) -> None:
    """DeBERTa never masks its last 32 tokens; T5 always masks its last and never its first."""
    mask = maskcore.mask_positions(np.ones((400, 128), np.uint8), 20, seed=1)
    how_often = mask.sum(axis=0)
    assert how_often.min() > 0
    assert how_often.max() < 400


# Invariance.


def num_system_threads() -> int:
    """Return how many threads the process has; 0 where only Linux would say."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 0


def test_padding_changes_nothing(backend: Backend) -> None:
    maskable = random_maskable(1, 5, 50)
    words = random_words(np.random.default_rng(1), (5, 50))
    alone = maskcore.mask_positions(maskable, 11, word_ids=words, seed=1)
    for padding in (1, 13, 14, 15, 78, 500):
        wide = np.pad(maskable, [(0, 0), (0, padding)])
        wide_words = np.pad(words, [(0, 0), (0, padding)], constant_values=-1)
        padded = maskcore.mask_positions(wide, 11, word_ids=wide_words, seed=1)
        assert_identical(padded, np.pad(alone, [(0, 0), (0, padding)]))


def test_a_row_does_not_depend_on_its_batch(backend: Backend) -> None:
    """Slices, single rows and another order give each row id its own mask: no worker count matters."""
    maskable, ids = random_maskable(2, 12, 70), np.arange(100, 112)
    epochs, budgets = np.arange(12), np.arange(12) * 2
    whole = maskcore.mask_positions(maskable, budgets, seed=3, row_ids=ids, epoch=epochs)
    for rows in (slice(0, 5), slice(5, 12), slice(None, None, -1), slice(1, None, 3)):
        part = maskcore.mask_positions(
            maskable[rows], budgets[rows], seed=3, row_ids=ids[rows], epoch=epochs[rows]
        )
        assert_identical(part, whole[rows])
    for row in range(12):
        one = maskcore.mask_positions(
            maskable[row], budgets[row], seed=3, row_ids=ids[row], epoch=epochs[row]
        )
        assert_identical(one, whole[row])


def test_threads_change_nothing_and_none_outlives_the_call(backend: Backend) -> None:
    maskable = random_maskable(3, 33, 70)
    alone = maskcore.mask_positions(maskable, 9, seed=3)
    python_threads = threading.active_count()
    system_threads = num_system_threads()
    for num_threads in (1, 2, 5, 33, 34, 2**16 - 1):
        assert_identical(
            maskcore.mask_positions(maskable, 9, seed=3, num_threads=num_threads), alone
        )
    assert threading.active_count() == python_threads
    for _ in range(200):  # a thread that has been joined may still be on its way out
        if num_system_threads() <= system_threads:
            break
        time.sleep(0.01)
    assert num_system_threads() <= system_threads


@pytest.mark.parametrize(
    "name", sorted({backend.name for backend in backends_under_test()} - {"reference"})
)
def test_other_python_threads_run_meanwhile(name: str) -> None:
    """The GIL is released: this thread notes times that lie within the call of another.

    One such moment may lie between the note and the kernel, more cannot; a machine that is busy gets five attempts.
    """
    rows = np.ones((512, 2**15), np.uint8)
    law: dict[str, Any] = {"max_n": 255, "ngram_weights": [1] + [0] * 253 + [1]}
    call: list[float] = []

    def work() -> None:
        call.append(time.perf_counter())
        maskcore.mask_positions(rows, 1, seed=1, **law)
        call.append(time.perf_counter())

    with running_on(Backend(name)) as calls:
        for _ in range(5):
            call.clear()
            moments: list[float] = []
            worker = threading.Thread(target=work)
            worker.start()
            while worker.is_alive():
                moments.append(time.perf_counter())
                time.sleep(0.001)
            if sum(call[0] < moment < call[1] for moment in moments) >= 3:
                break
        else:
            pytest.fail("no other thread ran during the call")
    assert calls


def test_the_seed_governs_everything(backend: Backend) -> None:
    """Lengths too: in ALBERT and tf-models two runs with one seed differ."""
    first = maskcore.mask_spans(ONES, 30, seed=4)
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002  # global state that must not matter
    assert_identical(maskcore.mask_spans(ONES, 30, seed=4), first)


def test_addresses_differ(backend: Backend) -> None:
    """Seed, row id and epoch give other masks, in their low and in their high halves."""
    numbers = [0, 1, 2**31, 2**32, 2**32 + 1, 2**62]
    row = np.ones((1, 128), np.uint8)
    masks = [maskcore.mask_positions(row, 20, seed=seed, row_ids=[0]) for seed in numbers]
    masks += [maskcore.mask_positions(row, 20, seed=0, row_ids=[row_id]) for row_id in numbers[1:]]
    masks += [
        maskcore.mask_positions(row, 20, seed=0, row_ids=[0], epoch=epoch)
        for epoch in (1, 2, 2**31 - 1)
    ]
    assert len({mask.tobytes() for mask in masks}) == len(masks) == 14


def test_epochs_of_one_row_differ(backend: Backend) -> None:
    """In transformers 5.23 a seed with workers repeats the same masks in every epoch."""
    masks = maskcore.mask_positions(
        np.ones((50, 128), np.uint8), 20, seed=1, row_ids=[7] * 50, epoch=np.arange(50)
    )
    assert len({mask.tobytes() for mask in masks}) == 50


def test_row_ids_default_to_the_rows_numbers(backend: Backend) -> None:
    assert_identical(
        maskcore.mask_positions(ONES, 9, seed=1),
        maskcore.mask_positions(ONES, 9, seed=1, row_ids=[0, 1, 2], epoch=0),
    )


def test_without_a_seed_every_call_differs(backend: Backend) -> None:
    masks = {maskcore.mask_positions(ONES, 20).tobytes() for _ in range(4)}
    assert len(masks) == 4


def test_parameters_do_not_move_the_address(backend: Backend) -> None:
    """Weights are relative, and an int budget is a budget for each row."""
    one = maskcore.mask_positions(ONES, 9, seed=1)
    assert_identical(maskcore.mask_positions(ONES, [9, 9, 9], seed=1), one)
    assert_identical(maskcore.mask_positions(ONES, 9, seed=1, ngram_weights=(6, 3, 2)), one)
    assert_identical(maskcore.mask_positions(ONES, 9, seed=1, max_predictions=9), one)
