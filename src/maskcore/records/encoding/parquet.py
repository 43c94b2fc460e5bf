# SPDX-License-Identifier: Apache-2.0
"""Rows as Parquet files, for pandas, datasets, torch and Spark, and back.

Owns the columns' types, the writer's settings and the size of row groups. The bytes depend on the
rows and pyarrow's version alone: not on how many rows each call brings, nor on the time. Knows nothing
of folders; encoders.py has the interface and reader.py the way to a folder's files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import maskcore
from maskcore.records._errors import RecordsError, require
from maskcore.records.encoding.hashing_stream import HashingStream, Written
from maskcore.records.encoding.schema import (
    MASKED_LM_WEIGHTS,
    NEXT_SENTENCE_LABELS,
    Columns,
    RowFormat,
    column_lengths,
)
from maskcore.records.encoding.tfrecord import Digest
from maskcore.records.manifest import FeatureEntry

__all__ = ["METADATA_KEY", "ParquetEncoder"]

METADATA_KEY = b"maskcore"
# Values in a row group, 16 MB of int32 before compression: what a reader holds at a time, and large
# enough to compress and skip well.
GROUP_VALUES = 1 << 22
HASHED_BYTES = 1 << 20
# One value a row, and so plain numbers; all other columns are lists.
_SCALARS = ("row_id", NEXT_SENTENCE_LABELS)
_REMEDY = "the file is damaged; build the records again"


def _entries(form: RowFormat) -> dict[str, FeatureEntry]:
    types = {"row_id": "int64", MASKED_LM_WEIGHTS: "float32"}
    return {
        name: FeatureEntry(length, types.get(name, "int32"))
        for name, length in column_lengths(form).items()
    }


class ParquetEncoder:
    """Rows as columns of a Parquet file, and back.

    `row_id` and `next_sentence_labels` are columns of numbers; every other column is a list of fixed
    size, which pyarrow, pandas, datasets and polars take as one array without a copy, and which
    readers without such a type read as lists.
    """

    def __init__(self, form: RowFormat) -> None:
        self.form = form
        self.features = _entries(form)
        self.group_rows = max(1, GROUP_VALUES // sum(n for n, _ in self.features.values()))
        """Rows in a row group; the last one of a file may have fewer."""

    def begin(self, stream: BinaryIO) -> _ParquetWriter:
        """Begin a file."""
        return _ParquetWriter(self, stream)

    def _type(self, name: str) -> Any:
        arrow = require("pyarrow")
        length, dtype = self.features[name]
        item = getattr(arrow, dtype)()
        if name in _SCALARS:
            return item
        return arrow.list_(arrow.field("item", item, nullable=False), length)

    def arrow_schema(self) -> Any:
        """Return the file's schema; its metadata says how the rows were made."""
        arrow = require("pyarrow")
        fields = [arrow.field(name, self._type(name), nullable=False) for name in self.features]
        facts = json.dumps(_facts(self.form), sort_keys=True)
        return arrow.schema(fields, metadata={METADATA_KEY: facts.encode()})

    def to_arrow(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return columns as an Arrow table."""
        arrow = require("pyarrow")
        arrays = []
        for name, (_, dtype) in self.features.items():
            values = arrow.array(np.ascontiguousarray(columns[name], dtype).reshape(-1))
            if name not in _SCALARS:
                values = arrow.FixedSizeListArray.from_arrays(values, type=self._type(name))
            arrays.append(values)
        return arrow.Table.from_arrays(arrays, schema=self.arrow_schema())

    def from_arrow(self, table: Any) -> dict[str, NDArray[Any]]:
        """Return a table's columns: int64, but float32 `masked_lm_weights`; shape (rows, values).

        Raises
        ------
        RecordsError
            If it has other columns.

        """
        if not table.schema.equals(self.arrow_schema()):
            described = ", ".join(f"{field.name} {field.type}" for field in table.schema)
            raise RecordsError(f"does not hold the columns of the manifest, but {described}")
        columns = {}
        for name, (length, dtype) in self.features.items():
            values = table[name].combine_chunks()
            if name not in _SCALARS:
                values = values.flatten()
            numbers = values.to_numpy().reshape(-1, length)
            columns[name] = numbers if dtype == "float32" else numbers.astype(np.int64)
        return columns

    def read(
        self, path: Path, batch_size: int, digest: Digest | None = None
    ) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
        """Yield a file's rows, `batch_size` at a time and fewer at its end, and the first one's number.

        At the end `digest` was updated with every byte of the file.

        Raises
        ------
        RecordsError
            For a checksum that does not match, and whatever else pyarrow cannot read; the text names
            file, records and byte.

        """
        arrow = require("pyarrow")
        if digest is not None:
            with path.open("rb") as stream:
                while content := stream.read(HASHED_BYTES):
                    digest.update(content)
        first = num_read = offset = 0
        rest: list[Any] = []
        try:
            with require("pyarrow.parquet").ParquetFile(
                path, page_checksum_verification=True
            ) as file:
                for group in range(file.num_row_groups):
                    about = file.metadata.row_group(group)
                    offset = about.column(0).data_page_offset
                    rest.append(file.read_row_group(group, use_threads=False))
                    num_read += about.num_rows
                    table = arrow.concat_tables(rest)
                    stop = table.num_rows
                    if group < file.num_row_groups - 1:
                        stop -= stop % batch_size
                    for start in range(0, stop, batch_size):
                        part = table.slice(start, min(batch_size, stop - start))
                        yield self.from_arrow(part), first
                        first += part.num_rows
                    rest = [table.slice(stop)]
        except RecordsError as error:
            raise RecordsError(f"{path}: {error}; build the records again") from None
        except (OSError, arrow.ArrowException) as error:
            if isinstance(error, FileNotFoundError):
                raise
            reason = " ".join(str(error).split())[:200]
            raise RecordsError(
                f"{path}: records from {num_read} on, at byte {offset}, cannot be read ({reason}); "
                f"{_REMEDY}"
            ) from None


def _facts(form: RowFormat) -> dict[str, Any]:
    return {
        "algorithm_version": maskcore.ALGORITHM_VERSION,
        "mask": form.mask.to_json(),
        "mask_epochs": form.mask_epochs,
        "schema": form.schema,
        "seq_length": form.seq_length,
        "special_tokens": {
            role: token._asdict() for role, token in sorted(form.special_tokens.items())
        },
        "vocab_size": form.vocab_size,
    }


class _ParquetWriter:
    def __init__(self, encoder: ParquetEncoder, stream: BinaryIO) -> None:
        self._encoder = encoder
        self._stream = HashingStream(stream)
        self._records = 0
        self._waiting: list[Any] = []
        self._num_waiting = 0
        # All that later versions of pyarrow might choose otherwise is said. Dictionaries are off:
        # zstd finds the same repetitions in a third less time, for 5 % more bytes.
        self._writer = require("pyarrow.parquet").ParquetWriter(
            self._stream,
            encoder.arrow_schema(),
            version="2.6",
            data_page_version="1.0",
            data_page_size=1 << 20,
            write_batch_size=1024,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=False,
            write_page_index=False,
            write_page_checksum=True,
            store_schema=True,
        )

    def write(self, stored: Columns) -> None:
        """Append rows; row groups do not depend on how many come at a time."""
        table = self._encoder.to_arrow(stored)
        self._records += table.num_rows
        self._waiting.append(table)
        self._num_waiting += table.num_rows
        while self._num_waiting >= self._encoder.group_rows:
            self._write_group(self._encoder.group_rows)

    def _write_group(self, num_rows: int) -> None:
        table = require("pyarrow").concat_tables(self._waiting)
        group = table.slice(0, num_rows).combine_chunks()
        self._writer.write_table(group, row_group_size=num_rows)
        self._waiting = [table.slice(num_rows)]
        self._num_waiting -= num_rows

    def finish(self) -> Written:
        """Write the rows that wait and the footer."""
        if self._num_waiting:
            self._write_group(self._num_waiting)
        self._writer.close()
        return self._stream.written(self._records)
