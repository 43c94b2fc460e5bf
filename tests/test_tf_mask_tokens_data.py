# SPDX-License-Identifier: Apache-2.0
"""`tfshim.mask_tokens` where it is used: `tf.data` maps with parallel calls, checkpoints, saved models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import python_example, run_python
from tf_token_support import OPTIONS, OUTPUTS, WITHOUT_XLA, reference, token_ids

import tfshim

pytestmark = pytest.mark.tensorflow

NUM_ROWS, LENGTH = 60, 24
ROW_IDS = np.random.default_rng(6).integers(0, 2**63 - 1, NUM_ROWS)
ROWS = token_ids((NUM_ROWS, LENGTH), "int32", seed=8)


BATCHES_AND_CALLS = ((60, None), (7, 2), (1, tf.data.AUTOTUNE), (16, tf.data.AUTOTUNE))


@pytest.mark.parametrize(
    ("batch_size", "num_parallel_calls", "output", "implementation"),
    [
        *(
            (*batches, output, implementation)
            for batches in BATCHES_AND_CALLS
            for output in OUTPUTS
            for implementation in WITHOUT_XLA
        ),
        # Each size of batches compiles for seconds.
        (16, 2, "labels", "xla"),
        (60, tf.data.AUTOTUNE, "positions", "xla"),
    ],
)
def test_a_map_does_not_depend_on_batches_or_parallel_calls(
    batch_size: int, num_parallel_calls: int | None, output: str, implementation: str
) -> None:
    options = {**OPTIONS, "masking_ratio": 0.25, "max_predictions": 6, "output": output}
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(batch_size)
    for epoch in (0, 1):
        masked = dataset.map(
            lambda ids, row_ids, epoch=epoch: tfshim.mask_tokens(
                ids, row_ids=row_ids, epoch=epoch, implementation=implementation, **options
            ),
            num_parallel_calls=num_parallel_calls,
        )
        size = LENGTH if output == "labels" else 6
        assert all(spec.shape.as_list() == [None, size] for spec in masked.element_spec[1:])
        batches = list(masked.as_numpy_iterator())
        result = type(batches[0])(*map(np.concatenate, zip(*batches, strict=True)))
        expected = reference(ROWS, row_ids=ROW_IDS, epoch=epoch, **options)
        for got, wanted in zip(result, expected, strict=True):
            np.testing.assert_array_equal(got, wanted, strict=True)


def test_the_example_of_the_document() -> None:
    rows = {"input_ids": ROWS, "row_id": ROW_IDS, "epoch": np.arange(NUM_ROWS)}
    scope: dict[str, Any] = {
        "dataset": tf.data.Dataset.from_tensor_slices(rows),
        "random_ids": range(10, 60),
        "special_ids": [0, 1, 2, 3],
    }
    exec(python_example("def mask_ids"), scope)
    (batch,) = scope["dataset"]
    expected = reference(
        ROWS,
        mask_id=103,
        random_ids=range(10, 60),
        special_ids=[0, 1, 2, 3],
        masking_ratio=0.15,
        max_predictions=20,
        seed=7,
        epoch=np.arange(NUM_ROWS),
        row_ids=ROW_IDS,
        output="positions",
    )
    for name, array in expected._asdict().items():
        np.testing.assert_array_equal(batch[name], array, name, strict=True)


def test_an_iterator_can_be_saved(tmp_path: Path) -> None:
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(10)
    iterator = iter(
        dataset.map(
            lambda ids, row_ids: tfshim.mask_tokens(
                ids, row_ids=row_ids, masking_ratio=0.25, **OPTIONS
            )
        )
    )
    next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.save(str(tmp_path / "iterator"))
    rest = [batch.input_ids.numpy() for batch in iterator]
    checkpoint.restore(path)
    np.testing.assert_array_equal([batch.input_ids.numpy() for batch in iterator], rest)
    assert len(rest) == 5


class Masker(tf.Module):
    """A model that masks its input in both forms."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int64)]
    )
    def __call__(self, ids: tf.Tensor, row_ids: tf.Tensor) -> Any:
        options = {**OPTIONS, "row_ids": row_ids, "masking_ratio": 0.25}
        labels = tfshim.mask_tokens(ids, **options)
        positions = tfshim.mask_tokens(ids, output="positions", max_predictions=9, **options)
        return (*labels, *positions)


def test_saved_model_in_fresh_processes(tmp_path: Path) -> None:
    """With tfshim imported it runs; without, TensorFlow names the op, which docs/tensorflow.md tells of."""
    tf.saved_model.save(Masker(), str(tmp_path / "model"))
    np.savez(tmp_path / "rows.npz", ids=ROWS, row_ids=ROW_IDS)
    load = f"model = tf.saved_model.load({str(tmp_path / 'model')!r})\n"
    run_python(
        "import numpy as np, tensorflow as tf, tfshim\n"
        f"{load}rows = np.load({str(tmp_path / 'rows.npz')!r})\n"
        f"np.savez({str(tmp_path / 'masked.npz')!r}, *model(rows['ids'], rows['row_ids']))\n"
    )
    masked = np.load(tmp_path / "masked.npz")
    options = {**OPTIONS, "row_ids": ROW_IDS, "masking_ratio": 0.25}
    expected = (
        *reference(ROWS, **options),
        *reference(ROWS, output="positions", max_predictions=9, **options),
    )
    assert len(masked.files) == len(expected) == 6
    for number, array in enumerate(expected):
        np.testing.assert_array_equal(masked[f"arr_{number}"], array, strict=True)
    failed = subprocess.run(
        [sys.executable, "-c", f"import tensorflow as tf\n{load}"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert failed.returncode == 1
    assert "Op type not registered 'Maskcore>MaskTokens'" in failed.stderr
