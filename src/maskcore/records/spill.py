# SPDX-License-Identifier: Apache-2.0
"""Documents on the disk, divided into buckets: what reading leaves for the units.

A run is a file of documents grouped by bucket:

    document of bucket 0, ..., document of bucket 1, ... | where bucket b begins, for b = 0 .. B | uint64

    document: hash, uint64 | offset, uint64 | input, bytes of key, bytes of text, uint32 each | key | text

with little-endian numbers and text in UTF-8, one sentence a line. Where buckets begin is at the same
place of every run, counted from its end, so that a unit finds its documents by one read for each run.
Owns this format, the order in a bucket and the division of a bucket that is too large. Knows nothing
of where documents come from or what is made of them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError
from maskcore.records.documents import Document
from maskcore.records.folder import writing
from maskcore.records.plan import Plan
from maskcore.records.row_identity import bucket_hash

__all__ = ["RunEntry", "SpillReader", "SpillWriter", "text_bytes"]

# What a run buffers; a worker that reads holds about this much.
RUN_BYTES = 32 << 20
# A bucket beyond this, because its files were compressed better than expected, is divided again.
MAX_BUCKET_BYTES = 32 << 20
# What CPython adds to a document in the buffer: a tuple, a bytes object, a bucket number.
_OBJECT_BYTES = 160

_HEADER = struct.Struct("<QQIII")


class RunEntry(NamedTuple):
    """What the commit point of a reading task says of a run."""

    file: str
    bytes: int
    documents: int
    text_bytes: int


def text_bytes(sentences: Sequence[str]) -> int:
    r"""Return the size of sentences, one a line, in UTF-8.

    >>> text_bytes(["a", "\u00e9"])
    4
    """
    # isascii() is a look at a flag.
    sizes = (len(text) if text.isascii() else len(text.encode()) for text in sentences)
    return sum(sizes) + len(sentences) - 1


class SpillWriter:
    """Collects the documents of one reading task and writes them as runs."""

    def __init__(self, folder: Path, task: int, num_buckets: int, seed: int) -> None:
        self._folder = folder
        self._task = task
        self._num_buckets = num_buckets
        self._seed = seed
        self._frames: list[tuple[int, bytes]] = []
        self._buffered = self._text_bytes = 0
        self.runs: list[RunEntry] = []

    def add(self, document: Document, input_index: int) -> int:
        """Take a document in; return the bytes of its text."""
        text = "\n".join(document.sentences).encode()
        key = document.key
        place = bucket_hash(key, self._seed)
        header = _HEADER.pack(place, document.offset, input_index, len(key), len(text))
        self._frames.append((place % self._num_buckets, header + key + text))
        self._buffered += _OBJECT_BYTES + len(text)
        self._text_bytes += len(text)
        if self._buffered >= RUN_BYTES:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Write what is buffered as a run."""
        if not self._frames:
            return
        self._frames.sort(key=lambda frame: frame[0])
        buckets = np.array([bucket for bucket, _ in self._frames])
        sizes = np.array([len(frame) for _, frame in self._frames])
        begins = np.zeros(self._num_buckets + 1, "<u8")
        begins[1:] = np.cumsum(np.bincount(buckets, sizes, self._num_buckets)).astype("<u8")
        path = self._folder / f"{self._task:06d}-{len(self.runs):04d}.run"
        with writing(path) as stream:
            stream.writelines(frame for _, frame in self._frames)
            stream.write(begins.tobytes())
        entry = RunEntry(
            path.name, int(begins[-1]) + begins.nbytes, len(self._frames), self._text_bytes
        )
        self.runs.append(entry)
        self._frames, self._buffered, self._text_bytes = [], 0, 0


class SpillReader:
    """Reads buckets from all runs.

    Parameters
    ----------
    plan : Plan
    runs : sequence of RunEntry
    folder : Path
        Of the runs.
    buckets : range
        Those to read.

    """

    def __init__(self, plan: Plan, runs: Sequence[RunEntry], folder: Path, buckets: range) -> None:
        self._paths = [folder / run.file for run in runs]
        self._input_names = [file.name for file in plan.inputs]
        self._num_buckets = plan.num_buckets
        self._buckets = buckets
        self._begins = np.zeros((len(runs), len(buckets) + 1), np.int64)
        for row, (run, path) in enumerate(zip(runs, self._paths, strict=True)):
            index = run.bytes - 8 * (plan.num_buckets + 1) + 8 * buckets.start
            found = _read_at(path, index, 8 * (len(buckets) + 1))
            self._begins[row] = np.frombuffer(found, "<u8").astype(np.int64)

    def parts(self) -> Iterator[list[Document]]:
        """Yield the documents of each bucket, ordered by their hash; a large bucket in parts.

        Raises
        ------
        RecordsError
            If two documents have one key.

        """
        for column in range(len(self._buckets)):
            begins, ends = self._begins[:, column], self._begins[:, column + 1]
            size = int((ends - begins).sum())
            num_parts = max(1, -(-size // MAX_BUCKET_BYTES))
            for part in range(num_parts):
                yield self._read(begins, ends, part, num_parts)

    def _read(
        self, begins: NDArray[np.int64], ends: NDArray[np.int64], part: int, num_parts: int
    ) -> list[Document]:
        found: list[tuple[int, bytes, Document]] = []
        for run in np.flatnonzero(ends > begins):
            frames = _read_at(self._paths[run], int(begins[run]), int(ends[run] - begins[run]))
            at = 0
            while at < len(frames):
                place, offset, index, key_bytes, text_bytes = _HEADER.unpack_from(frames, at)
                key_at = at + _HEADER.size
                text_at = key_at + key_bytes
                at = text_at + text_bytes
                if place // self._num_buckets % num_parts == part:
                    key = frames[key_at:text_at]
                    text = frames[text_at:at].decode()
                    sentences = text.split("\n") if text else []
                    name = self._input_names[index]
                    found.append((place, key, Document(key, name, offset, sentences)))
        found.sort(key=lambda item: item[:2])
        for (_, key, first), (_, next_key, second) in pairwise(found):
            if key == next_key:
                raise _duplicate(first, second)
        return [document for _, _, document in found]


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        stream.seek(offset)
        content = stream.read(size)
    if len(content) < size:
        raise RecordsError(
            f"{path}: ends after {offset + len(content)} bytes; something else changed it: remove "
            f"{os.path.basename(path.parent.parent)} and build again"
        )
    return content


def _duplicate(first: Document, second: Document) -> RecordsError:
    kind, _, identity = first.key.partition(b"\0")
    shown = identity.decode("utf-8", "replace") if kind == b"id" else first.name
    places = sorted([(first.name, first.offset), (second.name, second.offset)])
    where = " and ".join(f"{name} at {offset}" for name, offset in places)
    return RecordsError(
        f"{where}: two documents have the id {shown!r}; make the ids unique, or leave --id-field out"
    )
