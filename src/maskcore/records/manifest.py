# SPDX-License-Identifier: Apache-2.0
"""MANIFEST.json: what a folder of records holds and how it was made.

Owns the file's fields, its JSON form and the checks on reading it. It is written last: a folder
without it is unfinished. Nothing in it depends on the time, the machine or the place, so that the
same build gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from maskcore.config import MaskConfig
from maskcore.records._errors import RecordsError
from maskcore.records.tokenising.tokenise import SpecialToken

__all__ = [
    "MANIFEST_FILE",
    "SHA256_FIELD",
    "FeatureEntry",
    "InputEntry",
    "Manifest",
    "ShardEntry",
    "TokenizerEntry",
    "fields_sha256",
    "no_manifest",
    "parse_manifest",
    "read_manifest",
]

MANIFEST_FILE = "MANIFEST.json"
FORMAT = "maskcore-records"
FORMAT_VERSION = 2
SHA256_FIELD = "manifest_sha256"


class InputEntry(NamedTuple):
    """One file of the corpus, as it was read."""

    name: str
    bytes: int
    sha256: str | None
    """Of its content, or of the digests of its slices: docs/records.md; None for a remote file."""


class FeatureEntry(NamedTuple):
    """One feature of a record."""

    length: int
    """Number of values."""
    dtype: str
    """NumPy's name of their type as they are stored: "int64", "uint16", ..."""


class ShardEntry(NamedTuple):
    """One file of records."""

    file: str
    bin_length: int
    """Tokens in each of its rows, padding included."""
    records: int
    bytes: int
    sha256: str


class TokenizerEntry(NamedTuple):
    """The tokenizer beside the records."""

    file: str
    kind: str
    sha256: str
    vocab_size: int
    word_rule: str
    """The rule of docs/records.md by which words begin."""
    special_tokens: dict[str, SpecialToken]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `MANIFEST.json` says."""

    maskcore_version: str
    algorithm_version: int
    """Of the masks: docs/algorithm.md."""
    plan_sha256: str
    """Of everything that was asked for; equal plans on equal inputs give equal files."""
    schema: str
    """"maskcore" or "bert"."""
    layout: str
    """"int64" or "compact"."""
    file_format: str
    """"tfrecord" or "parquet"."""
    seq_length: int
    """The longest bin."""
    bins: tuple[int, ...]
    """Lengths of rows, ascending; at least one."""
    pairs: str
    """"none", "sop" or "nsp"."""
    short_seq_prob: float
    pack: bool
    dupe_factor: int
    mask: MaskConfig
    mask_epochs: int
    tokenizer: TokenizerEntry
    features: dict[int, dict[str, FeatureEntry]]
    """Bin length -> feature name -> its values."""
    inputs: tuple[InputEntry, ...]
    shards: tuple[ShardEntry, ...]
    """Sorted by file name."""
    counts: dict[str, Any]
    """Documents, sentences, tokens and rows: docs/records.md names them."""

    @property
    def num_rows(self) -> int:
        """The number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    def to_json(self) -> str:
        """Return the file's content."""
        fields = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
            "bins": list(self.bins),
            "mask": self.mask.to_json(),
            "tokenizer": {
                **self.tokenizer._asdict(),
                "special_tokens": {
                    role: special._asdict()
                    for role, special in sorted(self.tokenizer.special_tokens.items())
                },
            },
            "features": {
                str(length): {name: entry._asdict() for name, entry in sorted(entries.items())}
                for length, entries in sorted(self.features.items())
            },
            "inputs": [entry._asdict() for entry in self.inputs],
            "shards": [shard._asdict() for shard in self.shards],
            "counts": self.counts,
        }
        fields[SHA256_FIELD] = fields_sha256(fields)
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Manifest:
        """Return what `to_json` described."""
        special = fields["tokenizer"]["special_tokens"]
        return cls(
            **{name: fields[name] for name in _PLAIN_FIELDS},
            bins=tuple(fields["bins"]),
            mask=MaskConfig.from_json(fields["mask"]),
            tokenizer=TokenizerEntry(
                **{
                    **fields["tokenizer"],
                    "special_tokens": {
                        role: SpecialToken(**token) for role, token in special.items()
                    },
                }
            ),
            features={
                int(length): {name: FeatureEntry(**entry) for name, entry in entries.items()}
                for length, entries in fields["features"].items()
            },
            inputs=tuple(InputEntry(**entry) for entry in fields["inputs"]),
            shards=tuple(ShardEntry(**entry) for entry in fields["shards"]),
            counts=dict(fields["counts"]),
        )


_PLAIN_FIELDS = (
    "maskcore_version",
    "algorithm_version",
    "plan_sha256",
    "schema",
    "layout",
    "file_format",
    "seq_length",
    "pairs",
    "short_seq_prob",
    "pack",
    "dupe_factor",
    "mask_epochs",
)


def fields_sha256(fields: Mapping[str, Any]) -> str:
    """Return the `manifest_sha256` of a manifest's fields: of all others.

    They are hashed as JSON in ASCII, with sorted keys and without spaces.

    >>> fields_sha256({"mask_epochs": 2, "bins": [64], "manifest_sha256": "any"})[:16]
    '969b3df4c0fb17ec'
    """
    others = {name: value for name, value in fields.items() if name != SHA256_FIELD}
    canonical = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a folder of records.

    Raises
    ------
    RecordsError
        If there is none, or it is damaged or of another format version.

    """
    path = Path(folder, MANIFEST_FILE)
    if not path.is_file():
        raise no_manifest(folder)
    return parse_manifest(path.read_bytes(), path)


def no_manifest(folder: str | os.PathLike[str]) -> RecordsError:
    """Return the error for a folder without a manifest."""
    return RecordsError(
        f"{folder}: no {MANIFEST_FILE}, so this is no folder of records, or its build did not "
        "finish; "
        "run maskcore build"
    )


def parse_manifest(content: bytes, path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest that a file holds; errors name the file `path`.

    Raises
    ------
    RecordsError
        If it is damaged or of another format version.

    """
    try:
        fields = json.loads(content)
        if fields["format"] != FORMAT:
            raise ValueError(f"format {fields['format']!r}")
        version = fields["format_version"]
        if version != FORMAT_VERSION:
            raise RecordsError(
                f"{path}: format version {version}, this maskcore reads {FORMAT_VERSION}; "
                f"use the maskcore that wrote it ({fields['maskcore_version']}), or build again"
            )
        return Manifest.from_fields(fields)
    except RecordsError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordsError(
            f"{path}: damaged ({type(error).__name__}: {error}); build the records again"
        ) from None
