# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: framing, checksums, writing, and reading that checks every byte.

    +----------------+----------------------+---------------+--------------------+
    | length, uint64 | masked CRC of length | message bytes | masked CRC of them |
    +----------------+----------------------+---------------+--------------------+
        8 bytes              4 bytes            length            4 bytes            little-endian

    masked CRC = rotate_right(crc32c(bytes), 15) + 0xA282EAD8 mod 2**32
    (tensorflow/core/lib/io/record_writer.h, tensorflow/core/lib/hash/crc32c.h)

Knows nothing of what a message holds.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError, require
from maskcore.records.example import Ints, row_slices

__all__ = ["FRAME_BYTES", "ShardWriter", "WrittenFile", "frame", "read_messages"]

FRAME_BYTES = 16
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


class WrittenFile(NamedTuple):
    """What a file holds."""

    file: str
    records: int
    bytes: int
    sha256: str


@lru_cache(maxsize=1)
def _crc32c() -> Callable[[bytes], int]:
    function: Callable[[bytes], int] = require("google_crc32c").value
    return function


def masked_crc(content: bytes) -> int:
    """Return the checksum of the TFRecord format.

    >>> hex(masked_crc(bytes(32)))  # crc32c is 0x8a9136aa, RFC 3720, B.4
    '0xfd7fffa'
    """
    crc = _crc32c()(content)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@lru_cache(maxsize=4096)
def _header(length: int) -> bytes:
    return _HEADER.pack(length, masked_crc(length.to_bytes(8, "little")))


def frame(messages: NDArray[np.uint8], stops: Ints) -> list[bytes]:
    """Return each message as a record of a TFRecord file."""
    content = messages.tobytes()
    records = []
    for start, stop in row_slices(stops):
        message = content[start:stop]
        records.append(_header(stop - start) + message + _FOOTER.pack(masked_crc(message)))
    return records


class ShardWriter:
    """Writes one file and describes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("xb")
        self._sha256 = hashlib.sha256()
        self._records = 0
        self._bytes = 0

    def write(self, records: list[bytes]) -> None:
        """Append framed records."""
        content = b"".join(records)
        self._stream.write(content)
        self._sha256.update(content)
        self._records += len(records)
        self._bytes += len(content)

    def close(self) -> WrittenFile:
        """Flush to the disk and describe the file."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return WrittenFile(self._path.name, self._records, self._bytes, self._sha256.hexdigest())

    def abandon(self) -> None:
        """Close a file that will be deleted."""
        with suppress(
            OSError
        ):  # a full disk: what is still buffered cannot be written, and need not
            self._stream.close()


def read_messages(path: Path, batch_size: int) -> Iterator[tuple[NDArray[np.uint8], Ints, int]]:
    """Yield messages, at most `batch_size` at a time.

    Each item is their bytes, where each ends, and the number of the first.

    Raises
    ------
    RecordsError
        For a checksum that does not match or a file that ends within a record; the text names file,
        record and byte.

    """
    with path.open("rb") as stream:
        record = offset = 0
        messages: list[bytes] = []
        while header := stream.read(_HEADER.size):
            message = _read_message(
                stream.read, header, f"{path}: record {record} at byte {offset}"
            )
            messages.append(message)
            record += 1
            offset += FRAME_BYTES + len(message)
            if len(messages) == batch_size:
                yield _joined(messages, record)
                messages = []
        if messages:
            yield _joined(messages, record)


def _joined(messages: list[bytes], next_record: int) -> tuple[NDArray[np.uint8], Ints, int]:
    stops = np.cumsum([len(message) for message in messages], dtype=np.int64)
    return np.frombuffer(b"".join(messages), np.uint8), stops, next_record - len(messages)


def _read_message(read: Callable[[int], bytes], header: bytes, where: str) -> bytes:
    remedy = "the file is damaged; build the records again"
    if len(header) < _HEADER.size:
        raise RecordsError(f"{where} ends after {len(header)} bytes; {remedy}")
    length, length_crc = _HEADER.unpack(header)
    if length_crc != masked_crc(header[:8]):
        raise RecordsError(f"{where}: the checksum of its length does not match; {remedy}")
    content = read(length + _FOOTER.size)
    if len(content) < length + _FOOTER.size:
        raise RecordsError(f"{where} ends after {_HEADER.size + len(content)} bytes; {remedy}")
    message = content[:length]
    if _FOOTER.unpack_from(content, length)[0] != masked_crc(message):
        raise RecordsError(f"{where}: the checksum of its content does not match; {remedy}")
    return message
