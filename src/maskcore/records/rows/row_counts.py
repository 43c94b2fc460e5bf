# SPDX-License-Identifier: Apache-2.0
"""Where the tokens of documents went: the account that rows are made with.

Owns the names of the counts and the proof that none is missing. Knows nothing of files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records.rows.text_bounds import TextBounds

__all__ = ["ONE_TOKEN", "RowCounts", "check_all_tokens"]

Ints = NDArray[np.int64]

ONE_TOKEN = "one_token"  # skipped: a single token that no second segment could be found for


@dataclass(slots=True)
class RowCounts:
    """Sums over all rows and duplicates; `merge` adds those of another bucket.

    tokens_read == tokens_written + sum(truncated.values()) + sum(skipped.values()).
    """

    rows: int = 0
    rows_per_bin: Counter[int] = field(default_factory=Counter)
    """Bin length -> rows."""
    tokens_read: int = 0
    """Tokens of the documents, once for each duplicate."""
    tokens_written: int = 0
    """Of them those that stand in a row; each stands in one."""
    truncated: Counter[str] = field(default_factory=Counter)
    """Reason -> tokens. No rule of today cuts tokens off, so this is empty."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> tokens; "one_token" is a document's rest that cannot be two segments."""
    tokens_borrowed: int = 0
    """Tokens of second segments from other documents, which are counted there as written."""
    special_tokens_added: int = 0
    padding_tokens: int = 0
    sentences_cut: int = 0
    """Sentences that do not stand in one segment."""
    words_cut: int = 0
    """Cuts within words."""
    rows_with_short_target: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    """Label -> rows."""
    pairs_without_partner: int = 0
    """Label 0 in place of 1, as no other document is in the bucket."""
    pairs_with_forced_partner: int = 0
    """Label 1 without a draw, as the chunk was one sentence."""

    def merge(self, other: RowCounts) -> None:
        """Add the counts of `other`."""
        for name in (column.name for column in fields(self)):
            if isinstance(getattr(self, name), Counter):
                getattr(self, name).update(getattr(other, name))
            else:
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, and objects with sorted keys.

        >>> RowCounts(rows=2, rows_per_bin=Counter({128: 2})).to_json()["rows_per_bin"]
        {'128': 2}
        """
        plain: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, Counter):
                value = {str(key): value[key] for key in sorted(value)}
            plain[column.name] = value
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RowCounts:
        """Return the counts that `to_json` gave.

        >>> counts = RowCounts(rows=2, labels=Counter({0: 1, 1: 1}))
        >>> RowCounts.from_json(counts.to_json()) == counts
        True
        """
        counts = cls(**stored)
        for name in ("truncated", "skipped"):
            setattr(counts, name, Counter(stored[name]))
        for name in ("rows_per_bin", "labels"):
            setattr(counts, name, Counter({int(key): n for key, n in stored[name].items()}))
        return counts

    def add_cuts(self, bounds: TextBounds, starts: Ints) -> None:
        """Count the sentences and words that segments which begin at `starts` cut."""
        sentence_starts = bounds.sentence_starts
        sentences = np.searchsorted(sentence_starts, starts, side="right") - 1
        is_inside = sentence_starts[sentences] != starts
        self.sentences_cut += len(np.unique(sentences[is_inside]))
        self.words_cut += int(np.count_nonzero(~bounds.starts_word[starts]))


def check_all_tokens(segments: Ints, num_tokens: int) -> None:
    """Raise unless the segments, of shape (n, 2), cover each token once.

    Raises
    ------
    RuntimeError
        If they do not: maskcore is wrong then, and not its input.

    """
    ordered = segments[np.argsort(segments[:, 0], kind="stable")]
    stops = np.append(0, ordered[:, 1])
    starts = np.append(ordered[:, 0], num_tokens)
    wrong = np.flatnonzero(starts != stops)
    if wrong.size:
        at = int(wrong[0])
        raise RuntimeError(
            f"rows lose or repeat tokens between token {min(starts[at], stops[at])} and "
            f"{max(starts[at], stops[at])} of {num_tokens}; this is a defect of maskcore, please "
            "report it"
        )
