# SPDX-License-Identifier: Apache-2.0
"""The files of a corpus: found, named, sorted, and known by their content.

Owns what format a file has, and that no document is read twice under two names. Reads no text;
`documents` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError
from maskcore.records.reading.listing import ListedFile, list_local, list_remote
from maskcore.records.reading.model import TEXT_FORMATS, InputFile
from maskcore.records.reading.storage import is_remote, stored_signature

__all__ = ["InputFile", "check_fields", "find_inputs"]

PathLike = str | os.PathLike[str]

_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
# `.json` is mostly JSON lines in corpora (C4, for one); an array is refused with a hint.
_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
# Containers that would be read as text, and then as bad text.
_REFUSED = (".7z", ".lz4", ".rar", ".tar", ".tbz2", ".tgz", ".txz", ".xz", ".zip")


def find_inputs(
    corpus: PathLike | Sequence[PathLike], *, text_format: str = "auto"
) -> list[InputFile]:
    """List the corpus: files, all files below folders, and what globs match, sorted by name.

    The order in which they are given does not matter. Links are followed. Files and folders whose
    names begin with a dot are left out of folders and globs. In globs, ``**`` stands for any number
    of folders, and all files below a folder that is matched are taken. ``scheme://...`` goes through
    fsspec.

    Parameters
    ----------
    corpus : path or URL, or sequence of them
        What exists by its name is taken as it is; else ``* ? [`` make it a glob.
    text_format : {"auto", "plain", "jsonl", "parquet"}
        By default the ending of a file's name decides: .jsonl, .ndjson, .json and .parquet are what
        they say, everything else is plain text; before .gz, .bz2 and .zst, which always tell the
        compression.

    Returns
    -------
    list of InputFile
        `name` is the path below the folder that was given, or below the last folder before a glob's
        first pattern; a file that was given has its own name.

    Raises
    ------
    RecordsError
        For an empty path, one that does not exist or may not be read, no file at all,
        two files of one name, a file under two names, a link to a folder above it or to nothing, and
        archives.
    ValueError
        For another `text_format`.
    ImportError
        For a URL without ``maskcore[remote]``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "b.txt").write_text("One.")
    >>> _ = (folder / "a.jsonl").write_text("{}")
    >>> [(file.name, file.format) for file in find_inputs(folder)]
    [('a.jsonl', 'jsonl'), ('b.txt', 'plain')]

    """
    if text_format not in TEXT_FORMATS:
        choices = " or ".join(map(repr, TEXT_FORMATS))
        raise value_error("text_format", choices, repr(text_format), "spell it so")
    given = [corpus] if isinstance(corpus, (str, os.PathLike)) else list(corpus)
    found: dict[str, InputFile] = {}
    names: dict[str, str] = {}  # of real paths
    for item in sorted(os.fspath(path) for path in given):
        if not item:  # an unset variable of a shell; `Path("")` would be the working folder
            raise RecordsError("corpus: an empty path; name a file, a folder or a glob")
        for listed in list_remote(item) if is_remote(item) else list_local(item):
            _add(_input_file(listed, text_format), found, names)
    if not found:
        raise RecordsError(
            f"{', '.join(map(str, given)) or 'corpus'}: no files to read; pass files of text, folders of them, "
            "or globs in quotes"
        )
    return [found[name] for name in sorted(found)]


def check_fields(inputs: Sequence[InputFile], *, text_field: str, id_field: str | None) -> None:
    """Refuse named fields where no file has any: JSONL called `.txt` would be read as plain text.

    Raises
    ------
    RecordsError
        If all files are plain text, and a field is named.

    """
    if any(file.format != "plain" for file in inputs):
        return
    for argument, value, default in (
        ("text_field", text_field, "text"),
        ("id_field", id_field, None),
    ):
        if value != default:
            raise RecordsError(
                f"{inputs[0].path}: plain text has no fields, got {argument} "
                f"(--{argument.replace('_', '-')}) {value!r}; leave it out, or pass text_format "
                "(--text-format) jsonl or parquet"
            )


def _add(file: InputFile, found: dict[str, InputFile], names: dict[str, str]) -> None:
    if file.name in found:
        raise RecordsError(
            f"{file.path}: the corpus already holds {file.name!r} ({found[file.name].path}); pass "
            "the folder above both, since a document is named by its path below what is given"
        )
    real_path = file.path if is_remote(file.path) else os.path.realpath(file.path)
    if real_path in names:
        raise RecordsError(
            f"{file.path}: the corpus already holds this file, as {names[real_path]!r}; pass it once"
        )
    found[file.name], names[real_path] = file, file.name


def _input_file(listed: ListedFile, text_format: str) -> InputFile:
    stem, suffix = os.path.splitext(listed.name.lower())
    compression = _COMPRESSIONS.get(suffix)
    if compression is not None:
        stem, suffix = os.path.splitext(stem)
    if suffix in _REFUSED:
        raise RecordsError(
            f"{listed.path}: {suffix} archives are not read; unpack it, or leave it out of the corpus"
        )
    file_format = _FORMATS.get(suffix, "plain") if text_format == "auto" else text_format
    if file_format == "parquet" and compression is not None:
        raise RecordsError(
            f"{listed.path}: Parquet is compressed inside; unpack the file with "
            f"`{'bzip2' if compression == 'bz2' else compression} -d`"
        )
    signature = stored_signature(listed.path)
    return InputFile(
        listed.name, listed.path, listed.size_bytes, file_format, compression, signature
    )
