# SPDX-License-Identifier: Apache-2.0
"""What a set of rows looks like: lengths, padding, labels, masks, and some of the rows themselves.

Owns what the report counts, as sums over batches of columns that merge to the same integers however
the rows were divided among batches, shards and workers. Knows nothing of files or of how the
figures are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.config import MaskConfig
from maskcore.records.encoding.schema import derive_spans
from maskcore.records.reporting.mask_statistics import (
    Columns,
    Ints,
    MaskSample,
    add_counts,
    cells_of_places,
)

__all__ = ["SAMPLE_EPOCH", "BinStatistics", "SampleRow", "Statistics", "sample_row"]

Spans = NDArray[np.int32]

NUM_SAMPLE_ROWS = 8  # for each bin; what somebody reads
SAMPLE_EPOCH = 0
NUM_LABELS = 2
# Sentences and documents are counted by powers of two: 1, 2 to 3, 4 to 7, ...
NUM_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One row as it is shown, without its padding."""

    row_id: int
    seq_length: int
    input_ids: list[int]
    token_type_ids: list[int]
    segment_ids: list[int] | None
    """Of a packed row: 1 for the tokens of its first document, and so on."""
    label: int | None
    """`next_sentence_labels` of a pair."""
    spans: list[int]
    """The number of the masked span of each token in epoch 0, 0 where it is not masked."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class BinStatistics:
    """Counts over the rows of one length."""

    seq_length: int
    rows: int = 0
    tokens: int = 0
    """Places that are no padding, special tokens included."""
    unknown_tokens: int = 0
    segments: int = 0
    """Documents in packed rows; 0 where rows are not packed."""
    lengths: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows by the cell of their last token."""
    labels: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows with `next_sentence_labels` 0 and 1."""
    sample: MaskSample = field(default_factory=MaskSample)
    sample_rows: list[SampleRow] = field(default_factory=list)
    """The rows of the smallest ids, in that order."""

    @property
    def padding(self) -> int:
        """Places that are padding."""
        return self.rows * self.seq_length - self.tokens

    def add(
        self, columns: Columns, mask: MaskConfig, unk_id: int, spans: Spans | None = None
    ) -> None:
        """Count a batch of rows."""
        num_rows = len(columns["input_ids"])
        if not num_rows:
            return
        used = columns["attention_mask"].sum(axis=1, dtype=np.int64)
        cells = cells_of_places(self.seq_length)
        self.rows += num_rows
        self.tokens += int(used.sum())
        self.unknown_tokens += int(np.count_nonzero(columns["input_ids"] == unk_id))
        lengths = np.bincount(cells[np.maximum(used, 1) - 1], minlength=int(cells[-1]) + 1)
        self.lengths = add_counts(self.lengths, lengths)
        if "next_sentence_labels" in columns:
            labels = np.bincount(columns["next_sentence_labels"].ravel(), minlength=NUM_LABELS)
            self.labels = add_counts(self.labels, labels)
        if "segment_ids" in columns:
            self.segments += int(columns["segment_ids"].max(axis=1).sum())
        self._add_masks(columns, mask, spans)
        self._keep_rows(columns, mask, spans)

    def _add_masks(self, columns: Columns, mask: MaskConfig, spans: Spans | None) -> None:
        chosen, levels = self.sample.choose(columns["row_id"].ravel())
        if chosen.size:
            part = {name: columns[name][chosen] for name in ("input_ids", "row_id", "word_ids")}
            chosen_spans = _spans_of(mask, part, chosen, spans)
            self.sample.add(part, chosen_spans, levels, mask.mask_unit)

    def _keep_rows(self, columns: Columns, mask: MaskConfig, spans: Spans | None) -> None:
        row_ids = columns["row_id"].ravel()
        if len(self.sample_rows) == NUM_SAMPLE_ROWS:
            candidates = np.flatnonzero(row_ids < self.sample_rows[-1].row_id)
        else:
            candidates = np.arange(len(row_ids))
        smallest = candidates[np.argsort(row_ids[candidates], kind="stable")[:NUM_SAMPLE_ROWS]]
        if smallest.size:
            part = _take(columns, smallest)
            kept_spans = _spans_of(mask, part, smallest, spans)
            self._keep([sample_row(part, kept_spans, row) for row in range(len(kept_spans))])

    def _keep(self, rows: list[SampleRow]) -> None:
        together = sorted([*self.sample_rows, *rows], key=lambda row: row.row_id)
        self.sample_rows = together[:NUM_SAMPLE_ROWS]

    def merge(self, other: BinStatistics) -> None:
        """Add the counts of other rows of this length."""
        self.rows += other.rows
        self.tokens += other.tokens
        self.unknown_tokens += other.unknown_tokens
        self.segments += other.segments
        self.lengths = add_counts(self.lengths, other.lengths)
        self.labels = add_counts(self.labels, other.labels)
        self.sample.merge(other.sample)
        self._keep(other.sample_rows)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "rows": self.rows,
            "tokens": self.tokens,
            "unknown_tokens": self.unknown_tokens,
            "segments": self.segments,
            "lengths": self.lengths.tolist(),
            "labels": self.labels.tolist(),
            "sample": self.sample.to_json(),
            "sample_rows": [row.to_json() for row in self.sample_rows],
        }

    @classmethod
    def from_json(cls, seq_length: int, fields: Mapping[str, Any]) -> BinStatistics:
        """Return what `to_json` described."""
        return cls(
            seq_length,
            fields["rows"],
            fields["tokens"],
            fields["unknown_tokens"],
            fields["segments"],
            np.array(fields["lengths"], np.int64),
            np.array(fields["labels"], np.int64),
            MaskSample.from_json(fields["sample"]),
            [SampleRow(**row) for row in fields["sample_rows"]],
        )


def _take(columns: Columns, rows: Ints) -> dict[str, NDArray[Any]]:
    return {name: column[rows] for name, column in columns.items()}


def _spans_of(
    mask: MaskConfig, part: Columns, rows: Ints, spans: Spans | None
) -> NDArray[np.int32]:
    return derive_spans(mask, part, SAMPLE_EPOCH) if spans is None else spans[rows]


def sample_row(columns: Columns, spans: Spans, row: int) -> SampleRow:
    """Return row number `row` of a batch."""
    used = int(columns["attention_mask"][row].sum())
    segments, labels = columns.get("segment_ids"), columns.get("next_sentence_labels")
    return SampleRow(
        int(columns["row_id"].ravel()[row]),
        columns["input_ids"].shape[1],
        columns["input_ids"][row, :used].tolist(),
        columns["token_type_ids"][row, :used].tolist(),
        None if segments is None else segments[row, :used].tolist(),
        None if labels is None else int(labels.ravel()[row]),
        spans[row, :used].tolist(),
    )


class Statistics:
    """Counts over batches of rows; the same for any division into batches and any order.

    Rows, tokens, lengths and labels are counted in full. Masks are those of epoch 0, counted in a
    sample of at most 2,048 rows of each length, and the rows of the smallest ids are kept to be
    shown: both are chosen by the rows' ids, which are hashes.

    Parameters
    ----------
    unk_id : int, optional
        The id of the unknown token; -1 where the vocabulary has none.

    Examples
    --------
    >>> columns = {
    ...     "attention_mask": np.array([[1, 1, 1, 0]]),
    ...     "input_ids": np.array([[2, 9, 3, 0]]),
    ...     "row_id": np.array([[6]]),
    ...     "token_type_ids": np.zeros((1, 4), np.int64),
    ...     "word_ids": np.array([[0, 1, 0, 0]]),
    ... }
    >>> statistics = Statistics(unk_id=1)
    >>> statistics.add(columns, MaskConfig())
    >>> statistics.bins[4].padding, statistics.bins[4].sample.counts().masked.tolist()
    (1, [0, 1, 0, 0])

    """

    def __init__(self, unk_id: int = -1) -> None:
        self.unk_id = unk_id
        self.bins: dict[int, BinStatistics] = {}
        self.sentence_tokens = np.zeros(NUM_DOUBLINGS, np.int64)
        """Sentences of 0, 1, 2 to 3, 4 to 7, ... tokens."""
        self.document_tokens = np.zeros(NUM_DOUBLINGS, np.int64)
        """Documents of that many tokens."""

    def add(self, columns: Columns, mask: MaskConfig, spans: Spans | None = None) -> None:
        """Count rows of one length.

        Parameters
        ----------
        columns : feature name -> int array
            `attention_mask`, `input_ids`, `token_type_ids` and `word_ids`, shape (rows,
            seq_length), and `row_id`, shape (rows, 1); where they exist also
            `next_sentence_labels` (rows, 1) and `segment_ids` (rows, seq_length).
        mask : MaskConfig
            How masks are drawn; the same in every call for rows of one length.
        spans : int32 array, shape (rows, seq_length), optional
            The masked spans; by default those that `mask` gives in epoch 0.

        """
        self._bin(columns["input_ids"].shape[1]).add(columns, mask, self.unk_id, spans)

    def add_documents(self, sentence_lengths: Ints, sentences_per_document: Ints) -> None:
        """Count documents, each once whatever the number of duplicates.

        Parameters
        ----------
        sentence_lengths : int64 array, shape (sentences,)
            Tokens of each sentence.
        sentences_per_document : int64 array, shape (documents,)
            Adds up to the number of sentences.

        """
        stops = np.concatenate([[0], np.cumsum(sentence_lengths)])
        ends = stops[np.cumsum(sentences_per_document)]
        self.sentence_tokens += _by_doubling(sentence_lengths)
        self.document_tokens += _by_doubling(np.diff(ends, prepend=0))

    def document_counts(self) -> dict[str, list[int]]:
        """Return what cannot be counted again in the records, for the manifest."""
        return {
            "sentences_by_tokens": _trimmed(self.sentence_tokens),
            "documents_by_tokens": _trimmed(self.document_tokens),
        }

    def merge(self, other: Statistics) -> None:
        """Add the counts of other rows and documents, made with the same configuration."""
        for seq_length, counts in other.bins.items():
            self._bin(seq_length).merge(counts)
        self.sentence_tokens += other.sentence_tokens
        self.document_tokens += other.document_tokens

    def _bin(self, seq_length: int) -> BinStatistics:
        return self.bins.setdefault(seq_length, BinStatistics(seq_length))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values, in a fixed order."""
        return {
            "unk_id": self.unk_id,
            "bins": {str(length): self.bins[length].to_json() for length in sorted(self.bins)},
            "sentence_tokens": _trimmed(self.sentence_tokens),
            "document_tokens": _trimmed(self.document_tokens),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Statistics:
        """Return what `to_json` described."""
        statistics = cls(fields["unk_id"])
        for length, counts in fields["bins"].items():
            statistics.bins[int(length)] = BinStatistics.from_json(int(length), counts)
        for name in ("sentence_tokens", "document_tokens"):
            getattr(statistics, name)[: len(fields[name])] = fields[name]
        return statistics


def _by_doubling(lengths: Ints) -> Ints:
    # frexp gives the number of bits: 0 for 0, 1 for 1, 2 for 2 and 3; exact below 2**53.
    bits = np.frexp(lengths.astype(np.float64))[1]
    return np.bincount(bits, minlength=NUM_DOUBLINGS)[:NUM_DOUBLINGS]


def _trimmed(counts: Ints) -> list[int]:
    values: list[int] = np.trim_zeros(counts, "b").tolist()
    return values
