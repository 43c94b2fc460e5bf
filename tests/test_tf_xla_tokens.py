# SPDX-License-Identifier: Apache-2.0
"""`implementation="xla"`: masked ids, labels and predictions with the bits of the reference, and the golden rows."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers import KAT
from tf_xla_support import (
    NUM_ROWS,
    as_plain_operations,
    assert_same,
    batch,
    compiled,
    expected_tokens,
    in_a_graph,
    masked_positions,
    masked_tokens,
)

import maskcore

pytestmark = pytest.mark.tensorflow

SPECIAL = (0, 1, 2, 3, 90, 92)
TOKENS: dict[str, Any] = {
    "mask_id": 3,
    "replacement": (0.4, 0.4, 0.2),
    "special_ids": SPECIAL,
    "seed": 2**62 + 5,
    "max_n": 3,
}
TABLES = {
    "range": range(10, 60),
    "ranges": [(100, 130), range(10, 60)],
    "many runs": np.arange(4, 130, 3)[:28],
    "allowed_ids": maskcore.allowed_ids(130, SPECIAL),
}


def token_batch(kind: str, length: int, dtype: str = "int32") -> dict[str, Any]:
    ids = np.random.default_rng(3).integers(0, 130, (NUM_ROWS, length)).astype(dtype)
    return {"input_ids": ids, **batch(kind, length)}


@pytest.mark.parametrize(
    ("dtype", "table"),
    [*(("int32", table) for table in TABLES), ("int16", "ranges"), ("int64", "range")],
)
def test_tokens(dtype: str, table: str) -> None:
    given = token_batch("words", 70, dtype)
    options = {**TOKENS, "random_ids": TABLES[table], "ignore_index": -(2**31)}
    expected = expected_tokens(**given, **options)
    assert not np.array_equal(expected.input_ids, given["input_ids"])
    assert_same(in_a_graph(masked_tokens, options, **given), expected)


@pytest.mark.parametrize(
    "replacement", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0, 0.5), (0, 0.5, 0.5)]
)
def test_every_share_of_replacement(replacement: tuple[float, ...]) -> None:
    """Where a share is 1, its threshold is 2**32, which no 32 bits hold."""
    given = token_batch("tokens", 70)
    options = {**TOKENS, "random_ids": TABLES["range"], "replacement": replacement}
    assert_same(in_a_graph(masked_tokens, options, **given), expected_tokens(**given, **options))


@pytest.mark.parametrize(("length", "run"), [(1, in_a_graph), (64, in_a_graph), (65, compiled)])
def test_predictions_of_fixed_size(length: int, run: Callable[..., Any]) -> None:
    given = token_batch("tokens", length)
    given.pop("num_tokens_to_mask")
    for budget in ({"masking_ratio": 0.3, "max_predictions": 80}, {"num_tokens_to_mask": 5}):
        options = {**TOKENS, **budget, "random_ids": TABLES["ranges"], "output": "positions"}
        expected = expected_tokens(**given, **options)
        assert_same(run(masked_tokens, options, **given), expected)


@pytest.mark.parametrize("output", ["labels", "positions"])
@pytest.mark.parametrize(("length", "budget"), [(40, 0), (40, [0] * NUM_ROWS), (0, 5), (0, None)])
def test_tokens_of_which_none_can_be_masked(length: int, budget: Any, output: str) -> None:
    """Budgets that are known to be 0, and rows without tokens: each failed in the graph of `mask_tokens`."""
    given = token_batch("words", length)
    given.pop("num_tokens_to_mask")
    limits = {"masking_ratio": 0.3} if budget is None else {"num_tokens_to_mask": budget}
    options = {**TOKENS, **limits, "random_ids": TABLES["range"], "output": output}
    expected = expected_tokens(**given, **options)
    assert_same(in_a_graph(masked_tokens, options, **given), expected)
    assert_same(masked_tokens(**given, **options), expected)
    row = {name: value[4] for name, value in given.items()}
    one = options | ({"num_tokens_to_mask": 0} if isinstance(budget, list) else {})
    assert_same(in_a_graph(masked_tokens, one, **row), expected_tokens(**row, **one))


def test_special_ids_alone_say_what_may_be_masked() -> None:
    given = token_batch("tokens", 70)
    given.pop("maskable_positions")
    options = {**TOKENS, "random_ids": TABLES["range"]}
    assert_same(in_a_graph(masked_tokens, options, **given), expected_tokens(**given, **options))


def test_special_ids_outside_of_the_dtype() -> None:
    given = token_batch("tokens", 70, "int16")
    options = {
        **TOKENS,
        "random_ids": TABLES["range"],
        "special_ids": [0, *range(32000, 40000), 2**31],
    }
    assert_same(in_a_graph(masked_tokens, options, **given), expected_tokens(**given, **options))


def test_one_row_of_tokens() -> None:
    given = {name: value[4] for name, value in token_batch("words", 33).items()}
    for output in ("labels", "positions"):
        options = {**TOKENS, "random_ids": TABLES["range"], "output": output, "max_predictions": 40}
        expected = expected_tokens(**given, **options)
        assert_same(in_a_graph(masked_tokens, options, **given), expected)


GOLDEN: dict[str, Any] = json.loads((KAT / "golden_rows.json").read_text())
MAKER = runpy.run_path(str(KAT / "make_golden.py"))


@pytest.mark.parametrize("config", MAKER["CONFIGS"])
def test_golden_rows(config: str) -> None:
    """All rows of a configuration at once: padding that may not be masked changes no mask."""
    entries = [e for e in GOLDEN["entries"] if e["name"].startswith(f"{config},")]
    assert len(entries) == 14
    options = MAKER["CONFIGS"][config]
    given = {
        "maskable_positions": padded(entries, "maskable", 0),
        "epoch": np.array([entry["address"]["epoch"] for entry in entries]),
        "row_ids": np.array([entry["address"]["row_id"] for entry in entries]),
        "input_ids": padded(entries, "input_ids", 0),
    }
    for name in ("word_ids", "segment_ids"):
        if options.get(name):
            given[name] = padded(entries, name, -1)
    static = {name: value for name, value in options.items() if value is not True}
    tokens = MAKER["token_arguments"]()

    def both(input_ids: Any, **given: Any) -> Any:
        mask = masked_positions(**given, **{"max_n": 3, **static})
        return mask, masked_tokens(input_ids=input_ids, **given, **static, **tokens)

    with as_plain_operations():
        graph = tf.function(lambda seed: both(seed=seed, **given), autograph=False)
        seeds = {entry["address"]["seed"] for entry in entries}
        answers = {seed: graph(tf.constant(seed, tf.int64)) for seed in seeds}
    for row, entry in enumerate(entries):
        mask, (ids, labels) = answers[entry["address"]["seed"]]
        expected = entry["expected"]
        assert np.flatnonzero(mask[row]).tolist() == expected["positions"], entry["name"]
        at = np.flatnonzero(labels[row] != -100)
        assert at.tolist() == expected["token_positions"], entry["name"]
        assert ids.numpy()[row, at].tolist() == expected["masked_ids"], entry["name"]


def padded(entries: list[dict[str, Any]], name: str, value: int) -> Any:
    length = max(len(entry["row"]["input_ids"]) for entry in entries)
    rows = np.full((len(entries), length), value, np.int32)
    for row, entry in zip(rows, entries, strict=True):
        row[: len(entry["row"][name])] = entry["row"][name]
    return rows
