# SPDX-License-Identifier: Apache-2.0
"""What reading takes and gives: files, options, documents, counts, and the limits of memory.

Owns these forms and the checks of the options. Knows nothing of how a format is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from maskcore.errors import type_error, value_error

__all__ = ["Document", "InputFile", "ReadCounts", "ReadLimits", "ReadOptions"]

TEXT_FORMATS = ("auto", "plain", "jsonl", "parquet")
ON_BAD_TEXT = ("error", "skip", "replace")
SENTENCE_SPLITTING = (None, "en", "ko")

# Text in a byte of a file: prose that gzip, bzip2 or Zstandard compressed, and columns of Parquet.
_COMPRESSED_EXPANSION = 4
_PARQUET_EXPANSION = 3


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of the corpus."""

    name: str
    """Path below the folder that was given, with `/`; a file given has its own name."""
    path: str
    """Where it is: a local path, or a URL that fsspec understands."""
    size_bytes: int
    """As stored, so compressed where it is compressed."""
    format: str = "plain"
    """`plain`, `jsonl` or `parquet`."""
    compression: str | None = None
    """None, `gzip`, `bz2` or `zstd`."""
    signature: str = ""
    """`storage.stored_signature` when it was found; readers refuse another one. Empty: not compared."""

    @property
    def estimated_text_bytes(self) -> int:
        """About how much text the file holds, for plans made before reading."""
        if self.format == "parquet":
            return self.size_bytes * _PARQUET_EXPANSION
        return self.size_bytes * (_COMPRESSED_EXPANSION if self.compression else 1)

    @property
    def is_sliceable(self) -> bool:
        """Whether `read_documents` takes `start` and `stop`."""
        return is_sliceable(self.format, self.compression)


def is_sliceable(file_format: str, compression: str | None) -> bool:
    """Whether slices of such a file can be read by themselves.

    >>> is_sliceable("plain", None), is_sliceable("plain", "gzip"), is_sliceable("jsonl", None)
    (True, False, False)
    """
    return file_format == "plain" and compression is None


class Document(NamedTuple):
    """A document, or a part of one that is too long to be held."""

    key: bytes
    """Its identity, whatever the batch, the shard or the machine: `row_identity.document_key`."""
    name: str
    """`InputFile.name`."""
    offset: int
    """Of the first line: bytes into the decompressed file, or the row's number in Parquet."""
    sentences: list[str]
    """At least one; stripped, none empty, without line ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a reader must know beyond the file.

    Raises
    ------
    TypeError, ValueError
        For a value out of its range.

    """

    text_format: str = "auto"
    """`auto` decides by the ending of the file's name; `find_inputs` obeys it."""
    text_field: str = "text"
    """Of JSONL and Parquet; dots lead into nested objects."""
    id_field: str | None = None
    """Of JSONL and Parquet: what names a document instead of its place."""
    on_bad_text: str = "error"
    """`error`, `skip` (leave the document out) or `replace` (by U+FFFD)."""
    sentence_splitting: str | None = None
    """None takes lines as sentences; `en` or `ko` splits each line."""

    def __post_init__(self) -> None:
        for name, value in (("text_field", self.text_field), ("id_field", self.id_field or "id")):
            if not isinstance(value, str):
                raise type_error(name, "a str", repr(value), "pass the field's name")
            if not value:
                raise value_error(name, "a field's name", repr(value), "pass the field's name")
        for name, choices in (
            ("text_format", TEXT_FORMATS),
            ("on_bad_text", ON_BAD_TEXT),
            ("sentence_splitting", SENTENCE_SPLITTING),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise value_error(name, " or ".join(map(repr, choices)), repr(value), "spell it so")


class ReadLimits(NamedTuple):
    """What bounds the memory of reading; parts of the format, since they decide where text is cut."""

    line_bytes: int = 1 << 20
    """A longer line is cut. A tokenizer needs some 100 bytes for each byte of a sentence."""
    document_bytes: int = 8 << 20
    """A longer document is cut into parts, each a document of its own."""
    value_bytes: int = 64 << 20
    """A longer line of JSONL or value of Parquet is refused: it is held whole."""
    block_bytes: int = 1 << 20
    """Read at once; decides nothing."""


LIMITS = ReadLimits()


@dataclass(slots=True)
class ReadCounts:
    """What was read; sums of those of any slices are those of the whole.

    >>> ReadCounts(documents=1).merge(ReadCounts(documents=2)).documents
    3
    """

    documents: int = 0
    """Given out; each part of a document that was cut counts."""
    documents_cut: int = 0
    """Longer than `ReadLimits.document_bytes`."""
    documents_empty: int = 0
    """JSONL and Parquet: of white space only. Plain text has none."""
    documents_skipped: int = 0
    """For bad text; each part of a document that was cut counts."""
    bytes_skipped: int = 0
    """Of their text in the decompressed file; of their lines in JSONL."""
    sentences: int = 0
    lines_cut: int = 0
    """Longer than `ReadLimits.line_bytes`."""
    characters_replaced: int = 0
    """By U+FFFD, with `on_bad_text="replace"`."""
    bytes_read: int = 0
    """Of the stored file; reaches `InputFile.size_bytes` when all of it is read."""

    def merge(self, other: ReadCounts) -> ReadCounts:
        """Return the sums."""
        return ReadCounts(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def to_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, int]) -> ReadCounts:
        """Return the counts that `to_json` gave."""
        return cls(**values)
