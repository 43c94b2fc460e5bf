# SPDX-License-Identifier: Apache-2.0
"""What a row costs in the maskers of tensorflow-text and keras-hub.

Both choose single tokens, without n-grams; `tf.function` on batches of 64, as their guides show
them. TensorFlow's seed is left alone (see test_bench_while_loop.py); the checks hold for every
draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import libraries, workload
from bench.measure import measure

BATCH_SIZE = 64


def _num_to_select(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return what both promise: the share of the maskable tokens, rounded up."""
    return np.ceil(np.float32(workload.MASKING_RATIO) * rows.sum(axis=1, dtype=np.float32)).astype(
        np.int64
    )


def _check(
    ids: NDArray[Any],
    masked: NDArray[Any],
    positions: list[NDArray[Any]],
    labels: list[NDArray[Any]],
    rows: NDArray[np.uint8],
) -> None:
    np.testing.assert_array_equal([len(p) for p in positions], _num_to_select(rows))
    for row in range(len(ids)):
        chosen = positions[row]
        assert len(np.unique(chosen)) == len(chosen)
        assert rows[row, chosen].all()
        np.testing.assert_array_equal(labels[row], ids[row, chosen])
        kept = np.setdiff1d(np.arange(ids.shape[1]), chosen)
        np.testing.assert_array_equal(masked[row, kept], ids[row, kept])


def test_mask_language_model(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    text = libraries.load("tensorflow_text")
    rows = maskable[:BATCH_SIZE]
    ids = workload.token_ids(maskable)[:BATCH_SIZE]
    selector = text.RandomItemSelector(
        max_selections_per_batch=workload.ROW_LENGTH,
        selection_rate=workload.MASKING_RATIO,
        unselectable_ids=list(workload.SPECIAL_IDS),
    )
    chooser = text.MaskValuesChooser(workload.VOCAB_SIZE, workload.MASK_ID)

    @tf.function
    def mask(batch: Any) -> Any:
        return text.mask_language_model(batch, item_selector=selector, mask_values_chooser=chooser)

    batch = tf.RaggedTensor.from_tensor(tf.constant(ids))
    masked, positions, labels = mask(batch)
    _check(ids, masked.to_tensor().numpy(), list(positions.numpy()), list(labels.numpy()), rows)
    measure(benchmark, "tensorflow-text", lambda: mask(batch), rows_per_call=BATCH_SIZE)


def test_masked_lm_mask_generator(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    keras_hub = libraries.load("keras_hub")
    rows = maskable[:BATCH_SIZE]
    ids = workload.token_ids(maskable)[:BATCH_SIZE]
    layer = keras_hub.layers.MaskedLMMaskGenerator(
        vocabulary_size=workload.VOCAB_SIZE,
        mask_selection_rate=workload.MASKING_RATIO,
        mask_token_id=workload.MASK_ID,
        mask_selection_length=math.ceil(workload.MASKING_RATIO * workload.ROW_LENGTH),
        unselectable_token_ids=list(workload.SPECIAL_IDS),
    )
    mask = tf.function(layer.call)
    batch = tf.constant(ids)
    result = {name: value.numpy() for name, value in mask(batch).items()}
    is_real = result["mask_weights"] != 0
    positions = [row[real] for row, real in zip(result["mask_positions"], is_real, strict=True)]
    labels = [row[real] for row, real in zip(result["mask_ids"], is_real, strict=True)]
    _check(ids, result["token_ids"], positions, labels, rows)
    measure(benchmark, "keras-hub", lambda: mask(batch), rows_per_call=BATCH_SIZE)
