# SPDX-License-Identifier: Apache-2.0
"""Hypothesis looks for rows and parameters that break equality or a promise, on every backend.

Owns the search; a failure prints the smallest case found and the line that reproduces it. Examples are the same in every run:
HYPOTHESIS_SEED picks others.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from helpers import MASKABLE_DTYPES, Backend, assert_identical, reference_answer
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import maskcore

NUM_EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "60"))
search = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize="HYPOTHESIS_SEED" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the backend is the same for all
)
seeded = seed(int(os.environ.get("HYPOTHESIS_SEED", "0")))

INT63 = st.integers(0, 2**63 - 1)


@st.composite
def integers(draw: st.DrawFn, shape: tuple[int, int], low: int, high: int) -> NDArray[np.int64]:
    """Draw integers in [low, high]: a short row number by number, a long one from a seed."""
    size = shape[0] * shape[1]
    if size <= 24:
        values = draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
        return np.array(values, np.int64).reshape(shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.05, 0.5, 0.9]))
    values = rng.integers(low, high, shape, endpoint=True)
    return np.where(rng.random(shape) < share, values, high if low == 0 else 0)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int]:
    """Draw rows of a few tokens, or of about one or two vectors of 64."""
    length = draw(st.one_of(st.integers(0, 8), st.integers(60, 70), st.integers(125, 135)))
    return draw(st.integers(0, 3)), length


@st.composite
def weights(draw: st.DrawFn) -> dict[str, Any]:
    max_n = draw(st.integers(1, 6))
    if draw(st.booleans()):
        return {"max_n": draw(st.sampled_from([max_n, 17, 255]))}
    positive = st.floats(0.01, 10)
    values = draw(st.lists(st.one_of(st.just(0), positive), min_size=max_n, max_size=max_n))
    assume(any(values))
    return {"max_n": max_n, "ngram_weights": values}


@st.composite
def budgets(draw: st.DrawFn, num_rows: int) -> dict[str, Any]:
    count = st.integers(0, 150)
    kind = draw(st.sampled_from(["number", "rows", "ratio", "capped"]))
    if kind == "number":
        return {"num_tokens_to_mask": draw(count)}
    if kind == "rows":
        rows = draw(st.lists(count, min_size=num_rows, max_size=num_rows))
        return {"num_tokens_to_mask": np.array(rows, np.int64)}
    ratio = draw(st.floats(1e-9, 1))
    cap = {"max_predictions": draw(st.integers(1, 150))} if kind == "capped" else {}
    return {"masking_ratio": ratio, **cap}


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """Draw everything that decides a batch of masks."""
    shape = draw(shapes())
    dtype = draw(st.sampled_from(MASKABLE_DTYPES))
    call = {
        "maskable_positions": draw(integers(shape, 0, 1)).astype(dtype),
        "seed": draw(INT63),
        "epoch": draw(st.integers(0, 2**31 - 1)),
        "row_ids": np.array(draw(st.lists(INT63, min_size=shape[0], max_size=shape[0])), np.int64),
        "num_threads": draw(st.integers(1, 3)),
        **draw(weights()),
        **draw(budgets(shape[0])),
    }
    for name in ("word_ids", "segment_ids"):
        if draw(st.booleans()):
            # Runs are what matters, so ids are made from their changes.
            changes = draw(integers(shape, -1, 1))
            call[name] = np.maximum(np.cumsum(changes, axis=-1), -2).astype(np.int32)
    return call


@seeded
@search
@given(call=calls())
def test_backends_agree(backend: Backend, call: dict[str, Any]) -> None:
    assert_identical(maskcore.mask_spans(**call), reference_answer(maskcore.mask_spans, **call))
    mask = maskcore.mask_positions(**call)
    assert_identical(mask, reference_answer(maskcore.mask_positions, **call))
    indices = maskcore.mask_indices(**call)
    assert_identical(indices, reference_answer(maskcore.mask_indices, **call))


@seeded
@search
@given(call=calls(), data=st.data())
def test_tokens_agree(backend: Backend, call: dict[str, Any], data: st.DataObject) -> None:
    shape = call["maskable_positions"].shape
    dtype = np.dtype(data.draw(st.sampled_from("hilq"), "dtype"))
    ids = data.draw(integers(shape, -5, 40), "ids").astype(dtype)
    shares = data.draw(
        st.sampled_from([(0.8, 0.1, 0.1), (0, 1, 0), (0.5, 0, 0.5), (0.25, 0.75, 0)])
    )
    keywords = {
        **call,
        "mask_id": data.draw(st.integers(0, 2**15 - 1), "mask_id"),
        "random_ids": data.draw(st.lists(st.integers(50, 2**15 - 1), min_size=1), "random_ids"),
        "special_ids": data.draw(st.lists(st.integers(-5, 40), max_size=6), "special_ids"),
        "ignore_index": data.draw(st.integers(-(2**31), 2**31 - 1), "ignore_index"),
        "replacement": shares,
        "output": data.draw(st.sampled_from(["labels", "positions"]), "output"),
    }
    if data.draw(st.booleans(), "special ids alone"):
        del keywords["maskable_positions"]
    answer = maskcore.mask_tokens(ids, **keywords)
    assert_identical(answer, reference_answer(maskcore.mask_tokens, ids, **keywords))


@seeded
@search
@given(call=calls())
def test_promises_hold(backend: Backend, call: dict[str, Any]) -> None:
    """Budgets, boundaries and numbering, on whatever Hypothesis finds."""
    maskable = call["maskable_positions"]
    numbers = maskcore.mask_spans(**call)
    masked = numbers > 0
    assert not masked[maskable == 0].any()
    budget = call.get("num_tokens_to_mask")
    num_maskable = np.count_nonzero(maskable, axis=-1)
    if budget is not None:
        assert (masked.sum(axis=-1) <= budget).all()
        if "word_ids" not in call:
            assert (masked.sum(axis=-1) == np.minimum(budget, num_maskable)).all()
    elif "word_ids" not in call:
        assert (masked.any(axis=-1) == (num_maskable > 0)).all()
    for row in range(len(numbers)):
        for number in range(1, int(numbers[row].max(initial=0)) + 1):
            span = np.flatnonzero(numbers[row] == number)
            assert span.size == span[-1] - span[0] + 1
            if "word_ids" not in call:
                assert span.size <= call["max_n"]
            if "segment_ids" in call:
                assert len(set(call["segment_ids"][row, span])) == 1


@seeded
@search
@given(call=calls(), data=st.data())
def test_batches_and_padding_do_not_matter(
    backend: Backend, call: dict[str, Any], data: st.DataObject
) -> None:
    whole = maskcore.mask_spans(**call)
    num_rows, length = whole.shape
    if num_rows == 0:
        return
    row = data.draw(st.integers(0, num_rows - 1), "row")
    padding = data.draw(st.integers(0, 70), "padding")
    single = {**call, "row_ids": call["row_ids"][row : row + 1]}
    for name in ("maskable_positions", "word_ids", "segment_ids"):
        if name in call:
            fill = -1 if name == "word_ids" else 0
            single[name] = np.pad(
                call[name][row : row + 1], [(0, 0), (0, padding)], constant_values=fill
            )
    if np.ndim(call.get("num_tokens_to_mask", 0)):
        single["num_tokens_to_mask"] = call["num_tokens_to_mask"][row : row + 1]
    alone = maskcore.mask_spans(**single)
    assert_identical(alone[:, :length], whole[row : row + 1])
    assert not alone[:, length:].any()


@seeded
@search
@given(
    values=st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=20),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_float_is_judged_by_value(backend: Backend, values: list[float], dtype: str) -> None:
    """Every exponent, subnormal ones included, and both signs."""
    mask = maskcore.mask_positions(np.array(values, dtype), len(values), seed=1)
    assert [bool(m) for m in mask] == [v != 0.0 for v in values]
