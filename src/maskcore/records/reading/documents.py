# SPDX-License-Identifier: Apache-2.0
"""From a file of any format to documents: sentences with an identity.

Owns the one door, `read_documents`. The formats are in `maskcore.records.reading`; knows nothing of
tokens, buckets or workers.
"""

from __future__ import annotations

from collections.abc import Iterator

from maskcore.errors import value_error
from maskcore.records.reading.emit import DocumentEmitter
from maskcore.records.reading.jsonl import read_jsonl
from maskcore.records.reading.model import (
    LIMITS,
    Document,
    InputFile,
    ReadCounts,
    ReadLimits,
    ReadOptions,
)
from maskcore.records.reading.parquet import read_parquet
from maskcore.records.reading.plain import read_plain
from maskcore.records.reading.sentences import SENTENCE_SPLITTER_VERSION

__all__ = [
    "SENTENCE_SPLITTER_VERSION",
    "Document",
    "ReadCounts",
    "ReadLimits",
    "ReadOptions",
    "read_documents",
]


def read_documents(
    file: InputFile,
    options: ReadOptions,
    counts: ReadCounts,
    start: int = 0,
    stop: int | None = None,
    *,
    limits: ReadLimits = LIMITS,
) -> Iterator[Document]:
    r"""Yield the documents of a file, or those that belong to a slice of it, in order.

    Parameters
    ----------
    file : InputFile
        As `find_inputs` gave it.
    options : ReadOptions
        Fields, what to do with bad text, and sentence splitting.
    counts : ReadCounts
        Is added to, document by document.
    start, stop : int, 0 <= start <= stop
        Bytes of an uncompressed file of plain text; by default all of it. A slice owns the documents
        whose preceding blank line begins in it, and the one at 0 the first document as well, so
        that any cutting gives every document once, with the same key.
    limits : ReadLimits
        Where text is cut, so that memory is bounded. Other limits are for tests.

    Yields
    ------
    Document
        With at least one sentence.

    Raises
    ------
    RecordsError
        For text that is not UTF-8 or holds NUL (unless `options.on_bad_text`), a damaged file, a
        missing field, and a file that has changed since it was found.
    ValueError
        For a slice of a file that has none.
    ImportError
        For Parquet without ``maskcore[parquet]``, .zst without ``maskcore[zstd]``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from maskcore.records.reading.inputs import find_inputs
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_text("One sentence.\nAnother one.\n\nA new document.\n")
    >>> [file] = find_inputs(path)
    >>> [(d.offset, d.sentences) for d in read_documents(file, ReadOptions(), ReadCounts())]
    [(0, ['One sentence.', 'Another one.']), (28, ['A new document.'])]

    """
    if (start != 0 or stop is not None) and not file.is_sliceable:
        raise value_error(
            "start, stop",
            f"0, None for {file.name} (format {file.format}, compression {file.compression})",
            f"{start}, {stop}",
            "only plain text without compression has slices",
        )
    if start < 0 or (stop is not None and stop < start):
        raise value_error("start, stop", "0 <= start <= stop", f"{start}, {stop}", "count bytes")
    emitter = DocumentEmitter(file, options, counts)
    if file.format == "parquet":
        return read_parquet(emitter, limits)
    if file.format == "jsonl":
        return read_jsonl(emitter, limits)
    return read_plain(emitter, limits, start, stop)
