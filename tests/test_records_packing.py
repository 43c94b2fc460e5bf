# SPDX-License-Identifier: Apache-2.0
"""Several texts in a row: best fit, and how full rows are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_helpers import DOCUMENTS, key_of, numbered, slices_of, tokens_of

from maskcore.records.rows.packing import pack_sizes
from maskcore.records.rows.row_identity import row_id_of
from maskcore.records.rows.row_table import RowRecipe, make_row_table


def packed(sizes, room, keys=None):
    keys = np.zeros(len(sizes), np.uint64) if keys is None else np.array(keys, np.uint64)
    packing = pack_sizes(np.array(sizes, np.int64), keys, room)
    stops = np.cumsum(packing.items_per_row).tolist()
    items = packing.items.tolist()
    return [
        items[stop - number : stop]
        for stop, number in zip(stops, packing.items_per_row.tolist(), strict=True)
    ]


def test_items_go_where_the_least_room_is():
    """By hand: 6 and 5 open rows; 4 fits the first best, then 3 and 2 the second."""
    assert packed([3, 6, 5, 4, 2], 10) == [[1, 3], [2, 0, 4]]
    assert packed([], 10) == []
    assert packed([10, 10], 10) == [[0], [1]]
    assert packed([3] * 7, 10) == [[0, 1, 2], [3, 4, 5], [6]]


def test_equal_sizes_come_in_the_order_of_their_keys():
    assert packed([5, 5, 5, 5], 10, [3, 1, 2**64 - 1, 0]) == [[3, 1], [0, 2]]


def best_fit_decreasing(sizes, room):
    """Return how full the rows are, one item after the other: the oracle.

    Which of two rows with equal room is taken does not change that.
    """
    rows = []
    for size in sorted(sizes, reverse=True):
        fitting = [row for row in rows if sum(row) + size <= room]
        if fitting:
            max(fitting, key=sum).append(size)
        else:
            rows.append([size])
    return sorted(map(sum, rows))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.data())
def test_rows_are_those_of_best_fit_decreasing(room, data):
    sizes = data.draw(st.lists(st.integers(1, room), max_size=60))
    keys = data.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    rows = packed(sizes, room, keys)
    full = sorted(sum(sizes[item] for item in row) for row in rows)
    assert full == best_fit_decreasing(sizes, room)
    assert sorted(item for row in rows for item in row) == list(range(len(sizes)))


def realistic(num_documents=1500, seed=7):
    """Return documents whose sentences have 20 tokens in the mean, as in English prose."""
    random = np.random.default_rng(seed)
    return numbered(
        *[
            np.maximum(random.gamma(2.2, 9.1, size), 1).astype(int).tolist()
            for size in random.geometric(1 / 12, num_documents)
        ]
    )


@pytest.mark.parametrize("seq_length", [128, 512])
def test_rows_of_realistic_text_are_full(seq_length):
    tokens = tokens_of(realistic())
    table, counts = make_row_table(tokens, RowRecipe(seq_length=seq_length, pack=True, seed=1))
    share = 1 - counts.padding_tokens / (counts.rows * seq_length)
    assert share >= 0.98, share
    assert counts.tokens_written == counts.tokens_read == len(tokens.ids)
    assert counts.sentences_cut == int(np.sum(tokens.sentence_lengths > seq_length - 2))
    assert int(table.row_lengths().max()) <= seq_length


def test_texts_stay_whole_where_short_documents_fill_the_rows():
    """Documents that fit a row are not divided when their sizes go well together."""
    documents = numbered(*[[1] * (number % 50 + 1) for number in range(700)])
    tokens = tokens_of(documents)
    table, counts = make_row_table(tokens, RowRecipe(seq_length=64, pack=True))
    assert len(table.start) == len(documents)
    assert counts.padding_tokens <= 0.02 * 64 * counts.rows


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(3, 30), st.integers(0, 3))
def test_every_text_stands_once_and_rows_are_called_by_their_first(documents, length, seed):
    tokens = tokens_of(documents)
    table, counts = make_row_table(
        tokens, RowRecipe(seq_length=length, pack=True, dupe_factor=2, seed=seed, bins=None)
    )
    for duplicate in (0, 1):
        slices = [
            part
            for row, parts in enumerate(slices_of(tokens, table))
            if table.duplicate[row] == duplicate
            for part in parts
        ]
        assert sorted(token for part in slices for token in part) == sorted(tokens.ids.tolist())
    assert table.has_cls.all()
    assert not table.token_type.any()
    assert set(table.label.tolist()) <= {-1}
    assert len(set(table.row_id.tolist())) == counts.rows == table.num_rows
    assert table.row_id.tolist() == [
        row_id_of(key_of(document), index, duplicate)
        for document, index, duplicate in zip(
            table.document.tolist(), table.row_index.tolist(), table.duplicate.tolist(), strict=True
        )
    ]
    document_stops = np.cumsum(
        [sum(len(word) for sentence in document for word in sentence) for document in documents]
    )
    first_slices = np.cumsum(table.slices_per_row) - table.slices_per_row
    first_tokens = table.start[first_slices]
    assert np.array_equal(
        np.searchsorted(document_stops, first_tokens, side="right"), table.document
    )


def test_packed_rows_go_into_bins():
    tokens = tokens_of(numbered([3], [9], [1]))
    table, counts = make_row_table(tokens, RowRecipe(seq_length=12, bins=(6, 8, 12), pack=True))
    assert sorted(zip(table.row_lengths().tolist(), table.bin_length.tolist(), strict=True)) == [
        (8, 8),
        (11, 12),
    ]
    assert counts.rows_per_bin == {6: 0, 8: 1, 12: 1}


def test_packing_is_the_same_for_the_same_seed_and_another_for_another():
    tokens = tokens_of(realistic(200))
    first, again, other = (
        make_row_table(tokens, RowRecipe(seq_length=128, pack=True, seed=seed))[0]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.start, again.start)
    assert not np.array_equal(first.start, other.start)
