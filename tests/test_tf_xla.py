# SPDX-License-Identifier: Apache-2.0
"""`implementation="xla"`: positions with the bits of the reference, compiled and as plain operations.

Tokens are tested in test_tf_xla_tokens.py, places and dispatch in test_tf_xla_places.py, what programs hold in test_tf_xla_programs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers import known_answers
from tf_support import DTYPES, maskable_rows, reference
from tf_xla_support import (
    NUM_ROWS,
    RUNS,
    as_plain_operations,
    assert_same,
    batch,
    compiled,
    expected_positions,
    in_a_graph,
    masked_positions,
)

import maskcore
import tfshim
from tfshim import _xla_bits, _xla_philox

pytestmark = pytest.mark.tensorflow

# 0, 1, 2; around a word of 32 bits, two words, four words.
LENGTHS = (0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129)


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
