# SPDX-License-Identifier: Apache-2.0
"""From tokenised documents to a table of rows, which says what each row holds without holding it.

Owns the recipe, the form of the table, how rows go into bins, and the account of tokens. How text
is divided is in `whole_rows`, `pairs` and `packing`; knows nothing of text or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records.rows.draws import DrawAddress, RowDraws, numbered_rows
from maskcore.records.rows.packing import pack_whole_rows
from maskcore.records.rows.pairs import make_pairs
from maskcore.records.rows.row_counts import ONE_TOKEN, RowCounts, check_all_tokens
from maskcore.records.rows.row_identity import document_hash, row_ids
from maskcore.records.rows.row_recipe import RowRecipe
from maskcore.records.rows.text_bounds import TextBounds
from maskcore.records.rows.whole_rows import Targets, WholeRowMaker
from maskcore.records.tokenising.tokenised import TokenisedDocuments

__all__ = ["RowCounts", "RowRecipe", "RowTable", "make_row_table"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(slots=True)
class RowTable:
    """R rows as slices of the flat token arrays; each slice is followed by a [SEP].

    Rows stand in the order of duplicates, in it of documents and in them of `row_index`; packed
    rows in the order in which they were opened.
    """

    start: Ints
    """Shape (slices,): first token of each slice."""
    length: Ints
    """Shape (slices,): tokens in it, at least 1."""
    token_type: Ints
    """Shape (slices,): 0 or 1."""
    has_cls: Bools
    """Shape (slices,): a [CLS] stands before it."""
    slices_per_row: Ints
    """Shape (R,), as all that follow."""
    document: Ints
    """Index of the document, of the first slice where a row is packed."""
    row_index: Ints
    """The row's number in the document."""
    duplicate: Ints
    label: NDArray[np.int8]
    """1 for segments that are swapped (SOP) or of two documents (NSP), else 0; -1 without pairs."""
    bin_length: Ints
    """The smallest bin that holds the row."""
    row_id: Ints
    """In [0, 2**63)."""
    has_labels: bool
    """The rows are pairs."""
    is_packed: bool
    """Rows may hold several texts, each with a [CLS] of its own."""
    first_slice: Ints = field(init=False)
    """Number of each row's first slice."""

    def __post_init__(self) -> None:
        """Find the rows' first slices, once for all columns that are made of them."""
        self.first_slice = np.cumsum(self.slices_per_row) - self.slices_per_row

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.slices_per_row)

    def row_lengths(self) -> Ints:
        """Return the tokens of each row, [CLS] and [SEP] included, padding not."""
        sizes = np.append(0, np.cumsum(self.length + self.has_cls + 1))
        stops = self.first_slice + self.slices_per_row
        lengths: Ints = sizes[stops] - sizes[self.first_slice]
        return lengths


def make_row_table(tokens: TokenisedDocuments, recipe: RowRecipe) -> tuple[RowTable, RowCounts]:
    """Divide the documents of a bucket into rows.

    Parameters
    ----------
    tokens : TokenisedDocuments
        A bucket's documents. Their order matters for `pairs` "nsp", whose partners are drawn by
        their number in the bucket, and for nothing else but the order of the rows.
    recipe : RowRecipe

    Returns
    -------
    table : RowTable
    counts : RowCounts
        Where every token went.

    Raises
    ------
    ValueError
        For a document with more than 2**24 rows.
    RuntimeError
        If a token is not accounted for, which is a defect of maskcore.

    Notes
    -----
    **Reproducibility.** A row depends on the document, its key and the recipe; with `pairs` "nsp"
    also on the other documents, and with `pack` the company of its texts does.

    Examples
    --------
    >>> from maskcore.records.rows.row_identity import document_key
    >>> tokens = TokenisedDocuments(
    ...     np.arange(10, 17, dtype=np.int32),
    ...     np.ones(7, bool),
    ...     np.zeros(7, bool),
    ...     np.array([3, 2, 2]),
    ...     np.array([3]),
    ...     [document_key("a.txt", 0)],
    ...     0,
    ... )
    >>> table, counts = make_row_table(tokens, RowRecipe(seq_length=8))
    >>> table.start.tolist(), table.length.tolist(), counts.tokens_written
    ([0, 5], [5, 2], 7)

    """
    maker = _TableMaker(tokens, recipe)
    tables = [maker.table(duplicate) for duplicate in range(recipe.dupe_factor)]
    return tables[0] if len(tables) == 1 else _concatenate(tables), maker.counts


