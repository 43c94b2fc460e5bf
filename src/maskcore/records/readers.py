# SPDX-License-Identifier: Apache-2.0
"""From files to sentences: one sentence or paragraph a line, a blank line between documents.

Owns which files are read, in what order, where a line and a document end, and the names of
documents. Knows nothing of tokens.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from maskcore.records._errors import RecordsError

__all__ = ["DocumentKey", "InputFile", "TextBatch", "find_inputs", "read_batches"]

# Large enough that the calls into the tokenizer cost nothing, small enough that a batch of any row
# length fits in memory.
BATCH_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InputFile(NamedTuple):
    """One file of the corpus."""

    name: str
    """Path below the folder that was given, with `/`; a file given has its own name."""
    path: Path
    size_bytes: int


class DocumentKey(NamedTuple):
    """What a document is called, whatever the batch, the shard or the machine."""

    name: str
    """`InputFile.name`."""
    offset: int
    """Byte offset of the document's first line in the file."""


@dataclass(slots=True)
class TextBatch:
    """Sentences in corpus order, without blank lines."""

    continues: bool
    """The first document is the last one of the batch before."""
    documents: list[DocumentKey] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    sentence_documents: list[int] = field(default_factory=list)
    """For each sentence, the index of its document in `documents`."""
    is_open: bool = False
    """The last document goes on in the next batch."""
    bytes_read: int = 0
    """Since the batch before."""


def find_inputs(corpus: Sequence[str | os.PathLike[str]]) -> list[InputFile]:
    """List the corpus: files, and all files below folders, sorted by name.

    The order in which they are given does not matter.

    Links are followed. Files and folders whose names begin with a dot are left out of folders.

    Raises
    ------
    RecordsError
        For a path that does not exist, no file at all, two files of one name, or a link to a folder
        above it.

    """
    found: dict[str, InputFile] = {}
    for given in corpus:
        root = Path(given)
        if not root.exists():
            raise RecordsError(
                f"{root}: no such file or folder; pass text files, or folders of them"
            )
        for name, path in _files_below(root):
            if name in found:
                raise RecordsError(
                    f"{path}: the corpus already holds {name!r} ({found[name].path}); pass the "
                    "folder above both, "
                    "since a document is named by its path below what is given"
                )
            found[name] = InputFile(name, path, path.stat().st_size)
    if not found:
        raise RecordsError(
            f"{', '.join(str(given) for given in corpus)}: no files to read; pass text files"
        )
    return [found[name] for name in sorted(found)]


def _files_below(root: Path) -> Iterator[tuple[str, Path]]:
    if not root.is_dir():
        yield root.name, root
        return
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            link = Path(folder, name)
            if link.is_symlink() and Path(folder).resolve().is_relative_to(link.resolve()):
                raise RecordsError(
                    f"{link}: a link to a folder above it, which has no end; remove the link"
                )
        for name in files:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(root).as_posix(), path


def read_batches(inputs: Sequence[InputFile]) -> Iterator[TextBatch]:
    r"""Yield the sentences of all files, in order.

    A line ends at ``\n`` (``\r\n`` included) and nowhere else: form feed, vertical tab and U+2028
    are characters of the line. White space around a line is dropped; a line of nothing else ends
    the document, as does the end of a file. A byte order mark at the start of a file is dropped.

    Raises
    ------
    RecordsError
        At the first byte that is not UTF-8, at a NUL, and for a file that changes while it is read.

    """
    batch = TextBatch(continues=False)
    for file in inputs:
        batch = yield from _read_file(file, batch)
    yield batch


def _read_file(file: InputFile, batch: TextBatch) -> Generator[TextBatch, None, TextBatch]:
    """Add the file's sentences to `batch`, yield it when full, return the unfinished one."""
    is_inside = False
    offset = 0
    with file.path.open("rb") as stream:
        for raw in stream:
            start = offset
            offset += len(raw)
            batch.bytes_read += len(raw)
            line = raw
            if start == 0 and raw.startswith(BYTE_ORDER_MARK):
                start, line = len(BYTE_ORDER_MARK), raw[len(BYTE_ORDER_MARK) :]
            sentence = _decode(file, line, start).strip()
            if not sentence:
                is_inside = False
                continue
            if not is_inside:
                is_inside = True
                batch.documents.append(DocumentKey(file.name, start))
            batch.sentences.append(sentence)
            batch.sentence_documents.append(len(batch.documents) - 1)
            if batch.bytes_read >= BATCH_BYTES:
                batch.is_open = True  # the next line may belong to the document
                yield batch
                batch = TextBatch(continues=True, documents=batch.documents[-1:])
    if offset != file.size_bytes:
        raise RecordsError(
            f"{file.path}: changed while it was read ({file.size_bytes} bytes before, {offset} "
            "now); build again"
        )
    return batch


def _decode(file: InputFile, raw: bytes, offset: int) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordsError(
            f"{file.path}: invalid UTF-8 at byte {offset + error.start} (0x{raw[error.start]:02x}); "
            "convert the file to UTF-8, for example with iconv, or leave it out of the corpus"
        ) from None
    if "\0" in text:
        raise RecordsError(
            f"{file.path}: NUL at byte {offset + raw.index(0)}, so this is not plain text in UTF-8; "
            "convert the file, or leave it out of the corpus"
        )
    return text
