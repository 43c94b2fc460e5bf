# SPDX-License-Identifier: Apache-2.0
"""The rungs: pipelines from records to masked batches, each with one technique more than the one before.

Owns the pipelines. Techniques and their names are those of TensorFlow's guide "Better performance with the tf.data
API". Knows nothing of clocks or tables, or of what the masks must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

import maskcore
import tfshim
from bench import record_folder, workload
from bench.peers import while_loop
from maskcore import records
from maskcore.records.manifest import Manifest

BATCH_SIZE = 256
NUM_FILES = 8
BUDGET = record_folder.MASK.max_predictions
WHILE_LOOP = "while_loop"
MASKERS = (WHILE_LOOP, "numpy_function", "xla", "custom_op")  # the first makes masks only
AUTOTUNE = tf.data.AUTOTUNE
# For what tf.data buffers: some 16 batches. Without a limit AUTOTUNE doubles the buffer whenever it was emptied, up to half
# of the memory, and what is timed would have been made before.
BUFFERED_BYTES = 2**24

Dataset = Any
Columns = dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """A pipeline, by the techniques that it uses."""

    name: str
    adds: str
    """What the rung before does not have."""
    layout: str = "int64"
    prefetches: bool = False
    reads_in_parallel: bool = False
    maps_in_parallel: bool = False
    caches: str = ""
    """What is kept after the first epoch: "" is nothing, else "rows", parsed, or "records"."""
    batches_first: bool = False
    is_ours: bool = False
    """`tfshim.masked_dataset` instead of a pipeline made here."""


def _ladder() -> Iterator[Rung]:
    rung = Rung(
        "naive", "one file after another, records parsed and masked one by one, then batched"
    )
    yield rung
    steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("prefetch", "batches are made while the step before them runs", {"prefetches": True}),
        (
            "parallel interleave",
            f"{NUM_FILES} files are read at a time",
            {"reads_in_parallel": True},
        ),
        ("parallel map", "parsing and masking use all cores", {"maps_in_parallel": True}),
        ("cache", "parsed rows stay in memory; masks are drawn anew", {"caches": "rows"}),
        ("vectorised map", "batched before parsing and masking", {"batches_first": True}),
        ("memory footprint", "cached before parsing: records, not rows", {"caches": "records"}),
        ("compact layout", "`--layout compact` records", {"layout": "compact"}),
    )
    for name, adds, fields in steps:
        rung = replace(rung, name=name, adds=adds, **fields)
        yield rung
    adds = "`cache=True`: the same with shuffled rows and endless epochs"
    yield replace(rung, name="`masked_dataset`", adds=adds, is_ours=True)


RUNGS = tuple(_ladder())


@dataclass(frozen=True)
class Folders:
    """Records of each layout, on disk."""

    root: Path
    rows_per_file: int

    @property
    def num_rows(self) -> int:
        """Return the rows of an epoch."""
        return NUM_FILES * self.rows_per_file

    def of(self, layout: str) -> Path:
        """Return the folder of a layout, written when it is first asked for."""
        folder = self.root / f"{layout}-{self.rows_per_file}"
        if not folder.exists():
            folder.mkdir()
            record_folder.write(folder, layout, NUM_FILES, self.rows_per_file)
        return folder


def pipeline(folders: Folders, rung: Rung, masker: str) -> Dataset:
    """Return the endless dataset of a rung; every batch has its `row_id`."""
    folder = folders.of(rung.layout)
    if rung.is_ours:
        dataset = tfshim.masked_dataset(
            folder, BATCH_SIZE, cache=True, with_row_ids=True, implementation=masker
        )
        return dataset.with_options(_with_little_buffer())
    opened = records.open(folder)
    files, calls = opened.files(), AUTOTUNE if rung.maps_in_parallel else None
    if rung.reads_in_parallel:
        dataset = tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset, cycle_length=NUM_FILES, num_parallel_calls=AUTOTUNE
        )
    else:
        dataset = tf.data.TFRecordDataset(files)
    if rung.batches_first:
        dataset = dataset.batch(BATCH_SIZE, drop_remainder=True)
    if rung.caches == "records":
        dataset = dataset.cache()
    dataset = dataset.map(_parse(opened.manifest, rung), calls)
    if rung.caches == "rows":
        dataset = dataset.cache()
    steps_per_epoch = folders.num_rows // (BATCH_SIZE if rung.batches_first else 1)
    mask = _mask(opened.manifest, masker, steps_per_epoch)
    dataset = dataset.repeat().enumerate().map(mask, calls)
    if not rung.batches_first:
        dataset = dataset.batch(BATCH_SIZE, drop_remainder=True)
    if rung.prefetches:
        dataset = dataset.prefetch(AUTOTUNE)
    return dataset.with_options(_as_written())


def _as_written() -> tf.data.Options:
    """Return options under which TensorFlow adds none of the techniques by itself."""
    options = _with_little_buffer()
    options.experimental_optimization.map_parallelization = False
    options.experimental_optimization.inject_prefetch = False
    return options


def _with_little_buffer() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.ram_budget = BUFFERED_BYTES
    return options


def _parse(manifest: Manifest, rung: Rung) -> Callable[[Any], Columns]:
    """Return what parses a batch, or a row by the function that is made for single ones."""
    if rung.batches_first:
        return lambda serialized: tfshim.parse_records(serialized, manifest)
    features = {
        name: tf.io.FixedLenFeature([length], tf.dtypes.as_dtype(dtype))
        for name, (length, dtype) in manifest.features[workload.ROW_LENGTH].items()
    }

    def parse_row(serialized: Any) -> Columns:
        columns = tf.io.parse_single_example(serialized, features)
        small = {name: tf.cast(column, tf.int32) for name, column in columns.items()}
        return small | {"row_id": columns["row_id"]}

    return parse_row


def _mask(manifest: Manifest, masker: str, steps_per_epoch: int) -> Callable[..., Columns]:
    """Return what masks an element, a row or a batch, that is the one with this number of the dataset."""
    arguments = mask_arguments(manifest) | {"implementation": masker}

    def mask(number: Any, columns: Columns) -> Columns:
        names = ("input_ids", "attention_mask", "token_type_ids")
        kept = {name: columns[name] for name in names} | {"row_id": columns["row_id"][..., 0]}
        words = columns["word_ids"]
        if masker == WHILE_LOOP:
            return kept | {"mask": _masked_by_loop(tf.cast(words > 0, tf.float32))}
        masked = tfshim.mask_tokens(
            columns["input_ids"],
            words,
            word_ids=words - 1,
            row_ids=kept["row_id"],
            epoch=tf.zeros_like(kept["row_id"]) + number // steps_per_epoch,
            **arguments,
        )
        return kept | masked._asdict()

    return mask


def _masked_by_loop(maskable: Any) -> Any:
    """Return the mask of a row, or of each row of a batch."""

    def mask_row(row: Any) -> Any:
        return while_loop.mask_row(row, BUDGET, workload.MAX_N)

    return mask_row(maskable) if maskable.shape.rank == 1 else tf.map_fn(mask_row, maskable)


def mask_arguments(manifest: Manifest) -> dict[str, Any]:
    """Return what `mask_tokens` is told besides the rows, here and in TensorFlow."""
    return manifest.mask.arguments() | {
        "mask_id": workload.MASK_ID,
        "random_ids": maskcore.allowed_ids(workload.VOCAB_SIZE, workload.SPECIAL_IDS),
    }


def _kept(columns: Columns, row_ids: Any) -> Columns:
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: columns[name] for name in names} | {"row_id": row_ids}


def _masked(columns: Columns, row_ids: Any, epoch: Any, arguments: dict[str, Any]) -> Columns:
    words = columns["word_ids"]
    masked = tfshim.mask_tokens(
        columns["input_ids"], words, word_ids=words - 1, row_ids=row_ids, epoch=epoch, **arguments
    )
    return _kept(columns, row_ids) | masked._asdict()
