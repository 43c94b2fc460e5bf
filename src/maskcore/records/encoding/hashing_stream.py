# SPDX-License-Identifier: Apache-2.0
"""A stream that knows what went through it: its size and its digest.

Owns the description of a written file. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO, NamedTuple

__all__ = ["HashingStream", "Written"]


class Written(NamedTuple):
    """What went into a file."""

    records: int
    bytes: int
    sha256: str


class HashingStream:
    """A binary stream for writing front to back, which others may take for a file; it stays open."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._size = 0

    def write(self, content: Any) -> int:
        """Write bytes."""
        self._stream.write(content)
        self._sha256.update(content)
        self._size += len(content)
        return len(content)

    def written(self, records: int) -> Written:
        """Describe what was written so far, given how many records it is."""
        return Written(records, self._size, self._sha256.hexdigest())

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def flush(self) -> None:
        """Do nothing: who opened the stream flushes it."""

    def close(self) -> None:
        """Do nothing: who opened the stream closes it."""

    def readable(self) -> bool:
        """Return False."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False
