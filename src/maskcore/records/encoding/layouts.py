# SPDX-License-Identifier: Apache-2.0
"""Rows as records of TFRecord files: the layouts "int64" and "compact".

Owns which features a record has, their types, and the way there and back. In "compact" what follows
from other values is left out, and numbers are raw little-endian arrays of the smallest type that
holds them; docs/records.md has the table and the figures behind it. Knows nothing of files, whose
bytes tfrecord.py makes, or of where rows come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError
from maskcore.records.encoding.example import ExampleLayout, Feature
from maskcore.records.encoding.hashing_stream import HashingStream, Written
from maskcore.records.encoding.schema import (
    MASKED_LM_COUNTS,
    MASKED_LM_POSITIONS,
    MASKED_LM_WEIGHTS,
    NEXT_SENTENCE_LABELS,
    SEGMENT_IDS,
    Columns,
    RowFormat,
    column_lengths,
)
from maskcore.records.encoding.tfrecord import Digest, decode_records, encode_records, read_records
from maskcore.records.manifest import FeatureEntry

__all__ = [
    "NUM_TOKENS",
    "TOKEN_TYPE_START",
    "WORD_BASES",
    "WORD_BLOCK",
    "TFRecordEncoder",
    "smallest_type",
]

Ints = NDArray[np.int64]

NUM_TOKENS = "num_tokens"
TOKEN_TYPE_START = "token_type_start"
WORD_BASES = "word_bases"

# Places that share one of `word_bases`. A number in a block is at most 1 + WORD_BLOCK above its base,
# and so fits a byte.
WORD_BLOCK = 128
# Word numbers of rows up to here are below 256 without a base: two tokens are special.
LONGEST_ROW_WITHOUT_BASES = 256


def smallest_type(largest: int) -> str:
    """Return the smallest stored type that holds 0 .. `largest`.

    >>> smallest_type(255), smallest_type(65535), smallest_type(65536)
    ('uint8', 'uint16', 'int32')
    """
    return "uint8" if largest < 1 << 8 else "uint16" if largest < 1 << 16 else "int32"


def num_word_blocks(seq_length: int) -> int:
    """Return how many `word_bases` a compact row has; 0 where words need none."""
    return -(-seq_length // WORD_BLOCK) if seq_length > LONGEST_ROW_WITHOUT_BASES else 0


def _compact_entries(form: RowFormat) -> dict[str, FeatureEntry]:
    length = form.seq_length
    entries = {
        "input_ids": FeatureEntry(length, "uint16" if form.vocab_size <= 1 << 16 else "int32"),
        NUM_TOKENS: FeatureEntry(1, "int64"),
        "row_id": FeatureEntry(1, "int64"),
        "word_ids": FeatureEntry(length, "uint8"),
    }
    blocks = num_word_blocks(length)
    if blocks:
        entries[WORD_BASES] = FeatureEntry(blocks, smallest_type(length))
    if form.has_labels:
        entries[NEXT_SENTENCE_LABELS] = FeatureEntry(1, "int64")
        entries[TOKEN_TYPE_START] = FeatureEntry(1, "int64")
    if form.pack:
        entries[SEGMENT_IDS] = FeatureEntry(length, smallest_type(length))
    lengths = column_lengths(form)
    for name in {MASKED_LM_COUNTS, MASKED_LM_POSITIONS} & lengths.keys():
        entries[name] = FeatureEntry(lengths[name], smallest_type(length))
    return dict(sorted(entries.items()))


def _int64_entries(form: RowFormat) -> dict[str, FeatureEntry]:
    return {
        name: FeatureEntry(length, "float32" if name == MASKED_LM_WEIGHTS else "int64")
        for name, length in column_lengths(form).items()
    }


def _feature(entry: FeatureEntry) -> Feature:
    length, dtype = entry
    if dtype == "int64":
        return Feature("int64", length)
    if dtype == "float32":
        return Feature("float", length)
    return Feature("bytes", length * np.dtype(dtype).itemsize)


class TFRecordEncoder:
    """Rows as tf.train.Examples in TFRecord frames, and back."""

    def __init__(self, form: RowFormat) -> None:
        self.form = form
        self.features = _compact_entries(form) if form.layout == "compact" else _int64_entries(form)
        self._example = ExampleLayout({name: _feature(e) for name, e in self.features.items()})

    def encode(self, stored: Columns) -> tuple[NDArray[np.uint8], Ints]:
        """Return rows as records, framed, and where each ends.

        Parameters
        ----------
        stored : columns of `schema.stored_columns`, shape (rows, values)

        Raises
        ------
        ValueError
            For rows that the layout cannot hold; the text names feature and row.

        """
        if self.form.layout == "compact":
            stored = _compact(self.form, self.features, stored)
        return encode_records(self._example, stored)

    def decode(self, records: NDArray[np.uint8], stops: Ints) -> dict[str, NDArray[Any]]:
        """Return the columns of records: int64, but float32 `masked_lm_weights`.

        Raises
        ------
        RecordsError
            For records of another layout.

        """
        held = decode_records(self._example, records, stops)
        return _expanded(self.form, self.features, held) if self.form.layout == "compact" else held

    def begin(self, stream: BinaryIO) -> _TFRecordWriter:
        """Begin a file."""
        return _TFRecordWriter(self, stream)

    def read(
        self, path: Path, batch_size: int, digest: Digest | None = None
    ) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
        """Yield a file's rows, `batch_size` at a time and fewer at its end, and the first one's number.

        At the end `digest` was updated with every byte of the file.

        Raises
        ------
        RecordsError
            For damage, and for records of another layout; the text names file, record and byte.

        """
        offset = 0
        for records, stops, first in read_records(path, batch_size, digest):
            try:
                columns = self.decode(records, stops)
            except RecordsError as error:
                raise RecordsError(
                    f"{path}: in the batch that begins with record {first} at byte {offset}, {error}; "
                    "build the records again"
                ) from None
            yield columns, first
            offset += len(records)


class _TFRecordWriter:
    def __init__(self, encoder: TFRecordEncoder, stream: BinaryIO) -> None:
        self._encoder = encoder
        self._stream = HashingStream(stream)
        self._records = 0

    def write(self, stored: Columns) -> None:
        """Append rows."""
        records, stops = self._encoder.encode(stored)
        self._stream.write(records.data)
        self._records += len(stops)

    def finish(self) -> Written:
        """Describe the file."""
        return self._stream.written(self._records)


def _raw(values: NDArray[Any], dtype: str) -> NDArray[np.uint8]:
    """Return rows of numbers as rows of little-endian bytes."""
    stored = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<"))
    return stored.view(np.uint8).reshape(len(values), -1)


def _compact(
    form: RowFormat, entries: Mapping[str, FeatureEntry], stored: Columns
) -> dict[str, NDArray[Any]]:
    """Return the features of compact records; raise for what they would not give back."""
    length = form.seq_length
    attention_mask, token_type_ids = stored["attention_mask"], stored["token_type_ids"]
    place = np.arange(length, dtype=np.int32)
    num_tokens = attention_mask.sum(axis=1, dtype=np.int32)[:, None]
    is_used = place < num_tokens
    _refuse(attention_mask != is_used, attention_mask, "attention_mask", "1 up to the padding")
    type_starts = num_tokens - token_type_ids.sum(axis=1, dtype=np.int32)[:, None]
    is_second = is_used & (place >= type_starts)
    shape = "0 and then 1 up to the padding" if form.has_labels else "0 in rows that are no pairs"
    has_wrong_type = (token_type_ids != is_second) | (is_second & (not form.has_labels))
    _refuse(has_wrong_type, token_type_ids, "token_type_ids", shape)
    held = dict(stored)
    del held["attention_mask"], held["token_type_ids"]
    held[NUM_TOKENS] = num_tokens
    if form.has_labels:
        held[TOKEN_TYPE_START] = type_starts
    bases, held["word_ids"] = _word_bytes(stored["word_ids"])
    if bases is not None:
        held[WORD_BASES] = bases
    for name, (_, dtype) in entries.items():
        if dtype != "int64":
            limits = np.iinfo(dtype)
            column = held[name]
            _refuse((column < 0) | (column > limits.max), column, name, f"in [0, {limits.max}]")
            held[name] = _raw(column, dtype)
    return held


def _refuse(is_wrong: NDArray[np.bool_], column: NDArray[Any], name: str, constraint: str) -> None:
    if is_wrong.any():
        row, at = np.argwhere(is_wrong)[0].tolist()
        raise value_error(
            f"{name}[{row}, {at}]", constraint, column[row, at], "use layout 'int64' for such rows"
        )


def _word_bytes(word_ids: NDArray[Any]) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Return the base of each block of words, and what each word number is above it; 0 for none."""
    num_rows, length = word_ids.shape
    blocks = num_word_blocks(length)
    if not blocks:
        return None, word_ids
    # The last word before a block may go on in it, so the base is one less.
    last_words = np.maximum.accumulate(word_ids, axis=1)[:, WORD_BLOCK - 1 : -1 : WORD_BLOCK]
    bases = np.zeros((num_rows, blocks), word_ids.dtype)
    bases[:, 1:] = np.maximum(last_words - 1, 0)
    above = word_ids - np.repeat(bases, WORD_BLOCK, axis=1)[:, :length]
    is_word = word_ids != 0
    _refuse(is_word & (above <= 0), word_ids, "word_ids", "rising through the row")
    return bases, above * is_word


def _expanded(
    form: RowFormat, entries: Mapping[str, FeatureEntry], held: Columns
) -> dict[str, NDArray[Any]]:
    """Return the columns of compact records."""
    columns: dict[str, NDArray[Any]] = {}
    for name, (length, dtype) in entries.items():
        column = held[name]
        if dtype != "int64":
            numbers = column.view(np.dtype(dtype).newbyteorder("<")).reshape(-1, length)
            column = numbers.astype(np.int64)
        columns[name] = column
    place = np.arange(form.seq_length)
    is_used = place < columns.pop(NUM_TOKENS)
    columns["attention_mask"] = is_used.astype(np.int64)
    starts = columns.pop(TOKEN_TYPE_START, form.seq_length)
    columns["token_type_ids"] = (is_used & (place >= starts)).astype(np.int64)
    bases = columns.pop(WORD_BASES, None)
    if bases is not None:
        words = columns["word_ids"]
        words += np.repeat(bases, WORD_BLOCK, axis=1)[:, : form.seq_length] * (words != 0)
    return dict(sorted(columns.items()))
