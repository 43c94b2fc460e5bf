# SPDX-License-Identifier: Apache-2.0
"""Plain text in BERT's form: a line is a sentence, a blank line ends the document.

Owns where a document begins and ends, which slice of a file it belongs to, and where one that is
too long is cut. Works on blocks of lines: the usual line costs no step of its own in Python.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

from maskcore.records.reading.emit import BadText, DocumentEmitter, decode
from maskcore.records.reading.lines import LinePiece, Lines, read_lines
from maskcore.records.reading.model import Document, ReadLimits
from maskcore.records.reading.storage import open_stored, read_blocks
from maskcore.records.rows.row_identity import document_key

__all__ = ["read_plain"]


def read_plain(
    emitter: DocumentEmitter, limits: ReadLimits, start: int, stop: int | None
) -> Iterator[Document]:
    """Yield the documents that belong to the slice from `start` to `stop`.

    These are the documents whose preceding blank line begins in the slice; before the first line of
    a file stands, in thought, a blank line at 0. Nothing behind the slice's last document is
    looked at.
    """
    file, counts = emitter.file, emitter.counts
    if start and start >= file.size_bytes:
        return
    with open_stored(file) as stream:
        # From the byte before, which may be the line end that makes `start` the start of a line.
        begin = max(0, start - 1)
        if begin:
            stream.seek(begin)
        counts.bytes_read -= start - begin  # it is counted in the slice before
        blocks = read_blocks(file, stream, counts, limits.block_bytes, start=begin, stop=stop)
        reader = _PlainReader(emitter, limits, start, 1 << 63 if stop is None else stop)
        for chunk in read_lines(blocks, limits.line_bytes, begin, starts_inside=start > 0):
            if reader.is_done:
                break
            if isinstance(chunk, Lines):
                yield from reader.add_lines(chunk)
            else:
                yield from reader.add_piece(chunk)
        yield from reader.end_document()


class _PlainReader:
    """Cuts lines into documents."""

    def __init__(self, emitter: DocumentEmitter, limits: ReadLimits, start: int, stop: int) -> None:
        self._emitter = emitter
        self._limits = limits
        self._stop = stop
        self._key_prefix = document_key(emitter.file.name, 0)[:-8]
        self._is_owner = start == 0  # of what follows, up to the next blank line
        self.is_done = start >= stop
        """The documents of the slice have ended."""
        self._is_at_start = start == 0
        self._sentences: list[str] = []
        self._part_start = -1  # of the open part of the open document; -1 outside of documents
        self._part_end = 0
        self._num_parts = 0  # that the open document has had
        self._has_bad_text = False  # in the open part
        self._long_line_start = 0
        self._long_line_is_blank = True

    def add_lines(self, lines: Lines) -> Iterator[Document]:
        texts, bad = _decode_lines(lines)
        position = lines.offset + len(lines.raw)
        first = 0
        if not bad and position <= self._stop and len(lines.raw) <= self._limits.document_bytes:
            blanks = [line for line, text in enumerate(texts) if not text]
            if blanks:
                yield from self._add(lines, texts, bad, 0, blanks[0])
                yield from self.end_document()
                yield from self._whole_documents(lines, texts, blanks)
                self._is_owner, self._is_at_start = True, False
                first = blanks[-1] + 1
        yield from self._add(lines, texts, bad, first, len(texts))
        self._look_at_stop(position)

    def _whole_documents(
        self, lines: Lines, texts: list[str], blanks: list[int]
    ) -> Iterator[Document]:
        """Yield what stands between blank lines of the slice, as `_add` would: most documents."""
        ends, offset, document = lines.ends, lines.offset, self._emitter.document
        for blank, next_blank in pairwise(blanks):
            if next_blank > blank + 1:
                start = offset + ends[blank] + 1
                key = self._key_prefix + start.to_bytes(8, "little")
                yield document(key, start, texts[blank + 1 : next_blank])

    def _add(
        self, lines: Lines, texts: list[str], bad: dict[int, BadText], line: int, stop: int
    ) -> Iterator[Document]:
        """Take the lines from `line` to `stop`, one run of text or blank lines after the other."""
        ends, offset = lines.ends, lines.offset
        while line < stop:
            if not texts[line]:
                if self._part_start >= 0:
                    yield from self.end_document()
                while line + 1 < stop and not texts[line + 1]:
                    line += 1
                    self._is_at_start = False
                # The last blank line is the one before the next document.
                self._pass_blank_line(offset + (ends[line - 1] + 1 if line else 0))
                if self.is_done:
                    return
                line += 1
                continue
            try:
                end = texts.index("", line, stop)
            except ValueError:
                end = stop
            if self._is_owner:
                bad_lines = self._resolve(lines, texts, bad, line, end) if bad else []
                yield from self._extend(lines, texts, line, end, bad_lines)
            line = end
            self._is_at_start = False

    def add_piece(self, piece: LinePiece) -> Iterator[Document]:
        """Take a piece of a long line: a sentence of its own, but only a blank line ends documents."""
        if piece.is_first:
            self._long_line_start, self._long_line_is_blank = piece.offset, True
        lines = Lines(piece.offset, piece.raw, [len(piece.raw)])
        texts, bad = _decode_lines(lines)
        if texts[0]:
            self._long_line_is_blank = False
            if self._is_owner:
                bad_lines = self._resolve(lines, texts, bad, 0, 1) if bad else []
                yield from self._extend(lines, texts, 0, 1, bad_lines)
        if piece.is_last and self._long_line_is_blank:
            yield from self.end_document()
            self._pass_blank_line(self._long_line_start)
        elif piece.is_last and self._is_owner:
            self._emitter.counts.lines_cut += 1
        self._is_at_start = False
        if piece.is_last or not self._long_line_is_blank:  # else it may prove a blank line
            self._look_at_stop(piece.offset + len(piece.raw))

    def _look_at_stop(self, position: int) -> None:
        if not self._is_owner and position >= self._stop:
            self.is_done = True

    def _pass_blank_line(self, start: int) -> None:
        self._is_owner = self._is_at_start or start < self._stop
        self.is_done = not self._is_owner
        self._is_at_start = False

    def _resolve(
        self, lines: Lines, texts: list[str], bad: dict[int, BadText], first: int, last: int
    ) -> list[int]:
        """Replace bad text in the lines from `first` to `last`; return the lines that it spoils."""
        spoilt = []
        for line in range(first, last):
            if line in bad:
                start = lines.ends[line - 1] + 1 if line else 0
                place = f"byte {lines.offset + start + bad[line].position}"
                text = self._emitter.resolve(bad[line], place)
                if text is None:
                    spoilt.append(line)
        return spoilt

    def _extend(
        self, lines: Lines, texts: list[str], first: int, last: int, bad_lines: list[int]
    ) -> Iterator[Document]:
        """Add the lines from `first` to `last` to the open document, or open one."""
        ends = lines.ends
        if self._part_start < 0:
            self._open_part(lines, first)
        while first < last:
            limit = self._part_start + self._limits.document_bytes - lines.offset
            stop = bisect_right(ends, limit, first, last)
            if stop == first:  # no further line fits
                if self._part_end > self._part_start:
                    yield from self._end_part()
                    self._num_parts += 1
                    self._open_part(lines, first)
                    continue
                stop = first + 1
            self._sentences += texts[first:stop]
            self._part_end = lines.offset + ends[stop - 1]
            if bisect_left(bad_lines, stop) > bisect_left(bad_lines, first):
                self._has_bad_text = True
            if self._has_bad_text:
                self._sentences.clear()
            first = stop

    def _open_part(self, lines: Lines, line: int) -> None:
        self._part_start = lines.offset + (lines.ends[line - 1] + 1 if line else 0)
        self._part_end = self._part_start

    def _end_part(self) -> Iterator[Document]:
        if self._has_bad_text:
            self._emitter.skip(self._part_end - self._part_start)
        else:
            key = self._key_prefix + self._part_start.to_bytes(8, "little")
            yield self._emitter.document(key, self._part_start, self._sentences)
        self._sentences = []
        self._has_bad_text = False

    def end_document(self) -> Iterator[Document]:
        if self._part_start >= 0:
            yield from self._end_part()
            self._emitter.counts.documents_cut += self._num_parts > 0
            self._part_start, self._num_parts = -1, 0


def _decode_lines(lines: Lines) -> tuple[list[str], dict[int, BadText]]:
    """Return the stripped lines, and what is wrong with those that are not text."""
    raw = lines.raw
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError:
        whole = "\0"
    if "\0" not in whole:
        texts = list(map(str.strip, whole.split("\n")))
        del texts[len(lines.ends) :]  # what follows the last line end
        return texts, {}
    texts, bad = [], {}
    start = 0
    for number, end in enumerate(lines.ends):
        text = decode(raw[start:end])
        if isinstance(text, BadText):
            bad[number] = text
            text = text.replaced
        texts.append(text.strip())
        start = end + 1
    return texts, bad
