# SPDX-License-Identifier: Apache-2.0
"""Train on records with the installed wheel and TensorFlow: `python tests/tf_matrix_training.py`.

Beside tf_matrix_check.py, and run as that is; where Keras 3 is TensorFlow's own, once more with TF_USE_LEGACY_KERAS=1, which makes
`tf.keras` Keras 2. Owns `masked_dataset` and what Keras makes of it. Expected masks come from maskcore's own backends.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import numpy as np
import tensorflow as tf
from tf_matrix_check import check, check_mask, run_checks

import maskcore
import tfshim
from maskcore.config import MaskConfig
from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.schema import RowFormat
from maskcore.records.manifest import Manifest, ShardEntry, TokenizerEntry
from maskcore.records.tokenising.tokenise import SpecialToken

RANDOM = np.random.default_rng(1)


def write_records(folder: Path, layout: str) -> dict[str, Any]:
    """Write 300 rows in two files with their manifest, and return them: no builder is here."""
    words = (RANDOM.random((300, 40)) < 0.7).cumsum(axis=1) * (np.arange(40) % 39 != 0)
    rows = {
        "attention_mask": np.ones((300, 40), np.int32),
        "input_ids": np.where(words > 0, RANDOM.integers(5, 500, (300, 40)), 2).astype(np.int32),
        "row_id": RANDOM.integers(0, 2**63 - 1, (300, 1)),
        "token_type_ids": np.zeros((300, 40), np.int32),
        "word_ids": words.astype(np.int32),
    }
    roles = ("pad", "unk", "cls", "sep", "mask")
    special = {role: SpecialToken(f"[{role}]", number) for number, role in enumerate(roles)}
    described = {
        "schema": "maskcore",
        "layout": layout,
        "file_format": "tfrecord",
        "seq_length": 40,
        "pack": False,
        "mask": MaskConfig(seed=8, max_predictions=6),
        "mask_epochs": 0,
    }
    encoder = make_encoder(
        RowFormat(has_labels=False, vocab_size=500, special_tokens=special, **described)
    )
    shards = []
    for number in (0, 1):
        with open(folder / f"{number}.tfrecord", "wb") as stream:
            writer = encoder.begin(stream)
            writer.write({name: column[number::2] for name, column in rows.items()})
            size = writer.finish().bytes
        shards.append(ShardEntry(f"{number}.tfrecord", 40, 150, size, ""))
    manifest = Manifest(
        maskcore_version=maskcore.__version__,
        algorithm_version=maskcore.ALGORITHM_VERSION,
        plan_sha256="",
        bins=(40,),
        pairs="none",
        short_seq_prob=0.0,
        dupe_factor=1,
        tokenizer=TokenizerEntry("", "", "", 500, "", special),
        features={40: encoder.features},
        inputs=(),
        shards=tuple(shards),
        counts={},
        **described,
    )
    (folder / "MANIFEST.json").write_text(manifest.to_json(), encoding="utf-8")
    return rows


@contextmanager
def folder_of(layout: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name), write_records(Path(name), layout)


def expected_of(rows: dict[str, Any], batch: dict[str, Any]) -> Any:
    """Return what a batch with row ids should hold."""
    places = {int(row_id): place for place, row_id in enumerate(rows["row_id"][:, 0])}
    own = [places[row_id] for row_id in np.asarray(batch["row_id"]).tolist()]
    return maskcore.mask_tokens(
        rows["input_ids"][own],
        rows["word_ids"][own] > 0,
        word_ids=rows["word_ids"][own] - 1,
        row_ids=rows["row_id"][own, 0],
        epoch=np.asarray(batch["epoch"]),
        mask_id=4,
        random_ids=range(5, 500),
        masking_ratio=0.15,
        seed=8,
    )


def check_batch(batch: dict[str, Any], rows: dict[str, Any]) -> None:
    wanted = expected_of(rows, batch)
    check_mask(batch["input_ids"], wanted.input_ids, "masked ids")
    check_mask(batch["labels"], wanted.labels, "labels")


def masks_are_those_of_numpy() -> None:
    """Of every layout, by every implementation, with any number of calls."""
    for layout in ("int64", "compact"):
        with folder_of(layout) as (folder, rows):
            first: list[Any] = []
            for options in (
                {"num_parallel_calls": 1},
                {"num_parallel_calls": 2},
                {"num_parallel_calls": None},
                {"implementation": "xla"},
                {"implementation": "numpy_function"},
            ):
                dataset = tfshim.masked_dataset(folder, 16, with_row_ids=True, **options)
                batches = list(islice(dataset.as_numpy_iterator(), 40))
                first = first or batches
                for batch, other in zip(batches, first, strict=True):
                    check_batch(batch, rows)
                    for name, values in batch.items():
                        check_mask(values, other[name], f"{name} with {options}")


def an_iterator_is_restored() -> None:
    """In mid-epoch, and it goes on with the batches that would have come."""
    with folder_of("compact") as (folder, rows):
        dataset = tfshim.masked_dataset(folder, 16, shuffle_buffer_size=50, with_row_ids=True)
        iterator = iter(dataset)
        for _ in range(30):
            check_batch(next(iterator), rows)
        path = tf.train.Checkpoint(iterator=iterator).save(str(folder / "checkpoint"))
        rest = [next(iterator) for _ in range(30)]
        restored = iter(dataset)
        tf.train.Checkpoint(iterator=restored).restore(path)
        for batch in rest:
            for key, tensor in next(restored).items():
                check_mask(tensor, batch[key].numpy(), f"{key} after the checkpoint")


class Recorder(tf.keras.Model):  # type: ignore[misc]  # TensorFlow ships no types
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


def fit_sees_other_masks_in_each_epoch() -> None:
    with folder_of("int64") as (folder, rows):
        train = tfshim.masked_dataset(folder, 50, with_row_ids=True)
        model = Recorder()
        model.compile(optimizer="sgd", run_eagerly=True)
        model.fit(train, epochs=2, steps_per_epoch=train.steps_per_epoch, verbose=0)
        check(len(model.seen) == 12, f"{len(model.seen)} steps")
        labels: list[dict[int, Any]] = [{}, {}]
        for step, batch in enumerate(model.seen):
            check_batch(batch, rows)
            labels[step // 6] |= dict(zip(batch["row_id"].tolist(), batch["labels"], strict=True))
        check(labels[0].keys() == labels[1].keys() and len(labels[0]) == 300, "rows of epochs")
        alike = [np.array_equal(labels[0][row], labels[1][row]) for row in labels[0]]
        check(sum(alike) < 10, f"{sum(alike)} masks came again")


def a_compiled_model_learns() -> None:
    """By its own step, compiled by XLA and not; the masks are made in tf.data."""
    with folder_of("compact") as (folder, _):
        train = tfshim.masked_dataset(folder, 50, as_supervised=True)
        held_out = tfshim.masked_dataset(folder, 50, as_supervised=True, fixed_masks=True)
        for jit_compile in (False, True):
            ids = tf.keras.Input((40,), dtype="int32", name="input_ids")
            states = tf.keras.layers.Embedding(500, 8)(ids)
            model = tf.keras.Model({"input_ids": ids}, tf.keras.layers.Dense(500)(states))
            loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(optimizer="adam", loss=loss, jit_compile=jit_compile)
            ids_only = [
                dataset.map(lambda inputs, *rest: ({"input_ids": inputs["input_ids"]}, *rest))
                for dataset in (train, held_out)
            ]
            history = model.fit(
                ids_only[0],
                epochs=3,
                steps_per_epoch=train.steps_per_epoch,
                validation_data=ids_only[1],
                verbose=0,
            ).history
            losses = history["val_loss"]
            check(len(losses) == 3 and losses[2] < losses[0], f"{losses} with {jit_compile}")


def masks_are_made_in_a_compiled_step() -> None:
    """Nothing names an implementation: XLA's is taken in what XLA compiles."""

    class Masker(tf.keras.Model):  # type: ignore[misc]  # TensorFlow ships no types
        def train_step(self, batch: Any) -> dict[str, Any]:
            masked = tfshim.mask_tokens(
                batch["ids"],
                mask_id=4,
                replacement=(1, 0, 0),
                special_ids=[0, 1, 2, 3, 4],
                masking_ratio=0.2,
                row_ids=batch["row_ids"],
            )
            return {"checksum": tf.reduce_sum(masked.input_ids)}

    ids = RANDOM.integers(0, 500, (6, 40)).astype(np.int32)
    model = Masker()
    model.compile(optimizer="sgd", jit_compile=True)
    batches = tf.data.Dataset.from_tensors({"ids": ids, "row_ids": np.arange(6)}).repeat(2)
    history = model.fit(batches, epochs=1, verbose=0).history
    wanted = maskcore.mask_tokens(
        ids,
        mask_id=4,
        replacement=(1, 0, 0),
        special_ids=[0, 1, 2, 3, 4],
        masking_ratio=0.2,
        seed=23,
        row_ids=np.arange(6),
    )
    check(int(history["checksum"][0]) == int(wanted.input_ids.sum()), str(history))


CHECKS: tuple[Callable[[], None], ...] = (
    masks_are_those_of_numpy,
    an_iterator_is_restored,
    fit_sees_other_masks_in_each_epoch,
    a_compiled_model_learns,
    masks_are_made_in_a_compiled_step,
)


if __name__ == "__main__":
    keras = sys.modules[
        tf.keras.Model.__module__.partition(".")[0]
    ]  # or tf_keras, which is Keras 2
    print(f"TensorFlow {tf.__version__}, {keras.__name__} {keras.__version__}", flush=True)
    sys.exit(run_checks(CHECKS))
