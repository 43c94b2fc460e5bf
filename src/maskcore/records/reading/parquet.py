# SPDX-License-Identifier: Apache-2.0
"""Parquet: one row is one document, read a few rows at a time.

Owns how a column is found and how many rows are held. What a value becomes is in `values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from maskcore.records._errors import RecordsError, require
from maskcore.records.reading.emit import DocumentEmitter
from maskcore.records.reading.model import Document, ReadLimits
from maskcore.records.reading.storage import open_stored
from maskcore.records.reading.values import (
    MISSING,
    Row,
    bad_id,
    text_value,
    user_id,
    value_documents,
)

__all__ = ["read_parquet"]

# Text held at once; a batch has as many rows as have this much on average in their row group.
_BATCH_BYTES = 4 << 20
# A value that a dictionary repeats counts once in that average; writers end dictionaries at 1 MiB.
_MAX_BATCH_ROWS = 256


def read_parquet(emitter: DocumentEmitter, limits: ReadLimits) -> Iterator[Document]:
    """Yield the document of each row.

    Raises
    ------
    RecordsError
        For a file that is no Parquet or damaged, and a column that is missing, holds null or no
        text.

    """
    file, counts = emitter.file, emitter.counts
    pyarrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    with open_stored(file) as stream:
        try:
            # A buffered stream is read in pieces; without it a column of a row group comes whole.
            table = parquet.ParquetFile(
                stream,
                buffer_size=limits.block_bytes,
                pre_buffer=False,
                page_checksum_verification=True,
            )
            num_rows = table.metadata.num_rows
            columns = _Columns(emitter, table.schema_arrow)
            rows_read = bytes_read = 0
            for group in range(table.num_row_groups):
                batches = table.iter_batches(
                    batch_size=_batch_rows(table.metadata.row_group(group), columns.text),
                    row_groups=[group],
                    columns=columns.names,
                    use_threads=False,
                )
                for batch in batches:
                    yield from _batch_documents(emitter, limits, columns, batch, rows_read)
                    rows_read += batch.num_rows
                    counts.bytes_read -= bytes_read
                    bytes_read = file.size_bytes * rows_read // num_rows
                    counts.bytes_read += bytes_read
            counts.bytes_read += file.size_bytes - bytes_read
        except (pyarrow.ArrowException, OSError) as error:
            raise RecordsError(
                f"{file.path}: cannot be read as Parquet ({' '.join(str(error).split())}); check the "
                "file, or pass --text-format plain or jsonl for text"
            ) from error


class _Columns:
    """The columns of text and ids: found, and of types that can be read."""

    def __init__(self, emitter: DocumentEmitter, schema: Any) -> None:
        file, options = emitter.file, emitter.options
        self.text = options.text_field
        self.id = options.id_field
        self.names = [self.text] if self.id is None else [self.text, self.id]
        arrow = require("pyarrow")
        kind = _type_of(schema, self.text, arrow)
        if kind is MISSING:
            names = ", ".join(map(repr, schema.names[:8])) + ", ..." * (len(schema.names) > 8)
            text_value(MISSING, self.text, file.path, f"are the columns {names}")
        if not _is_text(kind, arrow):
            raise RecordsError(
                f"{file.path}: text column {self.text!r} has type {kind}, not string; name another "
                "column with text_field (--text-field)"
            )
        if self.id is not None:
            kind = _type_of(schema, self.id, arrow)
            if kind is MISSING:
                raise bad_id("is not there", self.id, file.path)
            if not (_is_text(kind, arrow) or arrow.types.is_integer(kind)):
                raise bad_id(f"has type {kind}", self.id, file.path)

    def values(self, batch: Any, field: str) -> list[Any]:
        """Return the values of a column: bytes for text, None for null."""
        arrow, compute = require("pyarrow"), require("pyarrow.compute")
        index = batch.schema.get_field_index(field)
        if index >= 0:
            column = batch.column(index)
        else:
            top, *inner = field.split(".")
            column = compute.struct_field(batch.column(batch.schema.get_field_index(top)), inner)
        if arrow.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if arrow.types.is_string(column.type):
            column = column.cast(arrow.binary())  # strings may be invalid UTF-8: we decode
        elif arrow.types.is_large_string(column.type) or arrow.types.is_string_view(column.type):
            column = column.cast(arrow.large_binary())
        return list(column.to_pylist())


def _type_of(schema: Any, field: str, arrow: Any) -> Any:
    """Return the type of a column, or of a field of a column of structs; MISSING if there is none."""
    if schema.get_field_index(field) >= 0:
        return schema.field(field).type
    kind = arrow.struct(list(schema))
    for name in field.split("."):
        if not arrow.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return MISSING
        kind = kind.field(name).type
    return kind


def _is_text(kind: Any, arrow: Any) -> bool:
    types = arrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    # Some writers leave out that their bytes are UTF-8.
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary,
        )
    )  # fmt: skip


def _batch_rows(row_group: Any, column: str) -> int:
    sizes = [
        row_group.column(i).total_uncompressed_size
        for i in range(row_group.num_columns)
        if row_group.column(i).path_in_schema == column
    ]
    row_bytes: int = sum(sizes) // max(row_group.num_rows, 1)
    return min(max(_BATCH_BYTES // max(row_bytes, 1), 1), _MAX_BATCH_ROWS)


def _batch_documents(
    emitter: DocumentEmitter, limits: ReadLimits, columns: _Columns, batch: Any, first_row: int
) -> Iterator[Document]:
    texts = columns.values(batch, columns.text)
    ids = [None] * len(texts) if columns.id is None else columns.values(batch, columns.id)
    for row, (raw, given_id) in enumerate(zip(texts, ids, strict=True), first_row):
        place = f"{emitter.file.path}: row {row}"
        name = None
        if columns.id is not None:
            value = (
                given_id.decode("utf-8", "surrogateescape")
                if isinstance(given_id, bytes)
                else given_id
            )
            name = user_id(value, columns.id, place)
        if raw is None:
            text_value(None, columns.text, place, "")
        if len(raw) > limits.value_bytes:
            raise RecordsError(
                f"{place}: its {len(raw)} bytes are more than the {limits.value_bytes} of one value; "
                "split the document, or pass it as plain text"
            )
        text = emitter.text(raw, partial(_place, columns.text, row))
        if text is not None:
            yield from value_documents(emitter, limits, Row(row, True, name), text)


def _place(column: str, row: int, position: int) -> str:
    return f"byte {position} of column {column!r} (row {row})"
