# SPDX-License-Identifier: Apache-2.0
"""Every backend, at every SIMD level, against the reference: values, dtypes and shapes, exactly.

Owns the comparison over all inputs and outputs. What a right answer is, the contract tests say.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from helpers import (
    LENGTHS,
    MASKABLE_DTYPES,
    Backend,
    assert_identical,
    random_segments,
    random_words,
    reference_answer,
)

import maskcore
from maskcore._reference import philox

INT63 = 2**63

# How much is masked: nothing, one, a few, a share, all.
BUDGETS: dict[str, dict[str, Any]] = {
    "none": {"num_tokens_to_mask": 0},
    "one": {"num_tokens_to_mask": 1},
    "20": {"num_tokens_to_mask": 20},
    "largest": {"num_tokens_to_mask": 2**63 - 2},
    "15 %": {"masking_ratio": 0.15},
    "all": {"masking_ratio": 1.0},
    "capped": {"masking_ratio": 0.5, "max_predictions": 9},
}

# The law of the piece lengths.
LAWS: dict[str, dict[str, Any]] = {
    "default": {},
    "n = 1": {"max_n": 1},
    "n = 2": {"max_n": 2},
    "n = 4": {"max_n": 4},
    "2 or 3": {"max_n": 3, "ngram_weights": (0, 2, 1)},
    "only 3": {"max_n": 3, "ngram_weights": (0, 0, 1)},
    "4 to 8": {"max_n": 8, "ngram_weights": (0, 0, 0, 1, 1, 1, 1, 1)},
    "n = 10": {"max_n": 10},
    "n = 16": {"max_n": 16},
    "n = 17": {"max_n": 17},
    "n = 255": {"max_n": 255},
    "longest only": {"max_n": 255, "ngram_weights": (0,) * 254 + (1,)},
}

UNITS = {
    "tokens": (False, False),
    "words": (True, False),
    "segments": (False, True),
    "both": (True, True),
}


def row_ids(rng: np.random.Generator, num_rows: int) -> np.ndarray[Any, Any]:
    return rng.integers(0, INT63, num_rows)


def batch(seed: int, num_rows: int, length: int, density: float = 0.8) -> dict[str, Any]:
    """Return the arrays of a random batch, words and segments included."""
    rng = np.random.default_rng(seed)
    shape = (num_rows, length)
    return {
        "maskable": (rng.random(shape) < density).astype(np.uint8),
        "input_ids": rng.integers(0, 500, shape).astype(np.int32),
        "word_ids": random_words(rng, shape),
        "segment_ids": random_segments(rng, shape),
        "row_ids": row_ids(rng, num_rows),
        "epoch": rng.integers(0, 2**31, num_rows),
        "seed": int(rng.integers(0, INT63)),
    }


def every_output(arrays: dict[str, Any], **keywords: Any) -> Iterator[Any]:
    """Yield what each public function makes of a batch."""
    maskable = arrays["maskable"]
    yield maskcore.mask_positions(maskable, **keywords)
    yield maskcore.mask_spans(maskable, **keywords)
    yield maskcore.mask_indices(maskable, **keywords)
    tokens = {
        **keywords,
        "mask_id": 103,
        "random_ids": range(110, 480),
        "special_ids": [0, 5, 6, 7],
    }
    for output in ("labels", "positions"):
        yield maskcore.mask_tokens(arrays["input_ids"], maskable, output=output, **tokens)
        yield maskcore.mask_tokens(arrays["input_ids"], output=output, **tokens)


def compare(arrays: dict[str, Any], **keywords: Any) -> None:
    """Fail unless the active backend gives what the reference gives."""
    answers = list(every_output(arrays, **keywords))
    for answer, expected in zip(
        answers, reference_answer(lambda: list(every_output(arrays, **keywords))), strict=True
    ):
        assert_identical(answer, expected)


def selected(arrays: dict[str, Any], units: str) -> dict[str, Any]:
    has_words, has_segments = UNITS[units]
    names = ["seed", "epoch", "row_ids"]
    names += ["word_ids"] * has_words + ["segment_ids"] * has_segments
    return {name: arrays[name] for name in names}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length(length: int, units: str, backend: Backend) -> None:
    arrays = batch(seed=length, num_rows=2, length=length)
    compare(arrays, **selected(arrays, units), masking_ratio=0.2)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_budget(budget: str, units: str, backend: Backend) -> None:
    arrays = batch(seed=1, num_rows=5, length=70)
    compare(arrays, **selected(arrays, units), **BUDGETS[budget])


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("law", LAWS)
def test_every_law_of_lengths(law: str, units: str, backend: Backend) -> None:
    arrays = batch(seed=2, num_rows=3, length=130)
    compare(arrays, **selected(arrays, units), **LAWS[law], masking_ratio=0.3)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_every_density(density: float, units: str, backend: Backend) -> None:
    arrays = batch(seed=3, num_rows=4, length=100, density=density)
    compare(arrays, **selected(arrays, units), masking_ratio=0.4)


@pytest.mark.parametrize("seed", range(8))
def test_random_budgets_per_row(seed: int, backend: Backend) -> None:
    arrays = batch(seed=100 + seed, num_rows=9, length=66)
    budgets = np.random.default_rng(seed).integers(0, 80, 9)
    compare(arrays, **selected(arrays, list(UNITS)[seed % 4]), num_tokens_to_mask=budgets)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 128])
def test_groups_of_short_rows(length: int, law: str, backend: Backend) -> None:
    """Rows are masked in groups. In one, some have nothing to mask, some all, and the last one is not full."""
    seed = 1000 * length + list(LAWS).index(law)
    arrays = batch(seed=seed, num_rows=21, length=length, density=0.9)
    rng = np.random.default_rng(seed)
    arrays["maskable"][rng.random(21) < 0.2] = 0
    arrays["maskable"][rng.random(21) < 0.2] = 1
    units = ["tokens", "segments"][length % 2]
    for largest_budget in (2, length // 5, length):
        budgets = rng.integers(0, largest_budget + 2, 21)
        compare(arrays, **selected(arrays, units), **LAWS[law], num_tokens_to_mask=budgets)


@pytest.mark.parametrize("length", [64, 128])
def test_rows_that_take_more_draws_than_planned(length: int, backend: Backend) -> None:
    """How many draws are made at first follows from the first 64 budgets; later rows may want more."""
    arrays = batch(seed=10 + length, num_rows=80, length=length)
    budgets = np.full(80, 3)
    budgets[64:] = np.random.default_rng(length).integers(0, length, 16)
    compare(arrays, **selected(arrays, "tokens"), num_tokens_to_mask=budgets)


@pytest.mark.parametrize("dtype", MASKABLE_DTYPES)
def test_every_maskable_dtype(dtype: str, backend: Backend) -> None:
    arrays = batch(seed=4, num_rows=3, length=65)
    largest = {"?": 1, "f": 1e-45, "d": -5e-324}.get(dtype)
    if largest is None:
        largest = np.iinfo(dtype).min if dtype in "bhilq" else np.iinfo(dtype).max
    is_maskable = arrays["maskable"] == 1
    arrays["maskable"] = np.where(is_maskable, np.array(largest, dtype), np.array(0, dtype))
    compare(arrays, **selected(arrays, "both"), num_tokens_to_mask=11)


@pytest.mark.parametrize("ignore_index", [-100, 0, -(2**15) - 1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_every_id_dtype(dtype: str, ignore_index: int, backend: Backend) -> None:
    arrays = batch(seed=5, num_rows=3, length=65)
    ids = arrays["input_ids"].astype(dtype)

    def answers() -> list[Any]:
        return [
            maskcore.mask_tokens(
                ids,
                arrays["maskable"],
                mask_id=2**15 - 1,
                random_ids=[7, 9, 2**15 - 1],
                replacement=(0.2, 0.6, 0.2),
                ignore_index=ignore_index,
                output=output,
                masking_ratio=0.5,
                **selected(arrays, "tokens"),
            )
            for output in ("labels", "positions")
        ]

    for answer, expected in zip(answers(), reference_answer(answers), strict=True):
        assert_identical(answer, expected)


@pytest.mark.parametrize("replacement", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.25, 0.25)])
@pytest.mark.parametrize("special_ids", [None, [], [3], list(range(0, 400, 2)), range(400)])
def test_replacement_and_special_ids(
    replacement: tuple[float, ...], special_ids: Any, backend: Backend
) -> None:
    arrays = batch(seed=6, num_rows=3, length=65)

    def answer() -> Any:
        return maskcore.mask_tokens(
            arrays["input_ids"],
            arrays["maskable"],
            mask_id=499,
            random_ids=[2**31 - 1, 401],
            replacement=replacement,
            special_ids=special_ids,
            masking_ratio=0.5,
            **selected(arrays, "segments"),
        )

    assert_identical(answer(), reference_answer(answer))


@cache
def long_row() -> dict[str, Any]:
    """Return one row beyond 2**16 tokens and what the reference makes of it."""
    arrays = batch(seed=7, num_rows=1, length=2**16 + 1)
    keywords = {**selected(arrays, "both"), "masking_ratio": 0.01}
    return {
        "arrays": arrays,
        "keywords": keywords,
        "spans": reference_answer(maskcore.mask_spans, arrays["maskable"], **keywords),
    }


def test_a_long_row(backend: Backend) -> None:
    expected = long_row()
    spans = maskcore.mask_spans(expected["arrays"]["maskable"], **expected["keywords"])
    assert_identical(spans, expected["spans"])


def test_words_longer_than_a_machine_word(backend: Backend) -> None:
    """Some may not be masked, at one of their ends or everywhere; others are masked in one piece."""
    arrays = batch(seed=9, num_rows=8, length=700)
    rng = np.random.default_rng(9)
    starts = np.sort(rng.integers(1, 700, (8, 6)), axis=1)
    arrays["word_ids"] = (np.arange(700) >= starts[:, :, None]).sum(axis=1).astype(np.int32)
    arrays["maskable"] = np.ones((8, 700), np.uint8)
    for row in range(0, 8, 2):
        arrays["maskable"][row, starts[row, 1:4]] = 0
        arrays["maskable"][row, starts[row, 4] :] = 0
    compare(arrays, **selected(arrays, "words"), num_tokens_to_mask=400)
    compare(arrays, **selected(arrays, "words"), num_tokens_to_mask=700)


@pytest.mark.parametrize("num_threads", [1, 2, 3, 64])
def test_threads(num_threads: int, backend: Backend) -> None:
    """More threads than rows, and rows that do not divide among them."""
    arrays = batch(seed=8, num_rows=7, length=64)
    compare(arrays, **selected(arrays, "both"), masking_ratio=0.2, num_threads=num_threads)


def test_a_draw_at_a_threshold_is_the_next_outcome(backend: Backend) -> None:
    """Outcome 1 + #{j : draw >= T_j}: thresholds are put on and just above draws of the row (section 3)."""
    address = philox.Address(seed=5, epoch=0, row_id=0)
    ids = np.arange(100, 108, dtype=np.int64)
    for t in range(8):
        draw = philox.word(address, philox.REPLACEMENT, t)
        for edge, written in ((draw, ids[t]), (draw + 1, 9)):
            shares = (Fraction(edge, 2**32), 0, 1 - Fraction(edge, 2**32))
            tokens = maskcore.mask_tokens(
                ids, np.ones(8), 8, mask_id=9, replacement=shares, seed=5, row_ids=0
            )
            assert tokens.input_ids[t] == written


@pytest.mark.parametrize("max_n", [2, 3, 4, 5, 8, 9, 17, 64, 255])
def test_a_length_at_a_threshold_is_the_next_length(max_n: int, backend: Backend) -> None:
    """The first threshold lies on a draw, or just above; the others follow it one by one."""
    address = philox.Address(seed=5, epoch=0, row_id=0)
    for piece in range(8):
        draw = philox.halfword(address, philox.PIECE_LENGTH, piece)
        for edge, length in ((draw, 2), (draw + 1, 1)):
            rest = 2**16 - edge - (max_n - 2)
            weights = (edge, *[1] * (max_n - 2), rest)
            row = np.ones(8 * max_n)
            numbers = maskcore.mask_spans(
                row, row.size, max_n=max_n, ngram_weights=weights, seed=5, row_ids=0
            )
            assert np.bincount(numbers)[1 + piece] == length
