# SPDX-License-Identifier: Apache-2.0
"""Whether numbers repeat, for more of them than memory holds.

Owns where row ids are kept while a folder is verified. Knows nothing of rows.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowIdSet"]

Ints = NDArray[np.int64]

# 128 MB of ids, and as much again while they are put together.
MAX_HELD = 1 << 24
# Row ids are hashes, so that their top bits divide them evenly: 2**31 ids are 64 MB a bucket.
BUCKET_BITS = 8
_ID_BITS = 63


class RowIdSet:
    """Row ids, in [0, 2**63), of which some may repeat; a context manager.

    Examples
    --------
    >>> with RowIdSet() as ids:
    ...     ids.add(np.array([5, 9]))
    ...     ids.add(np.array([7, 5]))
    ...     ids.duplicates(10)
    array([5])

    """

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self._max_held = max_held
        self._held: list[Ints] = []
        self._num_held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> RowIdSet:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, row_ids: Ints) -> None:
        """Add ids, int64 array of shape (n,)."""
        self._held.append(row_ids)
        self._num_held += len(row_ids)
        if self._num_held > self._max_held:
            self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="maskcore-row-ids-")
        row_ids = self._take_held()
        row_ids.sort()
        buckets = np.arange(1, 1 << BUCKET_BITS) << (_ID_BITS - BUCKET_BITS)
        bounds = [0, *np.searchsorted(row_ids, buckets).tolist(), len(row_ids)]
        for bucket, (start, stop) in enumerate(pairwise(bounds)):
            if start < stop:
                with Path(self._folder.name, str(bucket)).open("ab") as stream:
                    stream.write(row_ids[start:stop].data)

    def _take_held(self) -> Ints:
        row_ids = np.concatenate([np.empty(0, np.int64), *self._held])
        self._held, self._num_held = [], 0
        return row_ids

    def duplicates(self, limit: int) -> Ints:
        """Return ids that were added more than once, ascending, `limit` at most."""
        if self._folder is None:
            self._held = [self._take_held()]
            self._num_held = len(self._held[0])
            return _repeated(self._held[0])[:limit]
        self._spill()
        files = sorted(Path(self._folder.name).iterdir(), key=lambda path: int(path.name))
        found = [_repeated(np.fromfile(path, np.int64))[:limit] for path in files]
        return np.concatenate(found)[:limit]


def _repeated(row_ids: Ints) -> Ints:
    row_ids.sort()
    return np.unique(row_ids[1:][row_ids[1:] == row_ids[:-1]])
