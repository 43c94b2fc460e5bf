# SPDX-License-Identifier: Apache-2.0
"""How fast TensorFlow turns records into tensors on one thread: int64 against compact.

In a `tf.data` pipeline that reads a file of 64 MB and more, by `tfshim.parse_records`, batched before
parsing; the same without reading; and each record parsed by itself and batched afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import libraries, workload
from bench.measure import measure
from bench.tf_data import on_one_thread, pass_over
from maskcore.config import MaskConfig
from maskcore.records.encoding.layouts import TFRecordEncoder
from maskcore.records.encoding.schema import RowFormat

BATCH_SIZE = 256
NUM_ROWS = 4096
NUM_FILES = 12  # the same file again: starting a pipeline costs as much as 20 batches
NUM_SINGLE = 2048  # rows for what takes tens of microseconds a row


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module", params=["int64", "compact"])
def layout(request: Any) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=[128, 512])
def encoder(request: Any, layout: str) -> TFRecordEncoder:
    return TFRecordEncoder(
        RowFormat(
            schema="maskcore",
            layout=layout,
            file_format="tfrecord",
            seq_length=request.param,
            has_labels=False,
            pack=False,
            mask=MaskConfig(max_predictions=20),
            mask_epochs=0,
            vocab_size=workload.VOCAB_SIZE,
            special_tokens={},
        )
    )


@pytest.fixture
def files(encoder: TFRecordEncoder, folder: Path) -> list[str]:
    """Return a file of which parsing was found to give back every value."""
    import tfshim

    tf = libraries.load("tensorflow")
    columns = workload.record_columns(NUM_ROWS, encoder.form.seq_length)
    path = folder / f"{encoder.form.layout}-{encoder.form.seq_length}"
    with path.open("wb") as stream:
        writer = encoder.begin(stream)
        writer.write(columns)
        writer.finish()
    (batch,) = tf.data.TFRecordDataset(str(path)).batch(NUM_ROWS)
    for name, tensor in tfshim.parse_records(batch, encoder.features).items():
        np.testing.assert_array_equal(tensor.numpy(), columns[name])
    return [str(path)] * NUM_FILES


def measure_parse(
    benchmark: Any, name: str, encoder: TFRecordEncoder, function: Callable[[], None], num: int
) -> None:
    form = encoder.form
    measure(benchmark, f"{name}-{form.layout}-{form.seq_length}", function, rows_per_call=num)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        benchmark.extra_info["records_per_second"] = round(num / benchmark.stats.stats.median)


def test_read_and_parsed(benchmark: Any, encoder: TFRecordEncoder, files: list[str]) -> None:
    import tfshim

    tf = libraries.load("tensorflow")
    batches = tf.data.TFRecordDataset(files).batch(BATCH_SIZE, drop_remainder=True)
    parsed = batches.map(lambda batch: tfshim.parse_records(batch, encoder.features))
    iterate = pass_over(on_one_thread(parsed))
    measure_parse(benchmark, "parse", encoder, iterate, NUM_ROWS * NUM_FILES)


def test_parsed_alone(benchmark: Any, encoder: TFRecordEncoder, files: list[str]) -> None:
    """Batches that lie in memory."""
    import tfshim

    tf = libraries.load("tensorflow")
    batches = list(tf.data.TFRecordDataset(files[0]).batch(BATCH_SIZE))
    parse = tf.function(lambda batch: tfshim.parse_records(batch, encoder.features))

    def parse_all() -> None:
        for batch in batches:
            parse(batch)

    measure_parse(benchmark, "parse-alone", encoder, parse_all, NUM_ROWS)


def test_each_record_by_itself(benchmark: Any, encoder: TFRecordEncoder, files: list[str]) -> None:
    """What batching before parsing saves."""
    import tfshim

    tf = libraries.load("tensorflow")
    records = tf.data.TFRecordDataset(files[0]).take(NUM_SINGLE)
    parsed = records.map(lambda one: tfshim.parse_records(one[tf.newaxis], encoder.features))
    iterate = pass_over(on_one_thread(parsed.unbatch().batch(BATCH_SIZE)))
    measure_parse(benchmark, "parse-single", encoder, iterate, NUM_SINGLE)
