# SPDX-License-Identifier: Apache-2.0
"""The files that one host reads of a folder of records, here or in an object store, checked before reading.

Owns how a folder or a list of files becomes parts of files by row length, how hosts share the rows, and the
errors of what cannot be read, each with the file and the way out. Knows nothing of datasets or masks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import maskcore
from maskcore.errors import type_error, value_error
from maskcore.records import RecordsError
from maskcore.records.manifest import (
    MANIFEST_FILE,
    Manifest,
    ShardEntry,
    no_manifest,
    parse_manifest,
)
from maskcore.records.reader import check_algorithm_version, unlike_manifest
from tfshim._tensorflow import tensorflow
from tfshim.records import parse_records

__all__ = ["FilePart", "RecordFolder", "RowsOfBin", "chosen_bins", "open_folder", "rows_of_bin"]

# A request to an object store takes tens of milliseconds, whatever its size.
_CONCURRENT_REQUESTS = 32
_FRAME_HEADER = struct.Struct("<QI")  # length of the record, checksum of the length
_FRAME_BYTES = _FRAME_HEADER.size + 4


@dataclass(frozen=True, slots=True)
class RecordFolder:
    """A folder's manifest, and those of its files that are to be read."""

    path: str
    manifest: Manifest
    shards: tuple[ShardEntry, ...]


class FilePart(NamedTuple):
    """Successive rows of one file."""

    path: str
    first: int
    num_rows: int
    sha256: str
    """Of the whole file."""


@dataclass(frozen=True, slots=True)
class RowsOfBin:
    """The rows of one length that one host reads."""

    length: int
    parts: tuple[FilePart, ...]
    num_shards: int
    index: int
    num_rows_of_all: int

    @property
    def num_rows(self) -> int:
        """Of this host."""
        return sum(part.num_rows for part in self.parts)

    @property
    def fewest_rows(self) -> int:
        """Of any host: one fewer than the most, or as many."""
        return self.num_rows_of_all // self.num_shards


def open_folder(dir_or_files: Any) -> RecordFolder:
    """Read the manifest of a folder, or of the folder that the files lie in.

    Raises
    ------
    RecordsError
        For a folder without a manifest, and a manifest whose records cannot be read here.
    TypeError, ValueError
        For no path, or files that are not of one folder.

    """
    gfile = tensorflow().io.gfile
    if isinstance(dir_or_files, (str, os.PathLike)):
        path = os.fspath(dir_or_files)
        if gfile.exists(path) and not gfile.isdir(path):
            return open_folder([path])
        folder, names = path, None
    else:
        folder, names = _folder_of(dir_or_files)
    manifest_file = os.path.join(folder, MANIFEST_FILE)
    if not gfile.exists(manifest_file):
        raise no_manifest(folder)
    with gfile.GFile(manifest_file, "rb") as stream:
        manifest = parse_manifest(stream.read(), manifest_file)
    _check_readable(manifest, folder)
    return RecordFolder(folder, manifest, _listed(manifest, folder, names))


def _folder_of(files: Any) -> tuple[str, list[str]]:
    described = "a folder of records, or a list of its files"
    if not isinstance(files, Iterable) or isinstance(files, (bytes, dict)):
        raise type_error("dir_or_files", described, type(files).__name__, "pass a path")
    paths = [os.fspath(file) for file in files]
    folders = sorted({os.path.dirname(path) for path in paths})
    if len(folders) != 1:
        received = ", ".join(folders) if folders else "no file"
        raise value_error(
            "dir_or_files", described, received, "files of several folders have several manifests"
        )
    return folders[0] or ".", [os.path.basename(path) for path in paths]


def _check_readable(manifest: Manifest, folder: str) -> None:
    if manifest.file_format != "tfrecord":
        raise RecordsError(
            f"{folder}: its files are {manifest.file_format}; build with --format tfrecord, or read "
            "them with maskcore.records.open"
        )
    if manifest.schema != "bert":  # whose rows are masked already
        check_algorithm_version(manifest, folder)


