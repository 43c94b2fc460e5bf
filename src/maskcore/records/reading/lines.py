# SPDX-License-Identifier: Apache-2.0
r"""From blocks of bytes to lines, and where a line that is too long is cut.

Owns what ends a line: `\n`, with `\r` before it or without, and nothing else. Knows nothing of
documents, and decodes only to find white space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

__all__ = ["BYTE_ORDER_MARK", "LinePiece", "Lines", "line_pieces", "read_lines"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Lines:
    """Whole lines, none too long."""

    offset: int
    """Of the first byte in the file."""
    raw: bytes
    """With their line ends; the last line of a file may lack its own."""
    ends: list[int]
    """In `raw`: of each line, where its line feed is, or would be."""


@dataclass(slots=True)
class LinePiece:
    """A piece of a line that is too long."""

    offset: int
    raw: bytes
    """Without the line feed behind the last piece."""
    is_first: bool
    is_last: bool


def read_lines(
    blocks: Iterable[bytes], limit: int, offset: int = 0, *, starts_inside: bool = False
) -> Iterator[Lines | LinePiece]:
    """Yield all lines; those of more than `limit` bytes in pieces. How blocks are cut changes nothing.

    With `starts_inside`, `offset` may be anywhere in a line: everything up to the first line end is
    left out. Without it, a byte order mark is left out.
    """
    blocks = iter(blocks)
    head = _skip_line(blocks) if starts_inside else _skip_mark(blocks)
    offset += head.skipped
    held: list[bytes] = []  # what follows the last line end
    num_held = 0
    is_inside = False  # of a line whose first piece has been yielded
    for block in chain([head.rest], blocks):
        end = block.rfind(b"\n") + 1
        if end:
            raw = b"".join([*held, block[:end]])
            yield from _split(raw, offset, limit, is_inside)
            offset += len(raw)
            is_inside = False
            held, num_held = [block[end:]], len(block) - end
        else:
            held.append(block)
            num_held += len(block)
        # A byte more, since that may be the `\r` of a line end.
        if num_held > limit + 1:
            raw = b"".join(held)
            for start, piece in line_pieces(raw, limit, keep=limit + 1):
                if start + len(piece) == len(raw):
                    held, num_held = [piece], len(piece)
                else:
                    yield LinePiece(offset + start, piece, not is_inside, False)
                    is_inside = True
            offset += len(raw) - num_held
    if num_held:
        yield from _split(b"".join(held), offset, limit, is_inside)


class _Head(NamedTuple):
    skipped: int
    rest: bytes


def _skip_line(blocks: Iterator[bytes]) -> _Head:
    skipped = 0
    for block in blocks:
        end = block.find(b"\n") + 1
        if end:
            return _Head(skipped + end, block[end:])
        skipped += len(block)
    return _Head(skipped, b"")


def _skip_mark(blocks: Iterator[bytes]) -> _Head:
    head = b""
    while len(head) < len(BYTE_ORDER_MARK) and (block := next(blocks, b"")):
        head += block
    if head.startswith(BYTE_ORDER_MARK):
        return _Head(len(BYTE_ORDER_MARK), head[len(BYTE_ORDER_MARK) :])
    return _Head(0, head)


def _split(raw: bytes, offset: int, limit: int, is_inside: bool) -> Iterator[Lines | LinePiece]:
    """Yield the lines of `raw`; the first one is the rest of a line if `is_inside`."""
    stops = np.flatnonzero(np.frombuffer(raw, np.uint8) == ord("\n"))
    if not raw.endswith(b"\n"):
        stops = np.append(stops, len(raw))
    ends: list[int] = stops.tolist()
    if not is_inside and int(np.diff(stops, prepend=-1).max()) - 1 <= limit:
        yield Lines(offset, raw, ends)
        return
    first = start = 0  # the first line not yet yielded, and where it starts
    begin = 0
    for number, end in enumerate(ends):
        content = raw[start : end - raw.endswith(b"\r", start, end)]
        if len(content) > limit or (is_inside and number == 0):
            if number > first:
                yield Lines(
                    offset + begin, raw[begin:start], [e - begin for e in ends[first:number]]
                )
            pieces = list(line_pieces(content, limit))
            for at, piece in pieces:
                is_first = at == 0 and not (is_inside and number == 0)
                is_last = at + len(piece) == len(content)
                stop = end if is_last else start + at + len(piece)
                yield LinePiece(offset + start + at, raw[start + at : stop], is_first, is_last)
            first, begin = number + 1, end + 1
        start = end + 1
    if first < len(ends):
        yield Lines(offset + begin, raw[begin:], [e - begin for e in ends[first:]])


def line_pieces(line: bytes, limit: int, *, keep: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Cut a line into pieces of at most `limit` bytes; the last one may have `keep`.

    Yields
    ------
    (int, bytes)
        Where the piece begins, and the piece. An empty line is one piece.

    """
    keep = limit if keep is None else keep
    start = 0
    while len(line) - start > keep:
        stop = _cut(line, start, start + limit)
        yield start, line[start:stop]
        start = stop
    yield start, line[start:]


def _cut(line: bytes, start: int, stop: int) -> int:
    """Return the last position behind white space in `line[start:stop]`, else `stop`.

    Never inside a character, if the text is UTF-8: then `stop` is up to three bytes smaller.
    """
    for position in range(stop, max(start, stop - 4), -1):
        if line[position] & 0xC0 != 0x80:  # no continuation byte: RFC 3629, section 3
            stop = position
            break
    text = line[start:stop].decode("utf-8", "surrogateescape")
    if text[-1].isspace():
        return stop
    word = text.rsplit(None, 1)[-1]
    word_start = stop - len(word.encode("utf-8", "surrogateescape"))
    return word_start if word_start > start else stop
