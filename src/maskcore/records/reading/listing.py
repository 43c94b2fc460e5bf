# SPDX-License-Identifier: Apache-2.0
"""Which files a corpus names: walking folders, globs and file systems behind fsspec.

Owns order-free listing, what is left out of folders, and the names of files. Knows nothing of formats.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from maskcore.records._errors import RecordsError
from maskcore.records.reading.storage import remote_filesystem, unreadable

__all__ = ["ListedFile", "list_local", "list_remote"]


class ListedFile(NamedTuple):
    """A file that the corpus names."""

    name: str
    """Path below what was given, with `/`."""
    path: str
    size_bytes: int


def list_local(given: str) -> Iterator[ListedFile]:
    """Yield a file, all files below a folder, or what a glob matches.

    Raises
    ------
    RecordsError
        For what is not there, may not be read, is no file, or leads in a circle.

    """
    root = Path(given)
    try:
        if root.is_dir():
            yield from _below(root, root)
        elif root.exists() or not glob.has_magic(given):
            yield _file(root, root.name)
        else:
            yield from _matches(given)
    except OSError as error:
        raise unreadable(str(error.filename or given), error) from error


def _file(path: Path, name: str) -> ListedFile:
    status = path.stat()
    if not path.is_file():
        raise RecordsError(f"{path}: no regular file or folder; leave it out of the corpus")
    if not os.access(path, os.R_OK):
        raise unreadable(str(path), PermissionError())
    return ListedFile(name, str(path), status.st_size)


def _below(folder: Path, root: Path) -> Iterator[ListedFile]:
    """Yield the files below a folder, links followed and dot files left out."""
    for at, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            _check_no_circle(Path(at, name))
        for name in files:
            path = Path(at, name)
            if name.startswith("."):
                continue
            if path.is_symlink() and not path.exists():
                raise RecordsError(
                    f"{path}: a link to nothing; remove it, or mount what it points to"
                )
            if path.is_file():  # sockets, pipes and devices are not text
                yield _file(path, path.relative_to(root).as_posix())


def _raise(error: OSError) -> None:
    raise error  # os.walk passes over folders that it may not read


def _check_no_circle(folder: Path) -> None:
    if folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve()):
        raise RecordsError(
            f"{folder}: a link to a folder above it, which has no end; remove the link"
        )


def _matches(pattern: str) -> Iterator[ListedFile]:
    """Yield the files that a glob matches, and all files below the folders that it matches."""
    parts = Path(pattern).parts
    num_plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:num_plain])
    seen = set()  # `**/a*` matches a folder and what is in it
    for path in _expand(root, parts[num_plain:]):
        files = (
            _below(path, root)
            if path.is_dir()
            else [_file(path, path.relative_to(root).as_posix())]
        )
        for file in files:
            if file.name not in seen:
                seen.add(file.name)
                yield file


def _expand(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what `parts`, each for one level and `**` for any number, matches below a folder.

    `glob.glob` follows links in circles and passes over folders that it may not read.
    """
    part, *rest = parts
    if part == "**":
        if rest:
            yield from _expand(folder, rest)
        for entry in _visible(folder):
            if entry.is_dir():
                _check_no_circle(entry)
                yield from _expand(entry, parts)
            elif not rest:
                yield entry
        return
    for entry in _visible(folder, part):
        if fnmatchcase(entry.name, part):
            if not rest:
                yield entry
            elif entry.is_dir():
                _check_no_circle(entry)
                yield from _expand(entry, rest)


def _visible(folder: Path, part: str = "") -> list[Path]:
    """Return the entries of a folder; those with a dot only for a pattern with a dot."""
    entries = sorted(folder.iterdir())
    return [entry for entry in entries if part.startswith(".") or not entry.name.startswith(".")]


def list_remote(url: str) -> Iterator[ListedFile]:
    """Yield what a URL names: a file, all files below a folder, or what a glob matches.

    Raises
    ------
    RecordsError
        For what is not there, may not be read, or does not tell its size.

    """
    filesystem, path = remote_filesystem(url)
    try:
        yield from _list_remote(filesystem, path)
    except RecordsError:
        raise
    except Exception as error:  # each file system raises errors of its own library
        raise unreadable(url, error) from error


def _list_remote(filesystem: Any, path: str) -> Iterator[ListedFile]:
    if glob.has_magic(path) and not filesystem.exists(path):
        parts = path.split("/")
        num_plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = "/".join(parts[:num_plain])
        matched = filesystem.glob(path, detail=True)
    else:
        root = path
        matched = {path: filesystem.info(path)}
    found: dict[str, Any] = {}
    for at, info in matched.items():
        if info["type"] == "directory":
            found.update(filesystem.find(at, detail=True))
        else:
            found[at] = info
    for at, info in sorted(found.items()):
        name = at[len(root.rstrip("/")) + 1 :] if at != root else at.rpartition("/")[2]
        if at != path and any(part.startswith(".") for part in name.split("/")):
            continue
        at_url = filesystem.unstrip_protocol(at)
        if info.get("size") is None:
            raise RecordsError(f"{at_url}: the server does not tell its size; fetch the file first")
        yield ListedFile(name, at_url, int(info["size"]))
