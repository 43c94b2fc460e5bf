# SPDX-License-Identifier: Apache-2.0
"""Whether numbers repeat, for more of them than memory holds.

Owns where row ids are kept while a folder is verified. Knows nothing of rows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowIdSet"]

Ints = NDArray[np.int64]

# 256 MB of ids.
MAX_HELD = 1 << 25
# Row ids are hashes, so that their top bits divide them evenly: 2**31 ids are 32 MB a bucket.
BUCKET_BITS = 6
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
        for row_ids in self._held:
            buckets = row_ids >> (_ID_BITS - BUCKET_BITS)
            order = np.argsort(buckets, kind="stable")
            bounds = np.searchsorted(buckets[order], np.arange((1 << BUCKET_BITS) + 1))
            for bucket in np.flatnonzero(np.diff(bounds)).tolist():
                with Path(self._folder.name, str(bucket)).open("ab") as stream:
                    stream.write(row_ids[order[bounds[bucket] : bounds[bucket + 1]]].tobytes())
        self._held, self._num_held = [], 0

    def duplicates(self, limit: int) -> Ints:
        """Return ids that were added more than once, ascending, `limit` at most."""
        if self._folder is None:
            return _repeated(self._held)[:limit]
        self._spill()
        files = sorted(Path(self._folder.name).iterdir(), key=lambda path: int(path.name))
        found = [_repeated([np.fromfile(path, np.int64)])[:limit] for path in files]
        return np.concatenate(found)[:limit]


def _repeated(parts: list[Ints]) -> Ints:
    row_ids = np.concatenate([np.empty(0, np.int64), *parts])
    row_ids.sort()
    return np.unique(row_ids[1:][row_ids[1:] == row_ids[:-1]])
