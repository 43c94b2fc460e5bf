# SPDX-License-Identifier: Apache-2.0
"""The folder that a build makes: refused where it would harm, published whole or not at all.

Owns file names, the temporary folder and what may be replaced. Everything is written to `_tmp` and
moved at the end, the manifest last, so that a failed build leaves what was there before. Knows
nothing of what the files hold.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from maskcore.records._errors import RecordsError
from maskcore.records.manifest import MANIFEST_FILE
from maskcore.records.readers import InputFile
from maskcore.records.tfrecord import ShardWriter

__all__ = ["TOKENIZER_FILE", "Target"]

TOKENIZER_FILE = "tokenizer.json"
TEMPORARY_FOLDER = "_tmp"
_OUR_FILES = re.compile(
    rf"part-\d{{5}}-of-\d{{5}}\.tfrecord|{re.escape(TOKENIZER_FILE)}|{re.escape(MANIFEST_FILE)}"
)


def shard_name(number: int, num_shards: int) -> str:
    """Return a shard's file name.

    >>> shard_name(17, 1024)
    'part-00017-of-01024.tfrecord'
    """
    return f"part-{number:05d}-of-{num_shards:05d}.tfrecord"


class Target:
    """The output folder of one build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = folder / TEMPORARY_FOLDER
        self._writers: list[ShardWriter] = []

    def check(self, overwrite: bool, inputs: Sequence[InputFile]) -> None:
        """Raise where the folder must not be written to."""
        if self.folder.exists() and not self.folder.is_dir():
            raise RecordsError(f"{self.folder}: is a file; pass a folder for the records")
        resolved = self.folder.resolve()
        for file in inputs:
            if file.path.resolve().is_relative_to(resolved):
                raise RecordsError(
                    f"{self.folder}: holds {file.path}, which belongs to the corpus; put the "
                    "records elsewhere"
                )
        present = sorted(os.listdir(self.folder)) if self.folder.exists() else []
        if not present:
            return
        foreign = [
            name for name in present if name != TEMPORARY_FOLDER and not _OUR_FILES.fullmatch(name)
        ]
        if foreign:
            raise RecordsError(
                f"{self.folder}: holds {foreign[0]!r}, which no build wrote; pass an empty or new "
                "folder"
            )
        if not overwrite:
            state = "records" if MANIFEST_FILE in present else "an unfinished build"
            raise RecordsError(
                f"{self.folder}: holds {state}; pass another folder, or --overwrite to replace it"
            )

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Make the folder and on leaving publish it; on an error leave what was there before."""
        is_new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        try:
            self._temporary.mkdir()
            yield
            self._publish()
        except BaseException:
            for writer in self._writers:
                writer.abandon()
            shutil.rmtree(self._temporary, ignore_errors=True)
            if is_new:
                self.folder.rmdir()
            raise

    def open_shard(self, number: int, num_shards: int) -> ShardWriter:
        """Begin a shard."""
        writer = ShardWriter(self._temporary / shard_name(number, num_shards))
        self._writers.append(writer)
        return writer

    def write(self, name: str, content: str) -> None:
        """Write a text file."""
        with (self._temporary / name).open("x", encoding="utf-8", newline="") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def _publish(self) -> None:
        old = [name for name in os.listdir(self.folder) if _OUR_FILES.fullmatch(name)]
        # Without its manifest the folder is unfinished to every reader: it goes first and comes
        # last.
        for name in sorted(old, key=lambda name: name != MANIFEST_FILE):
            (self.folder / name).unlink()
        for name in sorted(os.listdir(self._temporary), key=lambda name: name == MANIFEST_FILE):
            os.replace(self._temporary / name, self.folder / name)
        self._temporary.rmdir()
        if os.name != "posix":
            return  # elsewhere a folder cannot be opened to flush it
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
