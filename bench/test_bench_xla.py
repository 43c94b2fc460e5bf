# SPDX-License-Identifier: Apache-2.0
"""What masks by TensorFlow's own operations cost, compiled by XLA for one core.

A call is one batch of 256 rows, dispatch included; "op by op" is the same graph without XLA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import maskcore
from bench import libraries, workload
from bench.measure import measure

BATCH_SIZE = 256
# Row length and budget: 0.15 of 512 is 77 rounded half up.
SIZES = {"128": (128, workload.NUM_TOKENS_TO_MASK), "512": (512, 77)}
PIECE_TOKENS = 4  # words of 1 to 4 tokens


def _inputs(length: int, kind: str) -> dict[str, Any]:
    tf = libraries.load("tensorflow")
    maskable = workload.maskable_rows(BATCH_SIZE, length)
    inputs = {"maskable_positions": maskable, "row_ids": workload.row_ids(BATCH_SIZE)}
    if kind == "words":
        generator = np.random.default_rng([workload.SEED, length])
        words = np.cumsum(generator.integers(0, PIECE_TOKENS, maskable.shape) == 0, axis=1)
        inputs["word_ids"] = words.astype(np.int32)
    if kind == "tokens":
        inputs["input_ids"] = workload.token_ids(maskable)
    return {name: tf.constant(array) for name, array in inputs.items()}


def _mask(kind: str, budget: int) -> Callable[..., Any]:
    import tfshim

    options: dict[str, Any] = {
        "num_tokens_to_mask": budget,
        "max_n": workload.MAX_N,
        "seed": workload.SEED,
    }
    if kind != "tokens":
        return lambda given: tfshim.get_masking_position(**given, **options)
    options |= {
        "mask_id": workload.MASK_ID,
        "special_ids": workload.SPECIAL_IDS,
        "random_ids": range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),
    }
    return lambda given: tfshim.mask_tokens(**given, **options)


def _expected(inputs: dict[str, Any], kind: str, budget: int) -> Any:
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    ids = arrays.pop("input_ids", None)
    options: dict[str, Any] = {"max_n": workload.MAX_N, "seed": workload.SEED, **arrays}
    options["num_tokens_to_mask"] = budget
    if ids is None:
        return maskcore.mask_positions(**options)
    return maskcore.mask_tokens(
        ids,
        mask_id=workload.MASK_ID,
        special_ids=workload.SPECIAL_IDS,
        random_ids=range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),
        **options,
    )


@pytest.mark.parametrize("kind", ["positions", "words", "tokens"])
@pytest.mark.parametrize("size", SIZES)
def test_compiled(benchmark: Any, size: str, kind: str) -> None:
    tf = libraries.load("tensorflow")
    length, budget = SIZES[size]
    inputs = _inputs(length, kind)
    mask = tf.function(_mask(kind, budget), jit_compile=True, autograph=False)
    result, expected = mask(inputs), _expected(inputs, kind, budget)
    for tensor, array in zip(tf.nest.flatten(result), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(tensor, array)
    measure(benchmark, f"xla-{kind}-{size}", lambda: mask(inputs), rows_per_call=BATCH_SIZE)


def test_op_by_op(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tf = libraries.load("tensorflow")
    from tfshim import _place

    length, budget = SIZES["128"]
    inputs = _inputs(length, "positions")
    monkeypatch.setattr(_place, "is_compiled", lambda: True)
    mask = tf.function(_mask("positions", budget), autograph=False)
    np.testing.assert_array_equal(mask(inputs), _expected(inputs, "positions", budget))
    measure(benchmark, "xla-op-by-op", lambda: mask(inputs), rows_per_call=BATCH_SIZE)
