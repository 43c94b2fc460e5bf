# SPDX-License-Identifier: Apache-2.0
"""What masks cost in the whole input pipeline: `tfshim.masked_dataset` on rows of 128, batches of 256.

Beside the same pipeline without masks, in turn, on all cores as users run it. And on one core beside
the same without masks, with records parsed one at a time, and with masks by a `tf.while_loop`
(`bench/peers/while_loop.py`). All read the same files, shuffled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskcore
from bench import checks, libraries, record_folder, workload
from bench.measure import measure, measure_in_turn
from bench.tf_data import mapped_records, next_batches, on_one_thread, one_core, without_stock
from maskcore import records

BATCH_SIZE = 256
NUM_FILES = 8
ROWS_PER_FILE = 4096
BATCHES_PER_CALL = 64
BUDGET = 19  # 0.15 of 128 tokens


@pytest.fixture(scope="module", params=["int64", "compact"])
def layout(request: Any) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(layout: str) -> Iterator[Path]:
    libraries.load("tensorflow")
    with tempfile.TemporaryDirectory() as name:
        yield record_folder.write(Path(name), layout, NUM_FILES, ROWS_PER_FILE)


def measure_pipeline(
    benchmark: Any, name: str, layout: str, dataset: Any, num_batches: int = BATCHES_PER_CALL
) -> None:
    with one_core():
        take = next_batches(on_one_thread(dataset), num_batches)
        rows = num_batches * BATCH_SIZE
        measure(benchmark, f"pipeline-{name}-{layout}", take, rows_per_call=rows, seconds=3.0)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        benchmark.extra_info["rows_per_second"] = round(rows / benchmark.stats.stats.median)


def masked_dataset(folder: Path, **options: Any) -> Any:
    import tfshim

    return tfshim.masked_dataset(folder, BATCH_SIZE, **options)


def check_masks(folder: Path, **options: Any) -> None:
    """See that two batches hold the positions that numpy derives."""
    opened = records.open(folder)
    positions: dict[int, Any] = {}
    for columns in opened.batches(ROWS_PER_FILE):
        found = opened.masks(columns, 0).positions
        positions |= dict(zip(columns["row_id"][:, 0].tolist(), found, strict=True))
    dataset = masked_dataset(folder, output="positions", with_row_ids=True, **options)
    for batch in dataset.take(2).as_numpy_iterator():
        expected = [positions[row_id] for row_id in batch["row_id"].tolist()]
        np.testing.assert_array_equal(batch["masked_lm_positions"], expected)


def test_masked(benchmark: Any, folder: Path, layout: str) -> None:
    check_masks(folder)
    measure_pipeline(benchmark, "masked", layout, masked_dataset(folder))


def test_masked_and_not_on_all_cores(benchmark: Any, folder: Path, layout: str) -> None:
    num_batches = 2 * BATCHES_PER_CALL
    masked, unmasked = (
        next_batches(without_stock(dataset), num_batches)
        for dataset in (masked_dataset(folder), _unmasked(folder))
    )
    measure_in_turn(
        benchmark,
        f"pipeline-all-cores-masked-{layout}",
        masked,
        f"pipeline-all-cores-unmasked-{layout}",
        unmasked,
        rows_per_call=num_batches * BATCH_SIZE,
        seconds=6.0,
    )


def test_positions(benchmark: Any, folder: Path, layout: str) -> None:
    measure_pipeline(benchmark, "positions", layout, masked_dataset(folder, output="positions"))


def test_by_numpy_function(benchmark: Any, folder: Path, layout: str) -> None:
    check_masks(folder, implementation="numpy_function")
    dataset = masked_dataset(folder, implementation="numpy_function")
    measure_pipeline(benchmark, "numpy-function", layout, dataset)


def _unmasked(folder: Path) -> Any:
    """Return the pipeline that hands on all columns as they are parsed."""
    import tfshim

    manifest = records.open(folder).manifest

    def parse(serialized: Any, epochs: Any) -> Any:
        return tfshim.parse_records(serialized, manifest)

    return mapped_records(folder, BATCH_SIZE, parse)


def _visible(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


def test_without_masks(benchmark: Any, folder: Path, layout: str) -> None:
    measure_pipeline(benchmark, "unmasked", layout, _unmasked(folder))


def test_masked_by_a_while_loop(benchmark: Any, folder: Path, layout: str) -> None:
    """Masks only: what the loop would do to the ids is left out."""
    import tfshim
    from bench.peers import while_loop

    tf = libraries.load("tensorflow")
    manifest = records.open(folder).manifest

    def parse(serialized: Any, epochs: Any) -> Any:
        columns = tfshim.parse_records(serialized, manifest)
        maskable = tf.cast(columns["word_ids"] > 0, tf.float32)
        mask = tf.map_fn(lambda row: while_loop.mask_row(row, BUDGET, workload.MAX_N), maskable)
        return _visible(columns) | {"mask": mask, "maskable": maskable}

    dataset = mapped_records(folder, BATCH_SIZE, parse)
    batch = next(iter(dataset))
    maskable = batch["maskable"].numpy()
    checks.exact_mask(batch["mask"].numpy(), maskable, np.minimum(BUDGET, maskable.sum(axis=1)))
    measure_pipeline(benchmark, "while-loop", layout, dataset, num_batches=1)


def test_parsed_one_record_at_a_time(benchmark: Any, folder: Path, layout: str) -> None:
    """The usual way: read, shuffle, parse each record, batch; the masks are those of a batch."""
    import tfshim

    tf = libraries.load("tensorflow")
    opened = records.open(folder)
    manifest = opened.manifest
    random_ids = maskcore.allowed_ids(workload.VOCAB_SIZE, workload.SPECIAL_IDS)
    weights = tuple(Fraction(1, n) for n in range(1, workload.MAX_N + 1))
    assert manifest.mask.ngram_weights == weights

    def parse(record: Any) -> Any:
        columns = tfshim.parse_records(record[None], manifest)
        return {name: column[0] for name, column in columns.items()}

    def mask(columns: dict[str, Any]) -> Any:
        words = columns["word_ids"]
        masked = tfshim.mask_tokens(
            columns["input_ids"],
            words > 0,
            word_ids=words - 1,
            row_ids=columns["row_id"][:, 0],
            mask_id=workload.MASK_ID,
            random_ids=random_ids,
            **manifest.mask.arguments(),
        )
        return _visible(columns) | masked._asdict()

    auto = tf.data.AUTOTUNE
    dataset = (
        tf.data.Dataset.from_tensor_slices(opened.files())
        .interleave(tf.data.TFRecordDataset, cycle_length=NUM_FILES, num_parallel_calls=auto)
        .repeat()
        .shuffle(8192)
        .map(parse, num_parallel_calls=auto)
        .batch(BATCH_SIZE, drop_remainder=True)
        .map(mask, num_parallel_calls=auto)
        .prefetch(auto)
    )
    assert next(iter(dataset))["labels"].shape == (BATCH_SIZE, workload.ROW_LENGTH)
    measure_pipeline(benchmark, "per-record", layout, dataset, num_batches=8)
