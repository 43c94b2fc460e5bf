# SPDX-License-Identifier: Apache-2.0
"""`implementation="xla"`: the bits of the reference, compiled and as plain operations, and what its programs may hold.

A program takes seconds to compile, and half a second to trace: so most cases run as plain operations (`in_a_graph`), on rows
that differ in everything, and some are compiled. Places and dispatch are tested in test_tf_xla_places.py.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers import KAT, known_answers
from tf_support import DTYPES, maskable_rows, reference, segment_ids, word_ids

import maskcore
import tfshim
from tfshim import _place, _xla_bits, _xla_philox

pytestmark = pytest.mark.tensorflow

# 0, 1, 2; around a word of 32 bits, two words, four words.
LENGTHS = (0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129)
NUM_ROWS = 9
EPOCHS = [0, 1, 2**31 - 1, 5, 6, 7, 8, 9, 10]
ROW_IDS = [0, 2**32, 2**63 - 1, 7, 8, 9, 2**31, 2**32 - 1, 10]


@contextmanager
def as_plain_operations() -> Iterator[None]:
    """Make graphs of the operations themselves, which TensorFlow then runs one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_place, "is_compiled", lambda: True)
        yield


def in_a_graph(function: Callable[..., Any], options: dict[str, Any], **tensors: Any) -> Any:
    """Run `function` as plain operations, with `tensors` as inputs of known shape."""
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    with as_plain_operations():
        graph = tf.function(lambda given: function(**given, **options), autograph=False)
        return graph(given)


def compiled(function: Callable[..., Any], options: dict[str, Any], **tensors: Any) -> Any:
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    graph = tf.function(
        lambda given: function(**given, **options), jit_compile=True, autograph=False
    )
    return graph(given)


RUNS = pytest.mark.parametrize("run", [in_a_graph, compiled], ids=["plain", "compiled"])


def kind_of_rows(kind: str, shape: tuple[int, ...]) -> dict[str, Any]:
    words = {"word_ids": word_ids(shape)} if "words" in kind else {}
    return words | ({"segment_ids": segment_ids(shape)} if "segments" in kind else {})


def batch(kind: str, length: int) -> dict[str, Any]:
    """Return rows that differ in budget, epoch and both halves of their ids."""
    shape = (NUM_ROWS, length)
    budgets = [0, 1, 2, length // 7, length // 3, length // 2, max(0, length - 1), length, 2**62]
    return {
        "maskable_positions": maskable_rows(shape, "uint8"),
        "num_tokens_to_mask": np.array(budgets),
        "epoch": np.array(EPOCHS),
        "row_ids": np.array(ROW_IDS),
        **kind_of_rows(kind, shape),
    }


def assert_same(result: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert type(result) is type(expected)
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)
        return
    assert result.dtype.as_numpy_dtype == expected.dtype
    np.testing.assert_array_equal(result.numpy(), expected, strict=True)


def masked_positions(**options: Any) -> Any:
    return tfshim.get_masking_position(implementation="xla", **options)


def masked_tokens(**options: Any) -> Any:
    return tfshim.mask_tokens(implementation="xla", **options)


def expected_positions(**options: Any) -> Any:
    rows = options.pop("maskable_positions")
    return reference(rows, options.pop("num_tokens_to_mask", None), **options)


def expected_tokens(**options: Any) -> Any:
    with maskcore.use_backend("reference"):
        return maskcore.mask_tokens(**options)


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        *((length, kind) for length in LENGTHS for kind in ("tokens", "words in segments")),
        *((length, kind) for length in (33, 128) for kind in ("words", "segments")),
    ],
)
def test_every_length(length: int, kind: str) -> None:
    given = batch(kind, length)
    options: dict[str, Any] = {"max_n": 3, "seed": 2**63 - 1}
    expected = expected_positions(**given, **options)
    assert length < 31 or 0 < np.count_nonzero(expected) < expected.size
    assert_same(in_a_graph(masked_positions, options, **given), expected)


