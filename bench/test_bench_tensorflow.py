# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow adds to the kernel: the classic op in eager code and in a tf.data map, mask_tokens in a map.

Each beside the Identity of TensorFlow in the same place. A figure of a map is for one batch of
(256, 128).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskcore
from bench import libraries, workload
from bench.measure import measure

BATCH_SIZE = 256
NUM_BATCHES = 200  # a pass; its start costs as much as a few batches


def _check(mask: NDArray[Any], rows: NDArray[Any]) -> None:
    assert mask.dtype == rows.dtype
    assert (mask <= rows).all()
    assert (mask.sum(axis=-1) == workload.NUM_TOKENS_TO_MASK).all()


def test_identity_eager(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    row = tf.constant(maskable[0], tf.float32)
    identity = tf.raw_ops.Identity
    np.testing.assert_array_equal(identity(input=row), maskable[0])
    measure(benchmark, "identity-eager", lambda: identity(input=row), rows_per_call=1)


def test_classic_op_eager(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    """Called raw, with tensors for arguments."""
    tf = libraries.load("tensorflow")
    import tfshim

    row = tf.constant(maskable[0], tf.float32)
    max_n, budget = tf.constant(workload.MAX_N), tf.constant(workload.NUM_TOKENS_TO_MASK)
    op = tfshim.raw_ops.get_masking_position

    def mask() -> Any:
        return op(maskable_positions=row, max_n=max_n, num_tokens_to_mask=budget)

    _check(mask().numpy(), row.numpy())
    measure(benchmark, "classic-op-eager", mask, rows_per_call=1)


def _batches(maskable: NDArray[np.uint8], function: Callable[[Any], Any]) -> Any:
    tf = libraries.load("tensorflow")
    options = tf.data.Options()
    options.experimental_optimization.noop_elimination = False  # keeps the map of Identity a map
    dataset = tf.data.Dataset.from_tensors(tf.constant(maskable[:BATCH_SIZE], tf.float32))
    return dataset.repeat(NUM_BATCHES).map(function).with_options(options)


def _pass_over(dataset: Any) -> Callable[[], None]:
    def iterate() -> None:
        for _ in dataset:
            pass

    return iterate


def test_map_of_identity(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    dataset = _batches(maskable, tf.identity)
    np.testing.assert_array_equal(next(iter(dataset)), maskable[:BATCH_SIZE])
    measure(benchmark, "map-identity", _pass_over(dataset), rows_per_call=NUM_BATCHES)


def test_map_of_the_classic_op(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    libraries.load("tensorflow")
    import tfshim

    def mask(rows: Any) -> Any:
        return tfshim.raw_ops.get_masking_position(
            maskable_positions=rows,
            max_n=workload.MAX_N,
            num_tokens_to_mask=workload.NUM_TOKENS_TO_MASK,
        )

    dataset = _batches(maskable, mask)
    _check(next(iter(dataset)).numpy(), maskable[:BATCH_SIZE].astype(np.float32))
    measure(benchmark, "map-masked", _pass_over(dataset), rows_per_call=NUM_BATCHES)


def test_kernel_on_the_batch_of_the_map(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    rows = maskable[:BATCH_SIZE].astype(np.float32)
    out = np.empty_like(rows)

    def mask() -> Any:
        return maskcore.mask_positions(
            rows, workload.NUM_TOKENS_TO_MASK, max_n=workload.MAX_N, seed=workload.SEED, out=out
        )

    with maskcore.use_backend("native"):
        _check(mask(), rows)
        measure(benchmark, "map-kernel", mask, rows_per_call=1)


# Masked ids with labels: ids, what may be masked and row ids go in, two tensors of (256, 128) come out.


def _tokens(maskable: NDArray[np.uint8]) -> tuple[Any, Any, Any]:
    rows = maskable[:BATCH_SIZE]
    return workload.token_ids(rows), rows, workload.row_ids(BATCH_SIZE)


def _token_options(row_ids: Any) -> dict[str, Any]:
    return {
        "mask_id": workload.MASK_ID,
        "random_ids": (range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),),
        "special_ids": workload.SPECIAL_IDS,
        "masking_ratio": workload.MASKING_RATIO,
        "max_n": workload.MAX_N,
        "seed": workload.SEED,
        "row_ids": row_ids,
    }


def _token_batches(maskable: NDArray[np.uint8], function: Callable[..., Any]) -> Any:
    tf = libraries.load("tensorflow")
    options = tf.data.Options()
    options.experimental_optimization.noop_elimination = False  # keeps the map of Identity a map
    dataset = tf.data.Dataset.from_tensors(tuple(map(tf.constant, _tokens(maskable))))
    return dataset.repeat(NUM_BATCHES).map(function).with_options(options)


def test_map_of_identities(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    dataset = _token_batches(
        maskable, lambda ids, rows, row_ids: (tf.identity(ids), tf.identity(ids))
    )
    np.testing.assert_array_equal(next(iter(dataset))[1], _tokens(maskable)[0])
    measure(benchmark, "map-identities", _pass_over(dataset), rows_per_call=NUM_BATCHES)


def test_map_of_mask_tokens(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    libraries.load("tensorflow")
    import tfshim

    def mask(ids: Any, rows: Any, row_ids: Any) -> Any:
        return tfshim.mask_tokens(ids, rows, implementation="custom_op", **_token_options(row_ids))

    dataset = _token_batches(maskable, mask)
    ids, rows, row_ids = _tokens(maskable)
    expected = maskcore.mask_tokens(ids, rows, **_token_options(row_ids))
    for tensor, array in zip(next(iter(dataset)), expected, strict=True):
        np.testing.assert_array_equal(tensor, array, strict=True)
    measure(benchmark, "map-tokens", _pass_over(dataset), rows_per_call=NUM_BATCHES)


def test_kernel_of_mask_tokens_on_the_batch_of_the_map(
    benchmark: Any, maskable: NDArray[np.uint8]
) -> None:
    ids, rows, row_ids = _tokens(maskable)
    options = _token_options(row_ids)
    with maskcore.use_backend("native"):
        measure(
            benchmark,
            "map-tokens-kernel",
            lambda: maskcore.mask_tokens(ids, rows, **options),
            rows_per_call=1,
        )


def test_op_of_mask_tokens_eager(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    """Called raw, with tensors for arguments, so that the batch and not Python is measured."""
    tf = libraries.load("tensorflow")
    import tfshim

    ids, rows, row_ids = _tokens(maskable)
    tensors = {
        "input_ids": tf.constant(ids),
        "replacement_thresholds": tf.constant([3435973837, 3865470566], tf.int64),  # 0.8, 0.1
        "random_ids": tf.range(len(workload.SPECIAL_IDS), workload.VOCAB_SIZE),
        "special_ranges": tf.constant([[0, len(workload.SPECIAL_IDS) - 1]], tf.int64),
        "num_tokens_to_mask": tf.constant(0, tf.int64),
        "length_thresholds": tf.constant([35747, 53620]),  # 1, 1/2, 1/3
        "seed": tf.constant(workload.SEED, tf.int64),
        "epoch": tf.constant(0, tf.int64),
        "row_ids": tf.constant(row_ids),
        "maskable_positions": [tf.constant(rows)],
        "word_ids": [],
        "segment_ids": [],
    }
    settings = {
        "mask_id": workload.MASK_ID,
        "ratio_e9": round(workload.MASKING_RATIO * 10**9),
        "wants_labels": 1,
        "wants_predictions": 0,
    }
    op = tfshim.raw_ops.mask_tokens

    def mask() -> Any:
        return op(**tensors, **settings)

    expected = maskcore.mask_tokens(ids, rows, **_token_options(row_ids))
    np.testing.assert_array_equal(mask().masked_ids, expected.input_ids)
    np.testing.assert_array_equal(mask().labels[0], expected.labels)
    measure(benchmark, "tokens-op-eager", mask, rows_per_call=1)
