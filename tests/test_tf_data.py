# SPDX-License-Identifier: Apache-2.0
"""Where masks are made in practice: `tf.data` maps with parallel calls, threads, saved models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import (
    IMPLEMENTATIONS,
    maskable_rows,
    python_example,
    reference,
    run_python,
    word_ids,
)

import tfshim

pytestmark = pytest.mark.tensorflow

NUM_ROWS, LENGTH = 60, 24
ROWS = maskable_rows((NUM_ROWS, LENGTH), "uint8")
WORDS = word_ids((NUM_ROWS, LENGTH))
ROW_IDS = np.random.default_rng(6).integers(0, 2**63 - 1, NUM_ROWS)


def masked_epoch(
    epoch: int, batch_size: int, num_parallel_calls: int | None, implementation: str
) -> Any:
    """Return the masks of one pass over the rows."""

    def mask(rows: tf.Tensor, words: tf.Tensor, row_ids: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows,
            max_n=3,
            num_tokens_to_mask=5,
            seed=11,
            epoch=epoch,
            row_ids=row_ids,
            word_ids=words,
            implementation=implementation,
        )

    dataset = tf.data.Dataset.from_tensor_slices((ROWS, WORDS, ROW_IDS)).batch(batch_size)
    dataset = dataset.map(mask, num_parallel_calls=num_parallel_calls)
    assert dataset.element_spec == tf.TensorSpec([None, LENGTH], tf.uint8)
    return np.concatenate(list(dataset.as_numpy_iterator()))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("batch_size", "num_parallel_calls"),
    [(60, None), (7, 1), (7, 2), (1, tf.data.AUTOTUNE), (16, tf.data.AUTOTUNE)],
)
def test_masks_do_not_depend_on_batches_or_parallel_calls(
    batch_size: int, num_parallel_calls: int | None, implementation: str
) -> None:
    for epoch in (0, 1):
        expected = reference(ROWS, 5, seed=11, epoch=epoch, row_ids=ROW_IDS, word_ids=WORDS)
        masks = masked_epoch(epoch, batch_size, num_parallel_calls, implementation)
        np.testing.assert_array_equal(masks, expected)


def test_the_example_of_the_document() -> None:
    rows = {"attention_mask": ROWS, "row_id": ROW_IDS, "epoch": np.arange(NUM_ROWS)}
    scope: dict[str, Any] = {"dataset": tf.data.Dataset.from_tensor_slices(rows)}
    exec(python_example("def add_masks"), scope)
    (batch,) = scope["dataset"]
    expected = reference(ROWS, 20, seed=7, epoch=np.arange(NUM_ROWS), row_ids=ROW_IDS)
    np.testing.assert_array_equal(batch["masking_position"], expected)


def test_single_rows_and_epochs_as_tensors() -> None:
    """Epochs come out of the dataset, too: batches may straddle them."""

    def mask(epoch: tf.Tensor, rows: tf.Tensor, row_id: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, max_n=3, num_tokens_to_mask=5, row_ids=row_id, epoch=epoch
        )

    dataset = tf.data.Dataset.range(2).flat_map(
        lambda epoch: tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).map(
            lambda rows, row_id: (epoch, rows, row_id)
        )
    )
    masks = np.array(list(dataset.map(mask).as_numpy_iterator()))
    batched = np.concatenate(list(dataset.batch(25).map(mask).as_numpy_iterator()))
    expected = [reference(ROWS, 5, seed=23, epoch=epoch, row_ids=ROW_IDS) for epoch in (0, 1)]
    np.testing.assert_array_equal(masks, np.concatenate(expected))
    np.testing.assert_array_equal(batched, masks)


def test_an_iterator_of_the_addressed_op_can_be_saved(tmp_path: Path) -> None:
    """A stateless op leaves nothing behind that a checkpoint would miss."""
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(10)
    dataset = dataset.map(
        lambda rows, row_ids: tfshim.get_masking_position(
            rows, max_n=3, num_tokens_to_mask=5, row_ids=row_ids
        )
    )
    iterator = iter(dataset)
    next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.save(str(tmp_path / "iterator"))
    rest = [batch.numpy() for batch in iterator]
    checkpoint.restore(path)
    np.testing.assert_array_equal([batch.numpy() for batch in iterator], rest)
    assert len(rest) == 5


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_threads_share_the_op(implementation: str) -> None:
    expected = reference(ROWS, 5, seed=23, row_ids=ROW_IDS)

    def mask_part(part: int) -> Any:
        own = slice(part * 3, part * 3 + 3)
        return [
            tfshim.get_masking_position(
                ROWS[own], max_n=3, num_tokens_to_mask=5, row_ids=ROW_IDS[own], implementation=implementation
            ).numpy()
            for _ in range(10)
        ]  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        for part, masks in enumerate(pool.map(mask_part, range(NUM_ROWS // 3))):
            for mask in masks:
                np.testing.assert_array_equal(mask, expected[part * 3 : part * 3 + 3])


def test_threads_never_share_a_row_of_the_classic_op() -> None:
    """4 threads draw 400 masks of 64 tokens: two alike would mean that two threads took one row id."""
    rows = tf.ones((10, 64))

    def masks(_: int) -> Any:
        return tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=32).numpy()

    with ThreadPoolExecutor(4) as pool:
        drawn = np.concatenate(list(pool.map(masks, range(40))))
    assert len({mask.tobytes() for mask in drawn}) == 400


class Masker(tf.Module):
    """A model that masks its input both ways."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([None], tf.int64)]
    )
    def __call__(self, rows: tf.Tensor, row_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        addressed = tfshim.get_masking_position(
            rows, max_n=3, num_tokens_to_mask=5, row_ids=row_ids, seed=4
        )
        return addressed, tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=5)


def test_saved_model_in_a_fresh_process(tmp_path: Path) -> None:
    """Importing tfshim is enough to load a model; the classic op begins at row 0 in each process."""
    tf.saved_model.save(Masker(), str(tmp_path / "model"))
    np.savez(tmp_path / "rows.npz", rows=ROWS, row_ids=ROW_IDS)
    run_python(
        f"""
import numpy as np, tensorflow as tf
import tfshim
rows = np.load({str(tmp_path / "rows.npz")!r})
model = tf.saved_model.load({str(tmp_path / "model")!r})
addressed, classic = model(rows["rows"], rows["row_ids"])
np.savez({str(tmp_path / "masks.npz")!r}, addressed=addressed, classic=classic)
"""
    )
    masks = np.load(tmp_path / "masks.npz")
    np.testing.assert_array_equal(masks["addressed"], reference(ROWS, 5, seed=4, row_ids=ROW_IDS))
    np.testing.assert_array_equal(
        masks["classic"], reference(ROWS, 5, seed=23, row_ids=np.arange(NUM_ROWS))
    )
