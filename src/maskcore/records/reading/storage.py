# SPDX-License-Identifier: Apache-2.0
"""The bytes of a file: local or behind fsspec, as stored or decompressed, unchanged while read.

Owns how a file is opened, how damage in a compressed one and a change of any is found, and what
those errors say. Knows nothing of text.
"""

from __future__ import annotations

import bz2
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, Protocol

from maskcore.records._errors import RecordsError, require
from maskcore.records.reading.model import InputFile, ReadCounts

__all__ = [
    "is_remote",
    "open_stored",
    "read_blocks",
    "remote_filesystem",
    "stored_signature",
    "unreadable",
]

# `scheme://` of RFC 3986, section 3.1, and fsspec's chains such as `zip://a.txt::s3://bucket/b.zip`.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)")

_COMMAND = {"gzip": "gzip", "bz2": "bzip2", "zstd": "zstd"}


def is_remote(path: str) -> bool:
    """Return whether `path` is for fsspec."""
    return _URL.match(path) is not None


def remote_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Raises
    ------
    RecordsError
        If fsspec does not know the scheme, or its library is missing.
    ImportError
        If fsspec itself is missing.

    """
    fsspec = require("fsspec")
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # each file system raises errors of its own library
        raise unreadable(url, error) from error
    return filesystem, path


def stored_signature(path: str) -> str:
    """Return what changes when the file does, without reading it: size and time of change.

    Raises
    ------
    RecordsError
        If the file is not there or may not be read.

    """
    try:
        if is_remote(path):
            return _remote_signature(*remote_filesystem(path))
        return _local_signature(os.stat(path))
    except RecordsError:
        raise
    except Exception as error:  # as above
        raise unreadable(path, error) from error


def _local_signature(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _remote_signature(filesystem: Any, path: str) -> str:
    size = filesystem.info(path)["size"]
    try:
        modified = filesystem.modified(path)
    except (NotImplementedError, KeyError):  # HTTP, for one, does not tell
        return f"{size}"
    return f"{size}-{int(modified.timestamp())}"  # object stores disagree about fractions


@contextmanager
def open_stored(file: InputFile) -> Iterator[BinaryIO]:
    """Open the file as it is stored; check before and after that it is the one that was found.

    Raises
    ------
    RecordsError
        If it cannot be opened or read, or has changed.

    """
    try:
        stream, signature = _open_remote(file.path) if is_remote(file.path) else _open(file.path)
        with closing(stream):
            before = signature()
            _check_same(file, file.signature or f"{file.size_bytes}", before)
            yield stream
            _check_same(file, before, signature())
    except OSError as error:
        raise unreadable(file.path, error) from error


def _open(path: str) -> tuple[BinaryIO, Callable[[], str]]:
    stream = open(path, "rb")  # noqa: SIM115 - `open_stored` closes it
    return stream, lambda: _local_signature(os.fstat(stream.fileno()))


def _open_remote(url: str) -> tuple[BinaryIO, Callable[[], str]]:
    filesystem, path = remote_filesystem(url)
    try:
        return filesystem.open(path, "rb"), lambda: _remote_signature(filesystem, path)
    except Exception as error:  # each file system raises errors of its own library
        raise unreadable(url, error) from error


def _check_same(file: InputFile, expected: str, found: str) -> None:
    expected_size, _, expected_time = expected.partition("-")
    size, _, time = found.partition("-")
    if size != expected_size or (expected_time and time and time != expected_time):
        raise RecordsError(
            f"{file.path}: changed while it was read ({_words(expected)} before, {_words(found)} "
            "now); build again when nothing writes to it"
        )


def _words(signature: str) -> str:
    size, _, modified = signature.partition("-")
    return f"{size} bytes, modified at {modified}" if modified else f"{size} bytes"


def unreadable(path: str, error: Exception) -> RecordsError:
    """Return the error about a file or folder that cannot be read."""
    if isinstance(error, FileNotFoundError):
        reason = "no such file or folder"
    elif isinstance(error, PermissionError):
        reason = "permission denied"
    else:
        reason = " ".join(f"{error}".split()) or type(error).__name__
    return RecordsError(
        f"{path}: cannot be read ({reason}); correct the path, or leave it out of the corpus"
    )


def read_blocks(
    file: InputFile,
    stream: BinaryIO,
    counts: ReadCounts,
    block_bytes: int,
    *,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[bytes]:
    """Yield the decompressed bytes of an opened file, in blocks of any size, none empty.

    A block has at most `block_bytes`. `start` and `stop` are for
    files that are not compressed: the stream stands at `start`, and bytes behind `stop` are not
    counted in `counts.bytes_read`, but yielded.
    """
    if file.compression is not None:
        yield from _decompressed(file, stream, counts, block_bytes)
        return
    position = start
    limit = file.size_bytes if stop is None else stop
    while block := stream.read(block_bytes):
        end = position + len(block)
        counts.bytes_read += max(0, min(end, limit) - position)
        position = end
        yield block


def _decompressed(
    file: InputFile, stream: BinaryIO, counts: ReadCounts, block_bytes: int
) -> Iterator[bytes]:
    """Yield the content of all members (gzip), streams (bzip2) or frames (Zstandard).

    The file classes of the standard library take a damaged second stream of bzip2 for rubbish
    behind the first, and zstandard's stream reader takes a truncated frame for a whole one.
    """
    new_stream, feed_bytes = _STREAMS[str(file.compression)]
    current: _Stream | None = None
    taken = num_whole = 0
    while fed := stream.read(feed_bytes):
        counts.bytes_read += len(fed)
        while fed:
            if current is None:
                if num_whole and file.compression == "gzip":
                    fed = fed.lstrip(b"\0")  # gzip(1) allows zeros behind a member
                    if not fed:
                        break
                current = new_stream()
            try:
                yield from current.decompress(fed, block_bytes)
            except Exception as error:  # zlib.error, OSError, zstandard.ZstdError
                raise RecordsError(
                    f"{file.path}: cannot be decompressed near byte {taken} of the {file.compression} "
                    f"file ({' '.join(str(error).split())}); check it with "
                    f"`{_COMMAND[str(file.compression)]} -t`, and fetch or compress it again"
                ) from error
            fed = current.unused
            if current.is_whole:
                current = None
                num_whole += 1
        taken += feed_bytes
    if current is not None:
        raise RecordsError(
            f"{file.path}: ends in the middle of its {file.compression} data, at byte "
            f"{file.size_bytes} of the file; fetch or compress it again"
        )


class _Stream(Protocol):
    """One member, stream or frame."""

    is_whole: bool
    """Its end has been seen."""
    unused: bytes
    """What was given and lies behind its end."""

    def decompress(self, fed: bytes, block_bytes: int) -> Iterator[bytes]: ...


class _GzipMember:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: a gzip header and checksum
        self.is_whole, self.unused = False, b""

    def decompress(self, fed: bytes, block_bytes: int) -> Iterator[bytes]:
        while fed:  # its checksum comes last, so that no output waits behind consumed input
            block = self._zlib.decompress(fed, block_bytes)
            if block:
                yield block
            fed = self._zlib.unconsumed_tail
            if self._zlib.eof:
                break
        self.is_whole, self.unused = self._zlib.eof, self._zlib.unused_data


class _Bzip2Stream:
    def __init__(self) -> None:
        self._bz2 = bz2.BZ2Decompressor()
        self.is_whole, self.unused = False, b""

    def decompress(self, fed: bytes, block_bytes: int) -> Iterator[bytes]:
        while True:
            block = self._bz2.decompress(fed, block_bytes)
            if block:
                yield block
            fed = b""
            if self._bz2.eof or self._bz2.needs_input:
                break
        self.is_whole, self.unused = self._bz2.eof, self._bz2.unused_data


class _ZstdFrame:
    def __init__(self) -> None:
        self._zstd = require("zstandard").ZstdDecompressor().decompressobj()
        self.is_whole, self.unused = False, b""

    def decompress(self, fed: bytes, block_bytes: int) -> Iterator[bytes]:
        block = self._zstd.decompress(fed)
        for start in range(0, len(block), block_bytes):
            yield block[start : start + block_bytes]
        self.is_whole, self.unused = self._zstd.eof, self._zstd.unused_data


_STREAMS: dict[str, tuple[Callable[[], _Stream], int]] = {
    "gzip": (_GzipMember, 1 << 16),
    "bz2": (_Bzip2Stream, 1 << 16),
    # A block of Zstandard can stand for 128 KiB with 4 bytes (RFC 8878, section 3.1.1.2), and this
    # decoder has no limit for what comes out: 1 KiB in, at most 32 MiB out.
    "zstd": (_ZstdFrame, 1 << 10),
}
