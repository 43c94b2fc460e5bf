# SPDX-License-Identifier: Apache-2.0
"""What a record costs to write and to read, with its file and the file's SHA-256.

Five features of int64 lists, rows of 128 and of 512 tokens, one core: our native codec, our numpy
codec, and TensorFlow's `tf.train.Example` with its `TFRecordWriter`. All must have written the same
bytes before one is timed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import libraries, workload
from bench.measure import measure
from maskcore.records.encoding import _codec
from maskcore.records.encoding.example import ExampleLayout
from maskcore.records.encoding.hashing_stream import HashingStream, Written
from maskcore.records.encoding.tfrecord import (
    decode_records,
    encode_records,
    read_records,
)

BATCH_SIZE = 4096
NUM_BATCHES = 8  # a file of some tens of megabytes
NUM_SLOW = 512  # rows for those that take tens of microseconds a row

Columns = Mapping[str, NDArray[Any]]


def layout_of(columns: Columns) -> ExampleLayout:
    return ExampleLayout({name: column.shape[1] for name, column in columns.items()})


@contextmanager
def codec(name: str) -> Iterator[None]:
    """Make records with a codec; prove that it is the one asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_codec.ENVIRONMENT_VARIABLE, name)
        _codec._chosen.cache_clear()
        assert _codec.codec_name() == name
        yield
    _codec._chosen.cache_clear()


def write(path: Path, columns: Columns, num_batches: int) -> Written:
    """Write a file of our own as far as the system's cache; the speed of the disk is not ours."""
    path.unlink(missing_ok=True)
    layout = layout_of(columns)
    num_records = 0
    with path.open("xb") as file:
        stream = HashingStream(file)
        for _ in range(num_batches):
            records, stops = encode_records(layout, columns)
            stream.write(records.data)
            num_records += len(stops)
        return stream.written(num_records)


def write_with_tensorflow(path: Path, columns: Columns) -> None:
    tf = libraries.load("tensorflow")
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in range(len(columns["row_id"])):
            features = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=column[row]))
                for name, column in columns.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module", params=[128, 512])
def columns(request: Any, folder: Path) -> Columns:
    """Return a batch, of which all writers have made the same bytes."""
    made = workload.record_columns(BATCH_SIZE, request.param)
    few = {name: column[:NUM_SLOW] for name, column in made.items()}
    contents = set()
    for name in ("native", "numpy"):
        with codec(name):
            digest = write(folder / name, few, 1).sha256
        contents.add((folder / name).read_bytes())
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if libraries.version("tensorflow"):
        write_with_tensorflow(folder / "tensorflow", few)
        contents.add((folder / "tensorflow").read_bytes())
    assert len(contents) == 1, "the writers make different bytes"
    return made


def measure_records(benchmark: Any, name: str, columns: Columns, function: Any, num: int) -> None:
    row_length = columns["input_ids"].shape[1]
    measure(benchmark, f"{name}-{row_length}", function, rows_per_call=num)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        benchmark.extra_info["records_per_second"] = round(num / benchmark.stats.stats.median)


def test_native(benchmark: Any, columns: Columns, folder: Path) -> None:
    num = BATCH_SIZE * NUM_BATCHES
    path = folder / "written"
    with codec("native"):
        measure_records(
            benchmark,
            "records-written",
            columns,
            lambda: write(path, columns, NUM_BATCHES),
            num,
        )


def test_native_without_file(benchmark: Any, columns: Columns) -> None:
    """Encoded, framed and summed up in memory."""
    layout = layout_of(columns)
    with codec("native"):
        measure_records(
            benchmark,
            "records-encoded",
            columns,
            lambda: encode_records(layout, columns),
            BATCH_SIZE,
        )


def test_sha256(benchmark: Any, columns: Columns) -> None:
    """The share of the file's digest, which depends on the processor's SHA extensions."""
    content = encode_records(layout_of(columns), columns)[0]
    measure_records(
        benchmark, "records-sha256", columns, lambda: hashlib.sha256(content).digest(), BATCH_SIZE
    )
    if benchmark.stats is not None:
        speed = len(content) / benchmark.stats.stats.median
        benchmark.extra_info["megabytes_per_second"] = round(speed / 1e6)


def test_read(benchmark: Any, columns: Columns, folder: Path) -> None:
    """All checksums verified, the file's digest, and every value decoded."""
    layout = layout_of(columns)
    path = folder / "read"

    def read() -> int:
        digest = hashlib.sha256()
        num_rows = 0
        for records, stops, _ in read_records(path, BATCH_SIZE, digest):
            num_rows += len(decode_records(layout, records, stops)["row_id"])
        assert digest.hexdigest() == written
        return num_rows

    with codec("native"):
        written = write(path, columns, NUM_BATCHES).sha256
        (first, stops, _), *_rest = read_records(path, BATCH_SIZE)
        for name, column in decode_records(layout, first, stops).items():
            np.testing.assert_array_equal(column, columns[name])
        assert read() == BATCH_SIZE * NUM_BATCHES
        measure_records(benchmark, "records-read", columns, read, BATCH_SIZE * NUM_BATCHES)


def test_numpy(benchmark: Any, columns: Columns, folder: Path) -> None:
    few = {name: column[:NUM_SLOW] for name, column in columns.items()}
    path = folder / "written"
    with codec("numpy"):
        measure_records(
            benchmark,
            "records-written-numpy",
            columns,
            lambda: write(path, few, 1),
            NUM_SLOW,
        )


def test_tensorflow(benchmark: Any, columns: Columns, folder: Path) -> None:
    """Without a digest."""
    libraries.load("tensorflow")
    few = {name: column[:NUM_SLOW] for name, column in columns.items()}
    path = folder / "written"
    measure_records(
        benchmark,
        "records-written-tensorflow",
        columns,
        lambda: write_with_tensorflow(path, few),
        NUM_SLOW,
    )
