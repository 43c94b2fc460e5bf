# SPDX-License-Identifier: Apache-2.0
"""What all formats share: bad text, and documents as they are given out and counted.

Owns the policy for text that is not UTF-8, and the splitting of lines into sentences. Knows nothing
of files or lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from maskcore.records._errors import RecordsError
from maskcore.records.reading.model import Document, InputFile, ReadCounts, ReadOptions
from maskcore.records.reading.sentences import sentence_splitter

__all__ = ["BadText", "DocumentEmitter", "decode"]

REPLACEMENT = "\ufffd"


class BadText(NamedTuple):
    """What is wrong with some text, and how it reads with U+FFFD."""

    reason: str
    position: int
    """Of the first bad byte."""
    replaced: str
    num_replaced: int


def decode(raw: bytes) -> str | BadText:
    r"""Return the text, or what is wrong with it: invalid UTF-8, or a NUL.

    >>> decode(b"ab\xff").reason
    'invalid UTF-8 (0xff)'
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        reason, position = f"invalid UTF-8 (0x{raw[error.start]:02x})", error.start
    else:
        if "\0" not in text:
            return text
        reason, position = "NUL", raw.index(0)
    nul = raw.find(0)
    if 0 <= nul < position:
        reason, position = "NUL", nul
    text = raw.decode("utf-8", "replace")
    # In valid text U+FFFD is these three bytes, which mean nothing else.
    num_replaced = text.count(REPLACEMENT) - raw.count(b"\xef\xbf\xbd") + text.count("\0")
    return BadText(reason, position, text.replace("\0", REPLACEMENT), num_replaced)


class DocumentEmitter:
    """Gives out the documents of a file, and counts."""

    def __init__(self, file: InputFile, options: ReadOptions, counts: ReadCounts) -> None:
        self.file = file
        self.options = options
        self.counts = counts
        self._name = file.name
        self._split = sentence_splitter(options.sentence_splitting)

    def document(self, key: bytes, offset: int, lines: list[str]) -> Document:
        """Return a document of stripped lines, not none and none empty."""
        if self._split is not None:
            lines = [sentence for line in lines for sentence in self._split(line)]
        counts = self.counts
        counts.documents += 1
        counts.sentences += len(lines)
        return Document(key, self._name, offset, lines)

    def resolve(self, bad: BadText, place: str) -> str | None:
        """Return what is read instead of bad text; None leaves the document out.

        Raises
        ------
        RecordsError
            By default; `place` says where.

        """
        if self.options.on_bad_text == "error":
            raise RecordsError(
                f"{self.file.path}: {bad.reason} at {place}; convert it to UTF-8 without NUL, for "
                "example with iconv, or pass on_bad_text (--on-bad-text) skip or replace"
            )
        if self.options.on_bad_text == "skip":
            return None
        self.counts.characters_replaced += bad.num_replaced
        return bad.replaced

    def text(self, raw: bytes, place: Callable[[int], str]) -> str | None:
        """Return the text of a document, or what is read instead; None leaves it out, counted.

        `place` says where the byte of a position is.
        """
        text = decode(raw)
        if isinstance(text, str):
            return text
        replaced = self.resolve(text, place(text.position))
        if replaced is None:
            self.skip(len(raw))
        return replaced

    def skip(self, num_bytes: int) -> None:
        """Count a document that is left out."""
        self.counts.documents_skipped += 1
        self.counts.bytes_skipped += num_bytes
