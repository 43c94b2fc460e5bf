# SPDX-License-Identifier: Apache-2.0
"""What writes rows of a form and reads them back, whatever the layout and the file format.

Owns the choice between layouts.py and parquet.py, and the interface that both have. Knows nothing of
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from numpy.typing import NDArray

from maskcore.records.encoding.hashing_stream import Written
from maskcore.records.encoding.layouts import TFRecordEncoder
from maskcore.records.encoding.parquet import ParquetEncoder
from maskcore.records.encoding.schema import Columns, RowFormat
from maskcore.records.encoding.tfrecord import Digest
from maskcore.records.manifest import FeatureEntry

__all__ = ["Encoder", "RowWriter", "make_encoder"]


class RowWriter(Protocol):
    """Writes the rows of one file."""

    def write(self, stored: Columns) -> None:
        """Append rows, as `schema.stored_columns` gave them."""

    def finish(self) -> Written:
        """Write what is left, and describe the file; the stream stays open."""


class Encoder(Protocol):
    """The stored form of the rows of one bin."""

    form: RowFormat

    @property
    def features(self) -> dict[str, FeatureEntry]:
        """What the manifest states."""

    def begin(self, stream: BinaryIO) -> RowWriter:
        """Begin a file; nothing but the writer may write to the stream."""

    def read(
        self, path: Path, batch_size: int, digest: Digest | None = None
    ) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
        """Yield the rows of a file as columns, and the number of the first of them.

        Columns are int64, but float32 `masked_lm_weights`, of shape (rows, values); `batch_size`
        rows, and fewer at the end. When all are read, `digest` was updated with every byte of the
        file.

        Raises
        ------
        RecordsError
            For damage; the text names file, record and byte.

        """


def make_encoder(form: RowFormat) -> Encoder:
    """Return what writes rows of a form.

    Examples
    --------
    >>> from maskcore.records import MaskConfig
    >>> form = RowFormat(
    ...     schema="maskcore",
    ...     layout="compact",
    ...     file_format="tfrecord",
    ...     seq_length=512,
    ...     has_labels=False,
    ...     pack=False,
    ...     mask=MaskConfig(max_predictions=77),
    ...     mask_epochs=0,
    ...     vocab_size=30522,
    ...     special_tokens={},
    ... )
    >>> make_encoder(form).features["input_ids"]
    FeatureEntry(length=512, dtype='uint16')

    """
    return ParquetEncoder(form) if form.file_format == "parquet" else TFRecordEncoder(form)
