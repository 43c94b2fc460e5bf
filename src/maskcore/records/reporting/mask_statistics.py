# SPDX-License-Identifier: Apache-2.0
"""What the masks of rows look like: rates by place, span lengths, the tokens that are masked most.

Owns the counting of masks, and the sample of rows whose masks are counted where there are many. A
row is in the sample by its id alone, so that workers, batches and their order change nothing. Knows
nothing of files or of how the figures are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.config import MaskConfig

__all__ = [
    "MAX_CELLS",
    "MAX_SAMPLED_ROWS",
    "MaskCounts",
    "MaskSample",
    "add_counts",
    "cells_of_places",
    "expected_shares",
]

# Places of a row are counted in at most this many cells of equal width: a chart shows no more.
MAX_CELLS = 64
# 1,024 to 2,048 rows of 19 masked tokens give shares good to three tenths of a per cent.
MAX_SAMPLED_ROWS = 2048
NUM_LEVELS = 63  # a row id has 63 bits

Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]


def cells_of_places(seq_length: int) -> Ints:
    """Return the cell of each place of a row, shape (seq_length,).

    >>> cells_of_places(128)[[0, 1, 2, 127]].tolist()
    [0, 0, 1, 63]
    """
    return np.arange(seq_length) * min(seq_length, MAX_CELLS) // seq_length


def add_counts(a: Ints, b: Ints) -> Ints:
    """Return the sum of two histograms of which one may be longer."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


