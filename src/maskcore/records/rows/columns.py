# SPDX-License-Identifier: Apache-2.0
"""From a table of rows to the arrays that are stored: one bin's rows, padded to its length.

Owns where special tokens stand and how words are numbered. Knows nothing of why a row holds what it
holds, of masks or of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error
from maskcore.records.rows.row_table import RowTable
from maskcore.records.tokenising.tokenised import SpecialToken, TokenisedDocuments

__all__ = ["make_columns"]

Ints = NDArray[np.int64]


def make_columns(
    tokens: TokenisedDocuments,
    table: RowTable,
    rows: NDArray[np.integer[Any]],
    seq_length: int,
    special: Mapping[str, SpecialToken],
) -> dict[str, NDArray[Any]]:
    r"""Return chosen rows as columns.

    Parameters
    ----------
    tokens : TokenisedDocuments
        What the table was made of.
    table : RowTable
    rows : integer array, shape (n,)
        Numbers of rows, in any order; their `bin_length` is at most `seq_length`.
    seq_length : int
    special : role -> SpecialToken; roles "cls", "sep" and "pad"

    Returns
    -------
    dict
        `input_ids`, `attention_mask`, `token_type_ids` and `word_ids`, int32 of shape
        (n, `seq_length`); `row_id`, int64 of shape (n, 1). With pairs also `next_sentence_labels`,
        int32 of shape (n, 1); for packed rows `segment_ids`, int32 of shape (n, `seq_length`), which
        number the texts of a row from 1, special tokens included, 0 for padding.

        `word_ids` number the words of a row from 1; 0 stands for special tokens, those that the
        text gave included, and for padding. A slice begins with a new word.

    Raises
    ------
    ValueError
        For a row that is longer than `seq_length`.

    Examples
    --------
    >>> from maskcore.records.rows.row_table import RowRecipe, make_row_table
    >>> tokens = TokenisedDocuments(
    ...     np.array([10, 11, 12], np.int32),
    ...     np.array([True, False, True]),
    ...     np.zeros(3, bool),
    ...     np.array([3]),
    ...     np.array([1]),
    ...     [b"id\0a"],
    ...     0,
    ... )
    >>> table, _ = make_row_table(tokens, RowRecipe(seq_length=6))
    >>> names = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"}
    >>> special = {role: SpecialToken(names[role], i) for i, role in enumerate(names)}
    >>> columns = make_columns(tokens, table, np.array([0]), 6, special)
    >>> columns["input_ids"].tolist(), columns["word_ids"].tolist()
    ([[1, 10, 11, 12, 2, 0]], [[0, 1, 1, 2, 0, 0]])

    """
    layout = _Layout(table, np.asarray(rows), seq_length)
    text_places = _ranges(layout.stops - 1 - layout.lengths, layout.lengths)
    sources = _ranges(table.start[layout.slices], layout.lengths)

    input_ids = layout.filled(special["pad"].id)
    input_ids.reshape(-1)[layout.starts[table.has_cls[layout.slices]]] = special["cls"].id
    input_ids.reshape(-1)[layout.stops - 1] = special["sep"].id
    input_ids.reshape(-1)[text_places] = tokens.ids[sources]
    word_ids = layout.filled(0)
    word_ids.reshape(-1)[text_places] = _word_numbers(tokens, sources, layout)
    is_used = np.arange(seq_length) < layout.row_lengths[:, None]
    token_type_ids = layout.filled(0)
    is_second = table.token_type[layout.slices] == 1
    token_type_ids.reshape(-1)[_ranges(layout.starts[is_second], layout.used[is_second])] = 1

    columns: dict[str, NDArray[Any]] = {
        "attention_mask": is_used.astype(np.int32),
        "input_ids": input_ids,
        "row_id": table.row_id[rows].reshape(-1, 1),
        "token_type_ids": token_type_ids,
        "word_ids": word_ids,
    }
    if table.has_labels:
        columns["next_sentence_labels"] = table.label[rows].astype(np.int32).reshape(-1, 1)
    if table.is_packed:
        numbers = _ranges(np.ones(len(layout.row_lengths), np.int64), layout.slices_per_row)
        segment_ids = layout.filled(0)
        segment_ids[is_used] = np.repeat(numbers, layout.used)
        columns["segment_ids"] = segment_ids
    return columns


class _Layout:
    """Where the slices of the chosen rows stand in flat columns of shape (n * `seq_length`,)."""

    def __init__(self, table: RowTable, rows: NDArray[np.integer[Any]], seq_length: int) -> None:
        self._shape = (len(rows), seq_length)
        self.slices_per_row = table.slices_per_row[rows]
        self.slices = _ranges(table.first_slice[rows], self.slices_per_row)
        """Numbers in the table, row after row."""
        self.lengths = table.length[self.slices]
        self.used = self.lengths + table.has_cls[self.slices] + 1
        """Places that a slice takes, its special tokens included."""
        sums = np.append(0, np.cumsum(self.used))
        last_slices = np.cumsum(self.slices_per_row)
        self.first_slices = last_slices - self.slices_per_row
        """Numbers among the chosen."""
        self.row_lengths = sums[last_slices] - sums[self.first_slices]
        too_long = np.flatnonzero(self.row_lengths > seq_length)
        if too_long.size:
            row = too_long[0]
            raise value_error(
                "rows",
                f"of at most seq_length = {seq_length} tokens",
                f"row {rows[row]} of {self.row_lengths[row]}",
                "choose rows of one bin_length, and pass that",
            )
        shifts = np.arange(len(rows)) * seq_length - sums[self.first_slices]
        self.starts = sums[:-1] + np.repeat(shifts, self.slices_per_row)
        self.stops = self.starts + self.used

    def filled(self, value: int) -> NDArray[np.int32]:
        return np.full(self._shape, value, np.int32)


def _word_numbers(tokens: TokenisedDocuments, sources: Ints, layout: _Layout) -> NDArray[np.int32]:
    """Return the number of each chosen token's word in its row, from 1; 0 for special tokens."""
    starts_word = tokens.starts_word[sources]
    token_sums = np.append(0, np.cumsum(layout.lengths))
    starts_word[token_sums[:-1]] = True
    words = np.cumsum(starts_word, dtype=np.int32)
    first_tokens = token_sums[layout.first_slices]
    tokens_per_row = np.diff(np.append(first_tokens, len(sources)))
    words -= np.repeat(words[first_tokens] - 1, tokens_per_row)
    words[tokens.is_special[sources]] = 0
    return words


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return the ranges [start, start + length), one after the other.

    >>> _ranges(np.array([5, 1]), np.array([2, 3])).tolist()
    [5, 6, 1, 2, 3]
    """
    stops = np.cumsum(lengths)
    numbers = np.repeat(starts - stops + lengths, lengths)
    numbers += np.arange(len(numbers))
    return numbers
