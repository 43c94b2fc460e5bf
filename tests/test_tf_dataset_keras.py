# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset` in Keras' `fit`: what a model is trained on, epoch by epoch; and under strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_dataset_support import Oracle, assert_rows, build_folder
from tf_support import run_python

import tfshim

pytestmark = [
    pytest.mark.tensorflow,
    # Of Keras 3 and of Keras 2 themselves.
    pytest.mark.filterwarnings("ignore:.shuffle=True. was passed"),
    pytest.mark.filterwarnings("ignore:non-integer arguments to randrange"),
]

keras = tf.keras


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("records"), "sop", num_topics=6)


class Recorder(keras.Model):
    """A model that keeps what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.add_weight(shape=(), name="weight")
        self.seen: list[dict[str, Any]] = []

    def train_step(self, batch: Any) -> dict[str, Any]:
        self.seen.append({name: tensor.numpy() for name, tensor in batch.items()})
        return {"loss": tf.constant(0.0)}

    def call(self, inputs: Any) -> Any:
        return self.weight


def fit_and_record(dataset: Any, **options: Any) -> list[dict[str, Any]]:
    model = Recorder()
    model.compile(optimizer="sgd", run_eagerly=True)
    model.fit(dataset, verbose=0, **options)
    return model.seen


def test_fit_sees_other_masks_in_each_epoch(folder: Path) -> None:
    oracle = Oracle(folder)
    expected = {epoch: oracle.epoch(epoch) for epoch in (0, 1)}
    train = tfshim.masked_dataset(folder, 16, with_row_ids=True, drop_remainder=True)
    seen = fit_and_record(train, epochs=2, steps_per_epoch=train.steps_per_epoch)
    assert len(seen) == 2 * train.steps_per_epoch
    labels: list[dict[int, Any]] = [{}, {}]
    for step, batch in enumerate(seen):
        assert_rows(batch, expected)
        epoch = step // train.steps_per_epoch
        assert set(batch["epoch"].tolist()) == {epoch}
        labels[epoch] |= dict(zip(batch["row_id"].tolist(), batch["labels"], strict=True))
    common = [row_id for row_id in labels[0] if row_id in labels[1]]
    changed = [row for row in common if not np.array_equal(labels[0][row], labels[1][row])]
    assert len(common) > 50 and len(changed) > 0.9 * len(common)


def test_fit_goes_on_at_an_epoch(folder: Path) -> None:
    """`initial_epoch` gives what an undisturbed training would have seen from there on."""
    options = {"with_row_ids": True, "drop_remainder": True}
    train = tfshim.masked_dataset(folder, 16, **options)
    steps = train.steps_per_epoch
    whole = fit_and_record(train, epochs=3, steps_per_epoch=steps)
    rest = tfshim.masked_dataset(folder, 16, initial_epoch=2, **options)
    resumed = fit_and_record(rest, epochs=3, initial_epoch=2, steps_per_epoch=steps)
    assert len(resumed) == steps
    for one, other in zip(resumed, whole[2 * steps :], strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def small_model(output: str) -> Any:
    """Return token and pair heads on a layer that mixes the row."""
    ids = keras.Input((64,), dtype="int32", name="input_ids")
    states = keras.layers.Embedding(600, 16)(ids)
    states = keras.layers.Conv1D(16, 9, padding="same", activation="relu")(states)
    pooled = keras.layers.GlobalAveragePooling1D()(states)
    inputs = {"input_ids": ids}
    if output == "positions":
        places = keras.Input((9,), dtype="int32", name="masked_lm_positions")
        inputs["masked_lm_positions"] = places
        states = keras.layers.Lambda(
            lambda pair: tf.gather(pair[0], pair[1], batch_dims=1), output_shape=(9, 16)
        )([states, places])
    name = "labels" if output == "labels" else "masked_lm_ids"
    outputs = {
        name: keras.layers.Dense(600, name=name)(states),
        "next_sentence_labels": keras.layers.Dense(2, name="next_sentence_labels")(pooled),
    }
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("output", ["labels", "positions"])
def test_a_compiled_model_learns(folder: Path, output: str) -> None:
    train = tfshim.masked_dataset(folder, 16, output=output, as_supervised=True)
    held_out = tfshim.masked_dataset(
        folder, 16, output=output, as_supervised=True, fixed_masks=True, initial_epoch=1000
    )

    def only_inputs_of_the_model(inputs: Any, targets: Any, weights: Any) -> Any:
        wanted = ("input_ids", "masked_lm_positions")
        return {name: inputs[name] for name in wanted if name in inputs}, targets, weights

    keras.utils.set_random_seed(1)
    model = small_model(output)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01), loss=dict.fromkeys(model.output_names, loss)
    )
    history = model.fit(
        train.map(only_inputs_of_the_model),
        epochs=3,
        steps_per_epoch=train.steps_per_epoch,
        validation_data=held_out.map(only_inputs_of_the_model),
        verbose=0,
    ).history
    assert np.isfinite(history["loss"]).all()
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_replicas_share_the_batches(folder: Path) -> None:
    """Two replicas take the halves of each batch, in a process with two devices."""
    printed = run_python(
        f"""
import numpy as np, tensorflow as tf, tfshim
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["/CPU:0", "/CPU:1"])
dataset = tfshim.masked_dataset({str(folder)!r}, 16, with_row_ids=True)
distributed = iter(strategy.experimental_distribute_dataset(dataset))
for _, expected in zip(range(20), dataset.as_numpy_iterator()):
    batch = next(distributed)
    for name, tensor in batch.items():
        halves = strategy.experimental_local_results(tensor)
        assert [len(half) for half in halves] == [8, 8]
        np.testing.assert_array_equal(np.concatenate(halves), expected[name])
print("equal")
"""
    )
    assert printed == "equal\n"