def _listed(manifest: Manifest, folder: str, names: Sequence[str] | None) -> tuple[ShardEntry, ...]:
    """Return the manifest's entries of the files, in its order."""
    if names is None:
        return manifest.shards
    listed = {shard.file for shard in manifest.shards}
    for name in names:
        if name not in listed:
            raise RecordsError(
                f"{os.path.join(folder, name)}: not in {MANIFEST_FILE} of its folder; pass files that "
                "it lists, or the folder"
            )
        if names.count(name) > 1:
            raise value_error(
                "dir_or_files", "each file once", f"{name} again", "epochs repeat the rows"
            )
    return tuple(shard for shard in manifest.shards if shard.file in names)


def chosen_bins(folder: RecordFolder, bins: Any, seq_length: int | None) -> tuple[int, ...]:
    """Return the row lengths to read, ascending.

    Raises
    ------
    ValueError
        For a length that the records do not have, or one above what the model takes.

    """
    available = folder.manifest.bins
    listed = ", ".join(map(str, available))
    asked = available if bins is None else (bins,) if isinstance(bins, int) else tuple(bins)
    if not asked or len(set(asked)) < len(asked) or not set(asked) <= set(available):
        raise value_error(
            "bins", f"among {listed}, the row lengths of {folder.path}", bins, "each once"
        )
    if seq_length is not None and max(asked) > seq_length:
        fitting = [length for length in available if length <= seq_length]
        remedy = f"build with --seq-length {seq_length}"
        if fitting:
            remedy = f"pass bins={fitting}, or {remedy}"
        raise value_error(
            "seq_length",
            f"at least {max(asked)}, the longest rows to be read of {folder.path}",
            seq_length,
            remedy,
        )
    return tuple(sorted(asked))


def rows_of_bin(folder: RecordFolder, length: int, num_shards: int, index: int) -> RowsOfBin:
    """Return the part of a bin's rows that the host `index` of `num_shards` reads, its files checked.

    The rows of all files, one after another, are cut into `num_shards` equal parts: a host opens
    its own files only, and no host has more than one row more than another.

    Raises
    ------
    RecordsError
        For a missing, damaged or exchanged file.

    """
    shards = [shard for shard in folder.shards if shard.bin_length == length and shard.records]
    total = sum(shard.records for shard in shards)
    start, stop = total * index // num_shards, total * (index + 1) // num_shards
    parts, own, before = [], [], 0
    for shard in shards:
        first = max(start - before, 0)
        end = min(stop - before, shard.records)
        if first < end:
            path = os.path.join(folder.path, shard.file)
            parts.append(FilePart(path, first, end - first, shard.sha256))
            own.append(shard)
        before += shard.records
    _check_files([part.path for part in parts], own, folder.manifest)
    return RowsOfBin(length, tuple(parts), num_shards, index, total)


def _check_files(paths: list[str], shards: list[ShardEntry], manifest: Manifest) -> None:
    """Hold sizes and first records against the manifest."""
    if not paths:
        return
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        records = list(pool.map(_first_record, paths, shards))
    length = shards[0].bin_length
    if _parse_problem(records, manifest, length) is None:
        return
    for path, record in zip(paths, records, strict=True):
        problem = _parse_problem([record], manifest, length)
        if problem is not None:
            raise RecordsError(
                f"{path}: its records hold other features than {MANIFEST_FILE} says of rows of {length} "
                f"tokens in layout {manifest.layout!r} ({problem}); copy the folder as it was built, or "
                f"build the records again (written by maskcore {manifest.maskcore_version}, this is "
                f"{maskcore.__version__})"
            )


def _first_record(path: str, shard: ShardEntry) -> bytes:
    tf = tensorflow()
    try:
        size = tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        size = None
    problem = unlike_manifest(path, size, shard)
    if problem is not None:
        raise RecordsError(problem)
    with tf.io.gfile.GFile(path, "rb") as stream:
        header = stream.read(_FRAME_HEADER.size)
        num_bytes = _FRAME_HEADER.unpack(header)[0] if len(header) == _FRAME_HEADER.size else size
        if num_bytes + _FRAME_BYTES > size:
            raise RecordsError(
                f"{path}: record 0: damaged, or no TFRecord file; copy it again, or build the records again"
            )
        record: bytes = stream.read(num_bytes)
    return record


def _parse_problem(records: list[bytes], manifest: Manifest, length: int) -> str | None:
    tf = tensorflow()
    try:
        with tf.init_scope(), tf.device("/CPU:0"):
            parse_records(tf.constant(records), manifest, length)
    except tf.errors.InvalidArgumentError as error:
        return str(error.message).partition("}} ")[2] or str(error.message)
    return None