class _TableMaker:
    """What the duplicates of a bucket share."""

    def __init__(self, tokens: TokenisedDocuments, recipe: RowRecipe) -> None:
        self.counts = RowCounts()
        self._recipe = recipe
        self._keys = tokens.keys
        self._num_tokens = len(tokens.ids)
        self._bounds = TextBounds(tokens)
        is_drawn = recipe.pairs != "none" or recipe.pack or recipe.short_threshold > 0
        hashes = [document_hash(key) for key in tokens.keys] if is_drawn else []
        self._hashes = np.array(hashes, np.int64)
        self._whole_rows = (
            WholeRowMaker(self._bounds, recipe.capacity) if recipe.pairs == "none" else None
        )

    def table(self, duplicate: int) -> RowTable:
        """Return the rows of one duplicate, and count them."""
        address = DrawAddress(self._recipe.seed, self._hashes, duplicate)
        maker = self._whole_rows
        table = self._whole_table(maker, address) if maker else self._pair_table(address)
        lengths = table.row_lengths()
        bins = np.array(self._recipe.bins)
        table.bin_length = bins[np.searchsorted(bins, lengths)]
        counts = self.counts
        counts.rows += table.num_rows
        for length in self._recipe.bins or ():
            counts.rows_per_bin[length] += int(np.count_nonzero(table.bin_length == length))
        counts.tokens_read += self._num_tokens
        counts.special_tokens_added += len(table.start) + int(np.count_nonzero(table.has_cls))
        counts.padding_tokens += int(np.sum(table.bin_length - lengths))
        return table

    def _whole_table(self, maker: WholeRowMaker, address: DrawAddress) -> RowTable:
        recipe, bounds = self._recipe, self._bounds
        targets = Targets(recipe.short_threshold)
        expected_rows = 2 * bounds.document_lengths // recipe.capacity + 2
        if recipe.pack:
            draws = RowDraws(address, expected_rows)
            rows, packing = pack_whole_rows(
                maker, bounds, targets, draws, recipe.num_special_tokens
            )
            texts, texts_per_row = packing.items, packing.items_per_row
        else:
            rows = maker.make(
                targets, RowDraws(address, expected_rows) if recipe.short_threshold else None
            )
            texts = np.arange(len(rows.starts) - 1)
            texts_per_row = np.ones(len(texts), np.int64)
        segments = np.stack([rows.starts[:-1], rows.starts[1:]], axis=1)
        self._account(segments, np.empty((0, 2), np.int64))
        self.counts.rows_with_short_target += rows.num_short
        documents, numbers = numbered_rows(rows.rows_per_document)
        ids = row_ids(self._keys, rows.rows_per_document.tolist(), address.duplicate)
        segments = segments[texts]
        first_texts = texts[np.cumsum(texts_per_row) - texts_per_row]
        num_rows = len(texts_per_row)
        return RowTable(
            start=segments[:, 0],
            length=segments[:, 1] - segments[:, 0],
            token_type=np.zeros(len(segments), np.int64),
            has_cls=np.ones(len(segments), bool),
            slices_per_row=texts_per_row,
            document=documents[first_texts],
            row_index=numbers[first_texts],
            duplicate=np.full(num_rows, address.duplicate),
            label=np.full(num_rows, -1, np.int8),
            bin_length=np.empty(0, np.int64),
            row_id=ids[first_texts],
            has_labels=False,
            is_packed=recipe.pack,
        )

    def _pair_table(self, address: DrawAddress) -> RowTable:
        recipe, counts = self._recipe, self.counts
        rows = make_pairs(
            self._bounds, recipe.pairs, recipe.capacity, recipe.short_threshold, address
        )
        num_rows = len(rows.labels)
        segments = rows.segments.reshape(-1, 2)
        is_own = ~np.stack([np.zeros(num_rows, bool), rows.is_borrowed], axis=1).reshape(-1)
        self._account(segments[is_own], rows.skipped)
        counts.tokens_borrowed += int(np.sum(segments[~is_own, 1] - segments[~is_own, 0]))
        counts.rows_with_short_target += rows.num_short
        counts.labels.update({label: int(np.sum(rows.labels == label)) for label in (0, 1)})
        counts.pairs_without_partner += rows.num_without_partner
        counts.pairs_with_forced_partner += rows.num_forced_random
        documents, numbers = numbered_rows(rows.rows_per_document)
        return RowTable(
            start=segments[:, 0],
            length=segments[:, 1] - segments[:, 0],
            token_type=np.tile([0, 1], num_rows),
            has_cls=np.tile([True, False], num_rows),
            slices_per_row=np.full(num_rows, 2),
            document=documents,
            row_index=numbers,
            duplicate=np.full(num_rows, address.duplicate),
            label=rows.labels,
            bin_length=np.empty(0, np.int64),
            row_id=row_ids(self._keys, rows.rows_per_document.tolist(), address.duplicate),
            has_labels=True,
            is_packed=False,
        )

    def _account(self, segments: Ints, skipped: Ints) -> None:
        """Count the tokens of the documents' own segments; raise if one is missing."""
        check_all_tokens(np.concatenate([segments, skipped]), self._num_tokens)
        counts = self.counts
        counts.tokens_written += int(np.sum(segments[:, 1] - segments[:, 0]))
        if len(skipped):
            counts.skipped[ONE_TOKEN] += int(np.sum(skipped[:, 1] - skipped[:, 0]))
        counts.add_cuts(self._bounds, segments[:, 0])


def _concatenate(tables: Sequence[RowTable]) -> RowTable:
    columns: dict[str, Any] = {}
    for column in (column for column in fields(RowTable) if column.init):
        values = [getattr(table, column.name) for table in tables]
        is_array = isinstance(values[0], np.ndarray)
        columns[column.name] = np.concatenate(values) if is_array else values[0]
    return RowTable(**columns)
