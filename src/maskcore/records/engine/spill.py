# SPDX-License-Identifier: Apache-2.0
"""Documents on the disk, divided into buckets: what reading leaves for the units.

A run is a file of documents grouped by bucket:

    document of bucket 0, ..., document of bucket 1, ... | where bucket b begins, for b = 0 .. B | uint64

    document: hash, uint64 | offset, uint64 | input, bytes of key, bytes of text, uint32 each | key | text

with little-endian numbers and text in UTF-8, one sentence a line. Where buckets begin is at the same
place of every run, counted from its end, so that a unit finds its documents by one read for each run.
Owns this format, the order in a bucket and the division of a bucket that is too large. Knows nothing
of where documents come from or what is made of them: inputs are numbers here, and what a process holds
does not grow with them.
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
from maskcore.records.engine.folder import BuildFolder, writing
from maskcore.records.engine.plan import Plan
from maskcore.records.reading.documents import Document
from maskcore.records.rows.row_identity import bucket_hash

__all__ = ["Bucket", "RunEntry", "SpillReader", "SpillWriter"]

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


class Bucket(NamedTuple):
    """Documents of a bucket, or of a part of one that is too large, in their order."""

    documents: list[Document]
    """Without the names of their files."""
    text_bytes: list[int]
    """Of each document: its sentences in UTF-8, one a line."""


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

    def add(self, document: Document, input_index: int) -> None:
        """Take a document in, which has a sentence at least."""
        key, _, offset, sentences = document
        text = "\n".join(sentences).encode()
        place = bucket_hash(key, self._seed)
        header = _HEADER.pack(place, offset, input_index, len(key), len(text))
        self._frames.append((place % self._num_buckets, b"".join((header, key, text))))
        self._buffered += _OBJECT_BYTES + len(text)
        self._text_bytes += len(text)
        if self._buffered >= RUN_BYTES:
            self.flush()

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
    folder : BuildFolder
        That has the runs, and the names of the inputs for an error.
    buckets : range
        Those to read.

    """

    def __init__(
        self, plan: Plan, runs: Sequence[RunEntry], folder: BuildFolder, buckets: range
    ) -> None:
        self._folder = folder
        self._paths = [folder.spill / run.file for run in runs]
        self._num_buckets = plan.num_buckets
        self._buckets = buckets
        self._begins = np.zeros((len(runs), len(buckets) + 1), np.int64)
        for row, (run, path) in enumerate(zip(runs, self._paths, strict=True)):
            index = run.bytes - 8 * (plan.num_buckets + 1) + 8 * buckets.start
            found = _read_at(path, index, 8 * (len(buckets) + 1))
            self._begins[row] = np.frombuffer(found, "<u8").astype(np.int64)

    def parts(self) -> Iterator[Bucket]:
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
    ) -> Bucket:
        found: list[tuple[int, bytes, Document, int, int]] = []
        header, header_bytes = _HEADER.unpack_from, _HEADER.size
        for run in np.flatnonzero(ends > begins):
            frames = _read_at(self._paths[run], int(begins[run]), int(ends[run] - begins[run]))
            at = 0
            while at < len(frames):
                place, offset, index, key_bytes, text_bytes = header(frames, at)
                key_at = at + header_bytes
                text_at = key_at + key_bytes
                at = text_at + text_bytes
                if num_parts > 1 and place // self._num_buckets % num_parts != part:
                    continue
                key = frames[key_at:text_at]
                sentences = frames[text_at:at].decode().split("\n")
                document = Document(key, "", offset, sentences)
                found.append((place, key, document, text_bytes, index))
        found.sort()  # by hash and key, which no two have in common
        for before, after in pairwise(found):
            if before[0] == after[0] and before[1] == after[1]:
                raise self._duplicate(
                    before[1], *((item[4], item[2].offset) for item in (before, after))
                )
        return Bucket([item[2] for item in found], [item[3] for item in found])

    def _duplicate(self, key: bytes, *places: tuple[int, int]) -> RecordsError:
        """Return the error for two documents of one key; `places` are their inputs and offsets."""
        content = self._folder.read_plan() or {}
        inputs = content["plan"]["inputs"]
        named = sorted((inputs[index]["name"], offset) for index, offset in places)
        kind, _, identity = key.partition(b"\0")
        shown = identity.decode("utf-8", "replace") if kind == b"id" else named[0][0]
        where = " and ".join(f"{name} at {offset}" for name, offset in named)
        return RecordsError(
            f"{where}: two documents have the id {shown!r}; make the ids unique, or leave --id-field "
            "out"
        )


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
