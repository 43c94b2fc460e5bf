# SPDX-License-Identifier: Apache-2.0
"""JSON lines: one object a line, one of its fields is a document.

Owns what a line may hold and the errors about it. What a value becomes is in `values`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from maskcore.records._errors import RecordsError
from maskcore.records.reading.emit import REPLACEMENT, BadText, DocumentEmitter
from maskcore.records.reading.lines import LinePiece, read_lines
from maskcore.records.reading.model import Document, ReadLimits
from maskcore.records.reading.storage import open_stored, read_blocks
from maskcore.records.reading.values import Row, field_of, text_value, user_id, value_documents

__all__ = ["read_jsonl"]


def read_jsonl(emitter: DocumentEmitter, limits: ReadLimits) -> Iterator[Document]:
    """Yield the document of each line that is not blank.

    Raises
    ------
    RecordsError
        For a line that is no JSON object, is longer than `limits.value_bytes`, or has no text.

    """
    file = emitter.file
    number = 0
    with open_stored(file) as stream:
        blocks = read_blocks(file, stream, emitter.counts, limits.block_bytes)
        for chunk in read_lines(blocks, limits.value_bytes):
            if isinstance(chunk, LinePiece):
                raise RecordsError(
                    f"{file.path}: line {number + 1} is longer than {limits.value_bytes} bytes, which "
                    "are parsed in one go; split its document, or pass it as plain text"
                )
            start = 0
            for end in chunk.ends:
                number += 1
                raw = chunk.raw[start:end]
                if raw and not raw.isspace():
                    yield from _line_documents(emitter, limits, raw, number, chunk.offset + start)
                start = end + 1


def _line_documents(
    emitter: DocumentEmitter, limits: ReadLimits, raw: bytes, number: int, offset: int
) -> Iterator[Document]:
    options = emitter.options
    place = f"{emitter.file.path}: line {number}"
    line = emitter.text(raw, lambda position: f"byte {offset + position} (line {number})")
    if line is None:
        return
    record = _parse(line, place)
    fields = (
        f"are the fields {', '.join(map(repr, list(record)[:8]))}" if record else "are no fields"
    )
    text = text_value(field_of(record, options.text_field), options.text_field, place, fields)
    name = (
        None
        if options.id_field is None
        else user_id(field_of(record, options.id_field), options.id_field, place)
    )
    bad = _escaped_bad_text(text)
    if bad is not None:
        where = f"character {bad.position} of field {options.text_field!r} (line {number})"
        replaced = emitter.resolve(bad, where)
        if replaced is None:
            emitter.skip(len(raw))
            return
        text = replaced
    yield from value_documents(emitter, limits, Row(offset, False, name), text)


def _parse(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordsError(
            f"{place} is no JSON ({error.msg} at character {error.pos}); JSONL holds one whole object "
            "a line: correct the line, or pass --text-format plain for text"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 4,301 digits; a thousand brackets
        raise RecordsError(f"{place} cannot be parsed ({error}); correct the line") from None
    if not isinstance(record, dict):
        hint = "; turn a JSON array into lines, for example with jq -c '.[]'"
        raise RecordsError(
            f"{place} holds a {type(record).__name__} and no object, as each line of JSONL does"
            f"{hint if isinstance(record, list) else '; correct the line'}"
        )
    return record


def _escaped_bad_text(text: str) -> BadText | None:
    r"""Return what is wrong with a value: `\u0000`, or `\ud800` without its other half."""
    if text.isascii():
        if "\0" not in text:
            return None
    else:
        try:
            text.encode("utf-8")
            if "\0" not in text:
                return None
        except UnicodeEncodeError:
            pass
    bad = [i for i, c in enumerate(text) if c == "\0" or "\ud800" <= c <= "\udfff"]
    first = text[bad[0]]
    characters = list(text)
    for position in bad:
        characters[position] = REPLACEMENT
    reason = "NUL" if first == "\0" else f"half a surrogate pair (\\u{ord(first):04x})"
    return BadText(reason, bad[0], "".join(characters), len(bad))
