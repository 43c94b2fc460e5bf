# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: framing, checksums, writing, and reading that checks every byte.

    +----------------+----------------------+---------------+--------------------+
    | length, uint64 | masked CRC of length | message bytes | masked CRC of them |
    +----------------+----------------------+---------------+--------------------+
        8 bytes              4 bytes            length            4 bytes            little-endian

    masked CRC = rotate_right(crc32c(bytes), 15) + 0xA282EAD8 mod 2**32
    (tensorflow/core/lib/io/record_writer.h, tensorflow/core/lib/hash/crc32c.h)

Owns files; `_codec` computes. Knows nothing of what a message holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError
from maskcore.records.encoding._codec import codec
from maskcore.records.encoding.example import Bytes, Columns, ExampleLayout, Ints, checked_stops

__all__ = [
    "FRAME_BYTES",
    "decode_records",
    "encode_records",
    "frame",
    "read_records",
]

FRAME_BYTES = 16
CHUNK_BYTES = 4 << 20  # read at once: thousands of records, and small beside a bucket


class Digest(Protocol):
    """What `hashlib` makes."""

    def update(self, content: bytes, /) -> None: ...


def masked_crc(content: bytes) -> int:
    """Return the checksum of the TFRecord format.

    >>> hex(masked_crc(bytes(32)))  # crc32c is 0x8a9136aa, RFC 3720, B.4
    '0xfd7fffa'
    """
    crc = codec().crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def encode_records(layout: ExampleLayout, columns: Columns) -> tuple[Bytes, Ints]:
    """Return rows as the records of a TFRecord file, and where each ends.

    Parameters
    ----------
    layout : ExampleLayout
    columns : feature name -> array, shape (rows, length of the feature)
        As for `ExampleLayout.encode`.

    Returns
    -------
    uint8 array, shape (bytes of all records,)
    int64 array, shape (rows,)

    Raises
    ------
    ValueError
        For columns that do not fit the layout, and for a negative value.

    Examples
    --------
    >>> records, stops = encode_records(ExampleLayout({"a": 1}), {"a": np.array([[1], [300]])})
    >>> stops.tolist()
    [30, 61]

    """
    return layout.encode_as(columns, is_framed=True)


def decode_records(layout: ExampleLayout, records: Bytes, stops: Ints) -> dict[str, NDArray[Any]]:
    """Return the columns of records that `encode_records` made and `read_records` checked.

    Raises
    ------
    RecordsError
        If a record has another layout; the text names its number in the batch.

    """
    return layout.decode_as(records, stops, is_framed=True)


def frame(messages: Bytes, stops: Ints) -> tuple[Bytes, Ints]:
    """Return messages as the records of a TFRecord file, and where each ends."""
    stops = checked_stops(messages, stops, at_least=0)
    return codec().frame(messages, stops), stops + FRAME_BYTES * np.arange(1, len(stops) + 1)


def read_records(
    path: Path, batch_size: int, digest: Digest | None = None
) -> Iterator[tuple[Bytes, Ints, int]]:
    """Yield the records of a file, `batch_size` at a time and fewer at its end.

    Each item is their bytes, where each ends, and the number of the first. Every checksum is verified.

    Parameters
    ----------
    path : Path
    batch_size : int >= 1
    digest : hash object, optional
        Updated with every byte of the file.

    Raises
    ------
    RecordsError
        For a checksum that does not match or a file that ends within a record; the text names file,
        record and byte.

    """
    place = _Place(path, 0, 0)
    content = b""  # from `place` on
    with path.open("rb", buffering=0) as stream:
        is_at_end = False
        while not is_at_end:
            # Twice as much as there is, where a batch is longer than a chunk.
            more = stream.read(max(CHUNK_BYTES, len(content)))
            is_at_end = not more
            if digest is not None:
                digest.update(more)
            content += more
            start = place.byte
            for records, stops in _batches(content, batch_size, is_at_end, place):
                yield records, stops, place.record
                place = place.behind(stops)
            content = content[place.byte - start :]
    if content:
        raise RecordsError(f"{place} ends after {len(content)} bytes; {_REMEDY}")


_REMEDY = "the file is damaged; build the records again"


class _Place(NamedTuple):
    """Where a record begins."""

    path: Path
    record: int
    byte: int

    def __str__(self) -> str:
        return f"{self.path}: record {self.record} at byte {self.byte}"

    def behind(self, stops: Ints) -> _Place:
        """Return the place behind records that begin here."""
        size = int(stops[-1]) if len(stops) else 0
        return _Place(self.path, self.record + len(stops), self.byte + size)


def _batches(
    content: bytes, batch_size: int, is_at_end: bool, place: _Place
) -> Iterator[tuple[Bytes, Ints]]:
    """Yield the full batches of a part of a file; at the file's end also what is left."""
    rest = np.frombuffer(content, np.uint8)
    while True:
        stops, damage = codec().check(rest, batch_size)
        behind = place.behind(stops)
        if damage:
            raise RecordsError(f"{behind}: the checksum of its {damage} does not match; {_REMEDY}")
        if len(stops) == 0 or (len(stops) < batch_size and not is_at_end):
            return
        size = behind.byte - place.byte
        yield rest[:size], stops
        rest, place = rest[size:], behind
