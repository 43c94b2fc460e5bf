# SPDX-License-Identifier: Apache-2.0
"""MANIFEST.json: what a folder of records holds and how it was made.

Owns the file's fields, its JSON form and the checks on reading it. It is written last: a folder
without it is unfinished. Nothing in it depends on the time, the machine or the place, so that the
same build gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskcore.config import MaskConfig
from maskcore.records._errors import RecordsError
from maskcore.records.tfrecord import ShardEntry
from maskcore.records.tokenise import SpecialToken

__all__ = ["MANIFEST_FILE", "InputEntry", "Manifest", "TokenizerEntry", "read_manifest"]

MANIFEST_FILE = "MANIFEST.json"
FORMAT = "maskcore-records"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class InputEntry:
    """One file of the corpus, as it was read."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TokenizerEntry:
    """The tokenizer beside the records."""

    file: str
    sha256: str
    vocab_size: int
    word_rule: str
    """The rule of docs/records.md by which words begin."""
    special_tokens: dict[str, SpecialToken]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `MANIFEST.json` says."""

    maskcore_version: str
    algorithm_version: int
    seq_length: int
    mask: MaskConfig
    mask_epochs: int
    tokenizer: TokenizerEntry
    features: dict[str, int]
    """Feature name -> number of int64 values."""
    inputs: tuple[InputEntry, ...]
    shards: tuple[ShardEntry, ...]
    counts: dict[str, Any]
    """Documents, sentences, tokens and rows: docs/records.md names them."""

    @property
    def num_rows(self) -> int:
        """The number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    def to_json(self) -> str:
        """Return the file's content."""
        tokenizer = self.tokenizer
        fields = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "maskcore_version": self.maskcore_version,
            "algorithm_version": self.algorithm_version,
            "seq_length": self.seq_length,
            "mask": self.mask.to_json(),
            "mask_epochs": self.mask_epochs,
            "tokenizer": {
                "file": tokenizer.file,
                "sha256": tokenizer.sha256,
                "vocab_size": tokenizer.vocab_size,
                "word_rule": tokenizer.word_rule,
                "special_tokens": {
                    role: special._asdict()
                    for role, special in sorted(tokenizer.special_tokens.items())
                },
            },
            "features": self.features,
            "inputs": [{"name": entry.name, "bytes": entry.bytes} for entry in self.inputs],
            "shards": [shard._asdict() for shard in self.shards],
            "counts": self.counts,
        }
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Manifest:
        """Return what `to_json` described."""
        tokenizer = fields["tokenizer"]
        return cls(
            maskcore_version=fields["maskcore_version"],
            algorithm_version=fields["algorithm_version"],
            seq_length=fields["seq_length"],
            mask=MaskConfig.from_json(fields["mask"]),
            mask_epochs=fields["mask_epochs"],
            tokenizer=TokenizerEntry(
                tokenizer["file"],
                tokenizer["sha256"],
                tokenizer["vocab_size"],
                tokenizer["word_rule"],
                {
                    role: SpecialToken(**special)
                    for role, special in tokenizer["special_tokens"].items()
                },
            ),
            features=dict(fields["features"]),
            inputs=tuple(InputEntry(**entry) for entry in fields["inputs"]),
            shards=tuple(ShardEntry(**entry) for entry in fields["shards"]),
            counts=dict(fields["counts"]),
        )


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a folder of records.

    Raises
    ------
    RecordsError
        If there is none, or it is damaged or of another format version.

    """
    path = Path(folder, MANIFEST_FILE)
    if not path.is_file():
        raise RecordsError(
            f"{folder}: no {MANIFEST_FILE}, so this is no folder of records, or its build did not "
            "finish; "
            "run maskcore build"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
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