def _no_counts() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(slots=True)
class MaskCounts:
    """Counts over the masks of rows of one length; exact integers that add up."""

    rows: int = 0
    maskable: Ints = field(default_factory=_no_counts)
    """Tokens that may be masked, by cell of the row's places."""
    masked: Ints = field(default_factory=_no_counts)
    span_lengths: Ints = field(default_factory=_no_counts)
    """How many masked spans have 0, 1, 2, ... units."""
    tokens: Ints = field(default_factory=_no_counts)
    """How often each id is masked, up to the highest."""
    fewest: int = 2**31
    """Masked tokens in the row that has the fewest."""
    most: int = 0

    def add(self, columns: Columns, spans: NDArray[np.int32], mask_unit: str) -> None:
        """Count rows with their span numbers.

        Parameters
        ----------
        columns : feature name -> int array; `input_ids` and `word_ids`, shape (rows, seq_length)
        spans : int32 array, shape (rows, seq_length)
            0 where a token is not masked, else the span's number in the row.
        mask_unit : "word" or "token"
            What the length of a span is counted in.

        """
        if not len(spans):
            return
        words = columns["word_ids"]
        is_masked = spans > 0
        cells = cells_of_places(spans.shape[1])
        num_cells = int(cells[-1]) + 1
        self.rows += len(spans)
        self.maskable = add_counts(self.maskable, _by_cell(words > 0, cells, num_cells))
        self.masked = add_counts(self.masked, _by_cell(is_masked, cells, num_cells))
        self.span_lengths = add_counts(
            self.span_lengths, _count_span_lengths(words, spans, mask_unit)
        )
        self.tokens = add_counts(self.tokens, np.bincount(columns["input_ids"][is_masked]))
        per_row = np.count_nonzero(is_masked, axis=1)
        self.fewest = min(self.fewest, int(per_row.min()))
        self.most = max(self.most, int(per_row.max()))

    def merge(self, other: MaskCounts) -> None:
        """Add the counts of other rows."""
        self.rows += other.rows
        self.maskable = add_counts(self.maskable, other.maskable)
        self.masked = add_counts(self.masked, other.masked)
        self.span_lengths = add_counts(self.span_lengths, other.span_lengths)
        self.tokens = add_counts(self.tokens, other.tokens)
        self.fewest = min(self.fewest, other.fewest)
        self.most = max(self.most, other.most)

    @property
    def rate(self) -> float:
        """Masked share of the tokens that may be masked."""
        return float(self.masked.sum() / max(int(self.maskable.sum()), 1))

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        ids = np.flatnonzero(self.tokens)
        return {
            "rows": self.rows,
            "maskable": self.maskable.tolist(),
            "masked": self.masked.tolist(),
            "span_lengths": self.span_lengths.tolist(),
            "token_ids": ids.tolist(),
            "token_counts": self.tokens[ids].tolist(),
            "fewest": self.fewest,
            "most": self.most,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MaskCounts:
        """Return what `to_json` described."""
        tokens = np.zeros(max(fields["token_ids"], default=-1) + 1, np.int64)
        tokens[np.array(fields["token_ids"], np.int64)] = fields["token_counts"]
        return cls(
            fields["rows"],
            np.array(fields["maskable"], np.int64),
            np.array(fields["masked"], np.int64),
            np.array(fields["span_lengths"], np.int64),
            tokens,
            fields["fewest"],
            fields["most"],
        )


def _by_cell(chosen: NDArray[np.bool_], cells: Ints, num_cells: int) -> Ints:
    # Counts below 2**53 are exact as the floats that weights are.
    counts = np.bincount(cells, np.count_nonzero(chosen, axis=0), num_cells)
    return counts.astype(np.int64)


def _count_span_lengths(words: NDArray[Any], spans: NDArray[np.int32], mask_unit: str) -> Ints:
    begins_unit = spans > 0
    if mask_unit == "word":
        begins_unit[:, 1:] &= words[:, 1:] != words[:, :-1]
    rows, places = np.nonzero(begins_unit)
    numbers = rows * np.int64(spans.shape[1] + 1) + spans[rows, places]
    # Units of a span stand side by side, so that equal numbers do, too.
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return np.bincount(np.diff(firsts, append=len(numbers)))


@dataclass(slots=True)
class MaskSample:
    """Mask counts over a sample whose size is bounded however many rows there are.

    A row's level is the number of zero bits at the end of its id, which is a hash; the sample holds
    the rows of the lowest level and above at which at most `MAX_SAMPLED_ROWS` rows remain. That
    depends on the set of rows alone, since a level that is too low for a part of them is too low
    for all.
    """

    lowest_level: int = 0
    levels: dict[int, MaskCounts] = field(default_factory=dict)

    def choose(self, row_ids: Ints) -> tuple[Ints, Ints]:
        """Make room for rows; return which of them to `add`, by level, and their levels."""
        levels = _levels_of(row_ids)
        new = np.bincount(levels, minlength=NUM_LEVELS)
        self._raise_level({int(level): int(new[level]) for level in np.flatnonzero(new)})
        chosen = np.argsort(levels, kind="stable")
        chosen = chosen[np.searchsorted(levels[chosen], self.lowest_level) :]
        return chosen, levels[chosen]

    def add(self, columns: Columns, spans: NDArray[np.int32], levels: Ints, mask_unit: str) -> None:
        """Count chosen rows, which come in the order of their levels."""
        firsts = np.flatnonzero(np.diff(levels, prepend=-1))
        for first, last in zip(firsts, [*firsts[1:], len(levels)], strict=True):
            part = {name: columns[name][first:last] for name in ("input_ids", "word_ids")}
            counts = self.levels.setdefault(int(levels[first]), MaskCounts())
            counts.add(part, spans[first:last], mask_unit)

    def merge(self, other: MaskSample) -> None:
        """Add the sample of other rows."""
        self.lowest_level = max(self.lowest_level, other.lowest_level)
        self._raise_level({level: counts.rows for level, counts in other.levels.items()})
        for level, counts in other.levels.items():
            if level >= self.lowest_level:
                self.levels.setdefault(level, MaskCounts()).merge(counts)

    def _raise_level(self, new_rows: Mapping[int, int]) -> None:
        """Raise the lowest level until the rows held and the new ones fit."""
        num_rows = dict(new_rows)
        for level, counts in self.levels.items():
            num_rows[level] = num_rows.get(level, 0) + counts.rows
        total = sum(rows for level, rows in num_rows.items() if level >= self.lowest_level)
        while total > MAX_SAMPLED_ROWS and self.lowest_level < NUM_LEVELS:
            total -= num_rows.get(self.lowest_level, 0)
            self.lowest_level += 1
        for level in [level for level in self.levels if level < self.lowest_level]:
            del self.levels[level]

    def counts(self) -> MaskCounts:
        """Return the counts over the whole sample."""
        total = MaskCounts()
        for counts in self.levels.values():
            total.merge(counts)
        return total

    def to_json(self) -> dict[str, Any]:
        """Return the sample as JSON values."""
        levels = {str(level): self.levels[level].to_json() for level in sorted(self.levels)}
        return {"lowest_level": self.lowest_level, "levels": levels}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MaskSample:
        """Return what `to_json` described."""
        levels = {
            int(level): MaskCounts.from_json(counts) for level, counts in fields["levels"].items()
        }
        return cls(fields["lowest_level"], levels)


def _levels_of(row_ids: Ints) -> Ints:
    """Return the number of zero bits at the end of each id."""
    lowest_bit = np.where(row_ids == 0, np.int64(1) << 62, row_ids & -row_ids)
    return np.frexp(lowest_bit.astype(np.float64))[1].astype(np.int64) - 1  # powers of two: exact


def expected_shares(mask: MaskConfig, counts: MaskCounts) -> list[float]:
    """Return the shares of spans of 1, 2, ..., max_n units that the algorithm promises.

    The formula of docs/algorithm.md, section 10, with the mean number of masked units for the
    budget and the weights for the candidates: pieces that boundaries cut are left out of account.
    """
    weights = [float(weight) for weight in mask.ngram_weights or ()]
    units = counts.span_lengths @ np.arange(len(counts.span_lengths))
    budget = float(units) / max(counts.rows, 1)
    expected = [
        max(budget - n + 1, 0.0) * weight + 2 * sum(weights[n:])
        for n, weight in enumerate(weights, start=1)
    ]
    return [value / (sum(expected) or 1.0) for value in expected]
