# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.ladder.memory ROOT RUNG`: the bytes that a rung's cache takes, for each row.

Owns the measurement, which needs a process of its own: resident memory before and after the epoch in which the
cache is filled.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from bench.ladder.pipelines import BATCH_SIZE, RUNGS, Folders, pipeline

ROWS_PER_FILE = 8192
FIRST_BATCHES = 8  # in which everything but the cache is allocated


def main() -> None:
    """Print the bytes."""
    root, number = Path(sys.argv[1]), int(sys.argv[2])
    folders = Folders(root, ROWS_PER_FILE)
    iterator = iter(pipeline(folders, RUNGS[number], "custom_op"))
    process = psutil.Process()
    before = 0
    for batch in range(2 * folders.num_rows // BATCH_SIZE):
        if batch == FIRST_BATCHES:
            before = process.memory_info().rss
        next(iterator)
    cached_rows = folders.num_rows - FIRST_BATCHES * BATCH_SIZE
    print((process.memory_info().rss - before) / cached_rows)


if __name__ == "__main__":
    main()