@pytest.mark.parametrize("kind", ["tokens", "words in segments"])
@pytest.mark.parametrize("length", [1, 64, 129])
def test_every_length_compiled(length: int, kind: str) -> None:
    given = batch(kind, length)
    options: dict[str, Any] = {"max_n": 3, "seed": 2**63 - 1}
    assert_same(
        compiled(masked_positions, options, **given), expected_positions(**given, **options)
    )


@pytest.mark.parametrize("max_n", [1, 2, 4, 5, 9, 10, 11, 31, 32, 255])
def test_every_size_of_the_length_law(max_n: int) -> None:
    """Around the sizes at which fewer pieces go into one word of bits, and thresholds into a loop."""
    given = batch("words", 97)
    options: dict[str, Any] = {
        "max_n": max_n,
        "seed": 8,
        "ngram_weights": list(range(1, max_n + 1)),
    }
    expected = expected_positions(**given, **options)
    assert_same(in_a_graph(masked_positions, options, **given), expected)


@pytest.mark.parametrize(
    ("budget", "kind"),
    [*((budget, "words") for budget in (0, 1, 2, 5, 60, 97, 10**9)), (1, "tokens"), (97, "tokens")],
)
def test_budgets_that_are_known_before_the_graph_runs(budget: int, kind: str) -> None:
    """They decide how many steps are made; words longer than the budget need more."""
    given = batch(kind, 97)
    given.pop("num_tokens_to_mask")
    if "words" in kind:
        given["word_ids"] = np.sort(given["word_ids"] // 3, axis=1)  # longer ones
    options: dict[str, Any] = {"max_n": 2, "seed": 3, "num_tokens_to_mask": budget}
    assert_same(
        in_a_graph(masked_positions, options, **given), expected_positions(**given, **options)
    )


@RUNS
@pytest.mark.parametrize("kind", ["tokens", "words"])
def test_budgets_from_a_ratio(kind: str, run: Callable[..., Any]) -> None:
    given = batch(kind, 65)
    given.pop("num_tokens_to_mask")
    given["maskable_positions"] *= (
        np.arange(NUM_ROWS, dtype=np.uint8)[:, None] % 4 < 3
    )  # some have none
    for limits in ({"masking_ratio": 0.15}, {"masking_ratio": 0.5, "max_predictions": 7}):
        options: dict[str, Any] = {"max_n": 3, "seed": 3, **limits}
        assert_same(run(masked_positions, options, **given), expected_positions(**given, **options))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype: str) -> None:
    given = batch("words in segments", 40) | {
        "maskable_positions": maskable_rows((NUM_ROWS, 40), dtype)
    }
    options: dict[str, Any] = {"max_n": 4, "seed": 2**62 + 5}
    assert_same(
        in_a_graph(masked_positions, options, **given), expected_positions(**given, **options)
    )


@RUNS
def test_what_counts_as_maskable_in_floats(run: Callable[..., Any]) -> None:
    """Denormals are not zero, whatever the arithmetic makes of them; -0.0 is; and NaN counts, since nothing can raise."""
    for dtype, tiny in (("float32", 1e-45), ("float64", 5e-324)):
        rows = np.array([0.0, -0.0, tiny, -tiny, np.inf, -1.0, np.nan], dtype)
        options: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": 7}
        result = run(masked_positions, options, maskable_positions=rows, row_ids=np.int64(0))
        assert result.numpy().tolist() == [0, 0, 1, 1, 1, 1, 1]


