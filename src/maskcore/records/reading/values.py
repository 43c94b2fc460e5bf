# SPDX-License-Identifier: Apache-2.0
"""Documents that are one value of a field: what JSONL and Parquet share.

Owns the lines and parts of a value, and how a field is found in nested objects. Knows nothing of how
a format stores values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from maskcore.records._errors import RecordsError
from maskcore.records.reading.emit import DocumentEmitter
from maskcore.records.reading.lines import line_pieces
from maskcore.records.reading.model import Document, ReadLimits
from maskcore.records.rows.row_identity import document_key, user_document_key

__all__ = ["MISSING", "Row", "bad_id", "field_of", "text_value", "user_id", "value_documents"]

MISSING = object()

# A row of Parquet is called by its number; a further part of it has the part's number above these
# bits, which no row reaches.
_ROW_NUMBER_BITS = 48


class Row(NamedTuple):
    """Where a value is, and what it is called."""

    offset: int
    """Of the line in JSONL, the row's number in Parquet."""
    is_numbered: bool
    """`offset` is a row's number."""
    user_id: str | None

    def key(self, name: str, part: int, position: int) -> bytes:
        """Return the key of the part that begins at byte `position` of the value."""
        if self.user_id is not None:
            # No id holds a NUL: such a key is never that of another id.
            suffix = b"\0" + struct.pack("<Q", position) if part else b""
            return user_document_key(self.user_id) + suffix
        if self.is_numbered:
            return document_key(name, self.offset + (part << _ROW_NUMBER_BITS))
        # A value is never longer than its JSON, so that the next line's offset is not reached.
        return document_key(name, self.offset + position)


def field_of(record: Mapping[str, Any], field: str) -> Any:
    """Return the field, through nested objects where its name has dots; MISSING if there is none.

    >>> field_of({"meta": {"text": "a"}}, "meta.text")
    'a'
    """
    if field in record:
        return record[field]
    value: Any = record
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def user_id(value: Any, field: str, place: str) -> str:
    """Return the id that a record carries.

    Raises
    ------
    RecordsError
        If it is no id.

    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value and "\0" not in value and _is_unicode(value):
        return value
    raise bad_id("is not there" if value is MISSING else f"is {_short(value)}", field, place)


def bad_id(found: str, field: str, place: str) -> RecordsError:
    """Return the error about an id that is none."""
    return RecordsError(
        f"{place}: id field {field!r} {found}, but an id is a str, not empty and without NUL, or an "
        "int; name another field with id_field (--id-field), or none: documents are then called by "
        "file and place"
    )


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def text_value(value: Any, field: str, place: str, fields: str) -> str:
    """Return the text of a record; `fields` says what there is.

    Raises
    ------
    RecordsError
        If it is missing, null or no str.

    """
    if isinstance(value, str):
        return value
    if value is MISSING:
        raise RecordsError(
            f"{place}: no text field {field!r} (there {fields}); name the field with text_field "
            "(--text-field)"
        )
    kind = "null" if value is None else f"{_short(value)}, no str"
    raise RecordsError(
        f"{place}: text field {field!r} is {kind}; leave such records out of the corpus, or name "
        "another field with text_field (--text-field)"
    )


def value_documents(
    emitter: DocumentEmitter, limits: ReadLimits, row: Row, text: str
) -> Iterator[Document]:
    """Yield the document of a value: its lines are sentences, and blank ones are passed over."""
    name = emitter.file.name
    if 4 * len(text) <= limits.line_bytes:  # UTF-8 has at most 4 bytes for a character
        lines = [line for line in map(str.strip, text.split("\n")) if line]
        if lines:
            yield emitter.document(row.key(name, 0, 0), row.offset, lines)
        else:
            emitter.counts.documents_empty += 1
        return
    num_parts = 0
    for position, lines in _parts(emitter, limits, text.encode("utf-8")):
        yield emitter.document(row.key(name, num_parts, position), row.offset, lines)
        num_parts += 1
    emitter.counts.documents_empty += num_parts == 0
    emitter.counts.documents_cut += num_parts > 1


def _parts(
    emitter: DocumentEmitter, limits: ReadLimits, value: bytes
) -> Iterator[tuple[int, list[str]]]:
    """Yield where a part begins in the value, and its lines."""
    lines: list[str] = []
    part_start = line_start = 0
    while line_start <= len(value):
        line_end = value.find(b"\n", line_start)
        if line_end < 0:
            line_end = len(value)
        num_pieces = 0
        for at, piece in line_pieces(value[line_start:line_end], limits.line_bytes):
            line = piece.decode("utf-8").strip()
            if not line:
                continue
            num_pieces += 1
            start = line_start + at
            if lines and start + len(piece) - part_start > limits.document_bytes:
                yield part_start, lines
                lines = []
            if not lines:
                part_start = start
            lines.append(line)
        emitter.counts.lines_cut += num_pieces > 1
        line_start = line_end + 1
    if lines:
        yield part_start, lines
