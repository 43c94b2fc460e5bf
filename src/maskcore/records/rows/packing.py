# SPDX-License-Identifier: Apache-2.0
"""Which texts share a row: best-fit decreasing on the histogram of their sizes.

Owns this choice, and how many texts are kept short on purpose, so that they fill what others leave.
Knows nothing of tokens, special or not.

References
----------
Krell et al., "Efficient sequence packing without cross-contamination", 2021, arXiv:2107.02027.

"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskcore.records.rows.draws import RowDraws
from maskcore.records.rows.text_bounds import TextBounds
from maskcore.records.rows.whole_rows import Targets, WholeRowMaker, WholeRows

__all__ = ["Packing", "pack_sizes", "pack_whole_rows"]

# Full rows of whole sentences leave half a sentence each, and what could fill that must be shorter.
# So more and more texts aim at two mean sentences or less, until this share of the places is used.
MIN_FILL_PERCENT = 98
FILLER_THRESHOLDS = (0, 1 << 30, 1 << 31, 3 << 30)  # 0, 1/4, 1/2, 3/4 in units of 2**-32
FILLER_SENTENCES = 2

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Packing:
    """Which items share a row."""

    items: Ints
    """Numbers of items, row after row; in a row in the order of placing, the largest first."""
    items_per_row: Ints


def pack_whole_rows(
    maker: WholeRowMaker, bounds: TextBounds, targets: Targets, draws: RowDraws, num_special: int
) -> tuple[WholeRows, Packing]:
    """Return the texts of one duplicate, and which of them share a row.

    Of the shares of short texts the first is taken that fills the rows, one of them left aside;
    where none does, the one with the fewest rows.

    Parameters
    ----------
    maker : WholeRowMaker
    bounds : TextBounds
    targets : Targets
        Without fillers.
    draws : RowDraws
    num_special : int
        Places that a text takes beside its tokens.

    """
    room = maker.capacity + num_special
    mean_sentence = -(-int(bounds.sentence_starts[-1]) // max(len(bounds.sentence_starts) - 1, 1))
    filler_limit = min(FILLER_SENTENCES * mean_sentence, maker.capacity)
    attempts: list[tuple[WholeRows, Packing]] = []
    for threshold in FILLER_THRESHOLDS:
        filled = replace(targets, filler_threshold=threshold, filler_limit=filler_limit)
        rows = maker.make(filled, draws)
        sizes = np.diff(rows.starts) + num_special
        packing = pack_sizes(sizes, draws.pack_keys(rows.rows_per_document), room)
        num_rows = len(packing.items_per_row)
        if 100 * int(sizes.sum()) >= MIN_FILL_PERCENT * room * (num_rows - 1):
            return rows, packing
        attempts.append((rows, packing))
    return min(attempts, key=lambda attempt: len(attempt[1].items_per_row))


class _OpenRows:
    """Rows that have room left, by how much."""

    def __init__(self) -> None:
        self._rooms: list[int] = []
        """Ascending; the keys of `_rows`."""
        self._rows: dict[int, list[Ints]] = {}

    def add(self, room: int, rows: Ints) -> None:
        if room not in self._rows:
            insort(self._rooms, room)
            self._rows[room] = []
        self._rows[room].append(rows)

    def smallest_room(self, size: int) -> int:
        """Return the least room that holds `size`; 0 if none does."""
        at = bisect_left(self._rooms, size)
        return self._rooms[at] if at < len(self._rooms) else 0

    def take(self, room: int, num_rows: int) -> Ints:
        """Remove and return at most `num_rows` rows of a room: those that were added last."""
        chunks = self._rows[room]
        rows = chunks.pop()
        if len(rows) > num_rows:
            chunks.append(rows[num_rows:])
            rows = rows[:num_rows]
        if not chunks:
            del self._rows[room]
            self._rooms.remove(room)
        return rows


def pack_sizes(sizes: Ints, order_keys: NDArray[np.uint64], room: int) -> Packing:
    """Distribute items over rows, each to the row with the least room that holds it.

    Items come in the order of falling size, equal sizes by their keys and then by their numbers.
    Equal sizes are placed together, so that the work is linear in the items, beside their sorting,
    and does not depend on how many rows are open.

    Parameters
    ----------
    sizes : int64 array in [1, room], shape (n,)
    order_keys : uint64 array, shape (n,)
    room : int
        What a row holds.

    Returns
    -------
    Packing

    Examples
    --------
    >>> sizes = np.array([3, 6, 5, 4, 2])
    >>> packing = pack_sizes(sizes, np.zeros(5, np.uint64), 10)
    >>> packing.items.tolist(), packing.items_per_row.tolist()
    ([1, 3, 2, 0, 4], [2, 3])

    """
    order = np.lexsort((order_keys, -sizes))
    sorted_sizes = sizes[order]
    group_starts = np.flatnonzero(np.diff(sorted_sizes, prepend=room + 1))
    group_stops = np.append(group_starts, len(sizes))[1:]
    smallest = int(sizes.min(initial=room))
    rows_of_items = np.empty(len(sizes), np.int64)
    open_rows = _OpenRows()
    num_rows = 0
    for start, stop in zip(group_starts.tolist(), group_stops.tolist(), strict=True):
        size, placed = int(sorted_sizes[start]), start
        while placed < stop:
            room_left = open_rows.smallest_room(size)
            items_per_row = (room_left or room) // size
            wanted = -(-(stop - placed) // items_per_row)
            if room_left:
                rows = open_rows.take(room_left, wanted)
            else:
                room_left = room
                rows = np.arange(num_rows, num_rows + wanted)
                num_rows += wanted
            num_items = min(len(rows) * items_per_row, stop - placed)
            rows_of_items[placed : placed + num_items] = np.repeat(rows, items_per_row)[:num_items]
            placed += num_items
            _put_back(open_rows, rows, (room_left, size, items_per_row, num_items, smallest))
    by_row = np.argsort(rows_of_items, kind="stable")
    return Packing(order[by_row], np.bincount(rows_of_items, minlength=num_rows))


def _put_back(open_rows: _OpenRows, rows: Ints, placing: tuple[int, int, int, int, int]) -> None:
    """Add the rows with the room that is left; the last one may hold fewer items."""
    room, size, items_per_row, num_items, smallest = placing
    in_last = num_items - (len(rows) - 1) * items_per_row
    for left, chunk in (
        (room - items_per_row * size, rows[:-1]),
        (room - in_last * size, rows[-1:]),
    ):
        if left >= smallest and chunk.size:
            open_rows.add(left, chunk)
