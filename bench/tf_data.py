# SPDX-License-Identifier: Apache-2.0
"""What the benches of tf.data share: one thread or core, and iteration without anything else.

Knows nothing of what is made of records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import libraries, workload


def on_one_thread(dataset: Any) -> Any:
    """Return the dataset with one thread for all its parts, and nothing tuned while it is timed."""
    tf = libraries.load("tensorflow")
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return dataset.with_options(options)


def mapped_records(
    folder: Path,
    batch_size: int,
    function: Callable[[Any, Any], Any],
    *,
    drop_remainder: bool = False,
) -> Any:
    """Return the pipeline of `masked_dataset` with another function from records and epochs to batches."""
    from tfshim import _pipeline, _record_files

    tf = libraries.load("tensorflow")
    opened = _record_files.open_folder(folder)
    rows = _record_files.rows_of_bin(opened, workload.ROW_LENGTH, num_shards=1, index=0)
    reading = _pipeline.Reading(
        initial_epoch=0,
        is_endless=True,
        shuffle_buffer_size=8192,
        shuffle_seed=workload.SEED,
        cache=None,
        drop_remainder=drop_remainder,
        num_parallel_calls=None,
        deterministic=True,
    )
    batches = _pipeline.record_batches(_pipeline.BinBatches(rows, batch_size, reading))
    mapped = batches.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return mapped.prefetch(tf.data.AUTOTUNE)


def without_stock(dataset: Any) -> Any:
    """Return the dataset with a prefetch that holds a few batches, for its stock is made while others are timed."""
    tf = libraries.load("tensorflow")
    options = tf.data.Options()
    options.autotune.ram_budget = 1 << 21
    return dataset.with_options(options)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and the threads that it starts, on one core.

    A prefetch has a thread of its own, whatever `on_one_thread` says.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def pass_over(dataset: Any) -> Callable[[], None]:
    """Return what iterates a finite dataset."""

    def iterate() -> None:
        for _ in dataset:
            pass

    return iterate


def next_batches(dataset: Any, num_batches: int) -> Callable[[], None]:
    """Return what takes the next batches of an endless dataset, from one iterator."""
    iterator = iter(dataset)

    def take() -> None:
        for _ in range(num_batches):
            next(iterator)

    return take