@RUNS
def test_one_row_and_no_rows(run: Callable[..., Any]) -> None:
    row, options = maskable_rows((50,)), {"max_n": 3, "num_tokens_to_mask": 7, "seed": 5}
    expected = reference(row, 7, seed=5, row_ids=3, epoch=2)
    given = {"maskable_positions": row, "row_ids": np.int64(3), "epoch": np.int32(2)}
    assert_same(run(masked_positions, options, **given), expected)
    none = {"maskable_positions": row[None][:0], "row_ids": np.zeros(0, np.int64)}
    assert run(masked_positions, options, **none).shape == (0, 50)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_integer_arguments_of_any_dtype(dtype: str) -> None:
    numbers = np.array([1, 2], dtype)
    words = np.arange(18).reshape(2, 9).astype(dtype) // 2
    given = {
        "maskable_positions": maskable_rows((2, 9)),
        "num_tokens_to_mask": numbers,
        "epoch": numbers,
        "row_ids": numbers,
        "word_ids": words,
        "segment_ids": words,
    }
    expected = expected_positions(**given, seed=1)
    options = {"max_n": 3}
    assert_same(in_a_graph(masked_positions, options, **given, seed=numbers[0]), expected)


@pytest.mark.parametrize("implementation", ["custom_op", "xla", "numpy_function"])
def test_seed_and_row_ids_in_halves(implementation: str) -> None:
    given = batch("tokens", 40)
    expected = expected_positions(**given, seed=2**62 + 9)
    halves = tf.bitcast(tf.constant(given.pop("row_ids")), tf.uint32)
    seed = tf.bitcast(tf.constant(2**62 + 9, tf.int64), tf.uint32)
    options: dict[str, Any] = {"max_n": 3, "implementation": implementation}
    with as_plain_operations() if implementation == "xla" else pytest.MonkeyPatch.context():
        graph = tf.function(
            lambda halves, seed: tfshim.get_masking_position(
                row_ids=halves, seed=seed, **given, **options
            ),
            input_signature=[tf.TensorSpec([None, 2], tf.uint32), tf.TensorSpec([2], tf.uint32)],
        )
        assert_same(graph(halves, seed), expected)
    eager = tfshim.get_masking_position(row_ids=halves.numpy(), seed=seed, **given, **options)
    assert_same(eager, expected)
    row = {name: value[3] for name, value in given.items()}
    one = tfshim.get_masking_position(row_ids=halves[3], seed=seed, **row, **options)
    assert_same(one, expected[3])


def test_a_batch_of_realistic_size_compiled() -> None:
    rows = maskable_rows((256, 512), "int32", seed=3)
    row_ids = np.random.default_rng(4).integers(0, 2**63 - 1, 256)
    expected = maskcore.mask_positions(rows, 77, seed=23, epoch=9, row_ids=row_ids)
    result = tfshim.get_masking_position(
        rows, max_n=3, num_tokens_to_mask=77, epoch=9, row_ids=row_ids, implementation="xla"
    )
    assert_same(result, expected)


def test_generator_gives_the_known_answers() -> None:
    """Random123's vectors, and every block of its own address."""
    entries = known_answers("philox4x32_10.json")
    for entry in entries:
        counter, key, words = (
            [int(word, 16) for word in entry[name]] for name in ("counter", "key", "words")
        )
        drawn = tf.function(_xla_philox.philox4x32_10, autograph=False)(
            [tf.constant([word], tf.uint32) for word in counter],
            [tf.constant(word, tf.uint32) for word in key],
        )
        assert [int(word[0]) for word in drawn] == words
    assert len(entries) >= 3


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


@pytest.mark.parametrize("num_words", [1, 2, 3])
def test_searches_in_bits(num_words: int) -> None:
    """Every position and rank of random rows, against numpy."""
    flags = np.random.default_rng(num_words).random((20, 32 * num_words)) < 0.2
    flags[:, 0] = True
    bits = _xla_bits.pack(tf.constant(flags))
    every = tf.constant(np.tile(np.arange(32 * num_words, dtype=np.int32)[:, None], (1, 20)))
    last, selected = _xla_bits.last_one(bits, every), _xla_bits.select(bits, every)
    for row, ones in enumerate(map(np.flatnonzero, flags)):
        at_or_below = np.searchsorted(ones, np.arange(32 * num_words), side="right")
        assert last[:, row].numpy().tolist() == ones[at_or_below - 1].tolist()
        assert selected[: len(ones), row].numpy().tolist() == ones.tolist()
    np.testing.assert_array_equal(_xla_bits.unpack(bits, 32 * num_words), flags)
