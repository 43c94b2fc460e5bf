# SPDX-License-Identifier: Apache-2.0
"""The account of a build: what was read, what was written, and the proof that they agree.

Owns the names under `counts` in the manifest. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records.encoding.schema import MASKED_LM_COUNTS, MASKED_LM_WEIGHTS
from maskcore.records.reading.documents import ReadCounts
from maskcore.records.rows.row_counts import RowCounts
from maskcore.records.tokenising.tokenised import TokenisedDocuments

__all__ = ["UnitCounts", "manifest_counts"]


@dataclass(slots=True)
class UnitCounts:
    """Counts of a unit; those of all units add up to those of the build."""

    documents: int = 0
    documents_without_tokens: int = 0
    sentences_without_tokens: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    special_tokens_in_text: int = 0
    masked_tokens: list[int] = field(default_factory=list)
    """For each stored mask of a row."""
    rows: RowCounts = field(default_factory=RowCounts)

    def add_text(self, tokens: TokenisedDocuments, unk_id: int) -> None:
        """Count the documents of a bucket."""
        self.documents += len(tokens.keys)
        self.documents_without_tokens += int(np.count_nonzero(tokens.sentences_per_document == 0))
        self.sentences_without_tokens += tokens.num_sentences_without_tokens
        self.tokens += tokens.ids.size
        self.unknown_tokens += int(np.count_nonzero(tokens.ids == unk_id))
        self.special_tokens_in_text += int(np.count_nonzero(tokens.is_special))

    def add_masks(self, stored: Mapping[str, NDArray[Any]]) -> None:
        """Count the masks in what is stored of some rows."""
        if MASKED_LM_COUNTS in stored:
            self._add_masked(stored[MASKED_LM_COUNTS].sum(axis=0).tolist())
        elif MASKED_LM_WEIGHTS in stored:
            self._add_masked([int(np.count_nonzero(stored[MASKED_LM_WEIGHTS]))])

    def _add_masked(self, counts: list[int]) -> None:
        if counts:
            before = self.masked_tokens or [0] * len(counts)
            self.masked_tokens = [a + b for a, b in zip(before, counts, strict=True)]

    def merge(self, other: UnitCounts) -> None:
        """Add the counts of another unit."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._add_masked(other.masked_tokens)
        self.rows.merge(other.rows)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        values = {name: getattr(self, name) for name in _SUMS}
        return {**values, "masked_tokens": self.masked_tokens, "rows": self.rows.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UnitCounts:
        """Return what `to_json` described."""
        return cls(**{**values, "rows": RowCounts.from_json(values["rows"])})


_SUMS = tuple(f.name for f in fields(UnitCounts) if f.name not in {"masked_tokens", "rows"})


def manifest_counts(read: ReadCounts, units: UnitCounts, dupe_factor: int) -> dict[str, Any]:
    """Return the manifest's `counts`.

    Raises
    ------
    RuntimeError
        If a document or token that was read is neither written nor counted as left out.

    """
    rows = units.rows
    truncated, skipped = sum(rows.truncated.values()), sum(rows.skipped.values())
    _check("documents", read.documents, units.documents)
    _check("tokens", units.tokens * dupe_factor, rows.tokens_read)
    _check("tokens", rows.tokens_read, rows.tokens_written + truncated + skipped)
    of_rows = rows.to_json()
    return {
        "documents": read.documents,
        "documents_cut": read.documents_cut,
        "documents_empty": read.documents_empty,
        "documents_skipped": read.documents_skipped,
        "documents_without_tokens": units.documents_without_tokens,
        "bytes_skipped": read.bytes_skipped,
        "characters_replaced": read.characters_replaced,
        "lines_cut": read.lines_cut,
        "sentences": read.sentences,
        "sentences_without_tokens": units.sentences_without_tokens,
        "tokens_read": rows.tokens_read,
        "tokens_written": rows.tokens_written,
        "tokens_truncated": truncated,
        "tokens_skipped": skipped,
        "unknown_tokens": units.unknown_tokens,
        "special_tokens_in_text": units.special_tokens_in_text,
        "masked_tokens": units.masked_tokens,
        **{name: of_rows[name] for name in of_rows if not name.startswith("tokens_")},
        "tokens_borrowed": rows.tokens_borrowed,
    }


def _check(what: str, before: int, after: int) -> None:
    if before != after:
        raise RuntimeError(
            f"{before} {what} went in and {after} came out, which is a defect of maskcore; report it"
        )
