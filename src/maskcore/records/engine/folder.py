# SPDX-License-Identifier: Apache-2.0
"""The folder that a build makes: refused where it would harm, resumed, published whole or not at all.

    DIR/_build/_plan.json            first: the plan, and the state of the inputs when it began
    DIR/_build/lock                  held by the build and its workers
    DIR/_build/spill/, units/        what `spill` and `unit` write, each finished by a commit point
    DIR/_build/part-...              shards that wait for the others
    DIR/_build/publishing            present while finished files move to DIR

Owns file names, the lock, and in what order files appear and vanish. Every file appears whole:
written under a name of its own, flushed, renamed. Knows nothing of what files hold.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from maskcore.records._errors import RecordsError
from maskcore.records.manifest import MANIFEST_FILE

__all__ = ["BUILD_FOLDER", "BuildFolder", "part_name", "read_json", "write_file", "writing"]

BUILD_FOLDER = "_build"
PLAN_FILE = "_plan.json"
ATTEMPT_SUFFIX = ".attempt"
_OUR_FILES = re.compile(
    r"part-\d{5}-of-\d{5}(-L\d+)?\.(tfrecord|parquet)"
    rf"|tokenizer\.(json|model)|report\.(json|html)(\.[\w-]+{re.escape(ATTEMPT_SUFFIX)})?"
    rf"|{re.escape(MANIFEST_FILE)}"
)
# A killed build's workers end when they next look at the pipe; the native calls they may be in last
# well below a second.
SECONDS_FOR_ORPHANS = 20.0


def part_name(shard: int, num_shards: int, bin_length: int | None, file_format: str) -> str:
    """Return a shard's file name.

    >>> part_name(17, 1024, None, "tfrecord")
    'part-00017-of-01024.tfrecord'
    >>> part_name(17, 1024, 128, "parquet")
    'part-00017-of-01024-L128.parquet'
    """
    of_bin = "" if bin_length is None else f"-L{bin_length}"
    return f"part-{shard:05d}-of-{num_shards:05d}{of_bin}.{file_format}"


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` whole, on the disk, and only if nothing is raised."""
    with attempt(path) as unfinished, unfinished.open("xb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def attempt(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that no other attempt has; what is there at the end becomes `path`."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{ATTEMPT_SUFFIX}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):  # the error at hand says more; the next build sweeps
            unfinished.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file whole.

    Names of files that are no UTF-8 have surrogates (PEP 383), which appear as JSON escapes them.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with writing(path) as stream:
        stream.write(content)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file of `_build`; None if there is none, or a power cut left it damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BuildFolder:
    """The output folder of one build, and `_build` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.build = folder / BUILD_FOLDER
        self.spill = self.build / "spill"
        self.units = self.build / "units"
        self._publishing = self.build / "publishing"
        self.lock_descriptor = -1
        """Workers inherit it, so that the lock lasts as long as any of them."""

    def check(self, overwrite: bool, inputs: Sequence[Path]) -> None:
        """Raise where the folder must not be written to.

        Raises
        ------
        RecordsError
            If it is a file, holds the corpus, finished records without `overwrite`, or anything
            that no build wrote.

        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RecordsError(f"{self.folder}: is a file; pass a folder for the records")
        resolved = self.folder.resolve()
        for path in inputs:
            if path.resolve().is_relative_to(resolved):
                raise RecordsError(
                    f"{self.folder}: holds {path}, which belongs to the corpus; put the records "
                    "elsewhere"
                )
        present = sorted(os.listdir(self.folder)) if self.folder.exists() else []
        foreign = [
            name for name in present if name != BUILD_FOLDER and not _OUR_FILES.fullmatch(name)
        ]
        if foreign:
            raise RecordsError(
                f"{self.folder}: holds {foreign[0]!r}, which no build wrote; pass an empty or new "
                "folder"
            )
        if not overwrite and MANIFEST_FILE in present and not self._publishing.exists():
            raise RecordsError(
                f"{self.folder}: holds records; pass another folder, or --overwrite to replace them"
            )
        self._check_writable()

    def _check_writable(self) -> None:
        nearest = self.folder
        while not nearest.exists():
            nearest = nearest.parent
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise RecordsError(
                f"{self.folder}: {nearest} cannot be written to; pass another folder, or change its "
                "permissions"
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this build; leave no empty folders behind.

        Raises
        ------
        RecordsError
            If another build holds it.

        """
        first_made = _first_missing(self.folder)
        self.build.mkdir(parents=True, exist_ok=True)
        self.lock_descriptor = _lock(self.build / "lock", self.folder)
        try:
            yield
        finally:
            if sorted(os.listdir(self.build)) == ["lock"] if self.build.exists() else False:
                shutil.rmtree(self.build)
            os.close(self.lock_descriptor)
            self.lock_descriptor = -1
            if first_made is not None:
                _remove_empty(self.folder, first_made)

    def read_plan(self) -> dict[str, Any] | None:
        """Return what an earlier build left as its plan, None where there is nothing to go on with."""
        return read_json(self.build / PLAN_FILE)

    def begin(self, content: dict[str, Any]) -> None:
        """Forget any earlier build and begin one."""
        self.discard()
        self.spill.mkdir()
        self.units.mkdir()
        self.write_plan(content)

    def write_plan(self, content: dict[str, Any]) -> None:
        """Write the plan, the last step of beginning."""
        write_file(self.build / PLAN_FILE, json.dumps(content, indent=1) + "\n")
        flush_folder(self.build)

    def discard(self) -> None:
        """Remove the work of the build, all but the lock; the plan goes first."""
        (self.build / PLAN_FILE).unlink(missing_ok=True)
        for entry in os.scandir(self.build):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name != "lock":
                os.unlink(entry.path)

    def sweep(self) -> None:
        """Remove what attempts that were killed left behind."""
        for folder in (self.build, self.spill, self.units):
            for entry in os.scandir(folder) if folder.exists() else ():
                if entry.name.endswith(ATTEMPT_SUFFIX):
                    os.unlink(entry.path)

    @property
    def is_publishing(self) -> bool:
        """Whether all files are finished and an earlier build was about to move them."""
        return self._publishing.exists()

    def publish(self, names: Sequence[str]) -> None:
        """Move the files `names` of `_build` to the folder, the manifest last; remove the rest.

        Without its manifest a folder is unfinished to every reader: an old one goes first. Killed at any
        moment, this can be called again.
        """
        if not self.is_publishing:
            write_file(self._publishing, "\n".join(names) + "\n")
            flush_folder(self.build)
        if (self.build / MANIFEST_FILE).exists():
            self._remove_old(names)
            for name in names:
                if name != MANIFEST_FILE:
                    self._move(name)
            flush_folder(self.folder)
            self._move(MANIFEST_FILE)
            flush_folder(self.folder)
        for entry in os.scandir(self.build):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name not in {"lock", self._publishing.name}:
                os.unlink(entry.path)
        self._publishing.unlink()

    def resume_publishing(self) -> None:
        """Finish what `publish` of a killed build began."""
        self.publish(self._publishing.read_text(encoding="utf-8").split("\n")[:-1])

    def _remove_old(self, names: Sequence[str]) -> None:
        (self.folder / MANIFEST_FILE).unlink(missing_ok=True)
        flush_folder(self.folder)
        new = frozenset(names)
        for name in os.listdir(self.folder):
            is_moved = name in new and not (self.build / name).exists()
            if _OUR_FILES.fullmatch(name) and not is_moved:
                (self.folder / name).unlink()

    def _move(self, name: str) -> None:
        with suppress(FileNotFoundError):  # it was moved before the build was killed
            os.replace(self.build / name, self.folder / name)


def _lock(path: Path, folder: Path) -> int:
    try:
        import fcntl  # noqa: PLC0415 - other systems lack it; they can still read records
    except ImportError:
        raise RecordsError(
            f"{folder}: building needs the file locks of POSIX; build on Linux or macOS, and copy the "
            "records"
        ) from None
    give_up = time.monotonic() + SECONDS_FOR_ORPHANS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            if _is_running(holder) or time.monotonic() > give_up:
                os.close(descriptor)
                raise RecordsError(
                    f"{folder}: another build is at work there"
                    + (f" (process {holder})" if holder else "")
                    + "; wait until it ends, or pass another folder"
                ) from None
            time.sleep(0.05)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at `path`: a build that ends removes it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return False


def _is_running(holder: str) -> bool:
    if not holder.isdigit():
        return False
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_missing(folder: Path) -> Path | None:
    missing = None
    while not folder.exists():
        missing, folder = folder, folder.parent
    return missing


def _remove_empty(folder: Path, first_made: Path) -> None:
    """Remove folders that this build made, from `folder` up to `first_made`, while they are empty."""
    while True:
        try:
            folder.rmdir()
        except OSError:
            return
        if folder == first_made:
            return
        folder = folder.parent
