# SPDX-License-Identifier: Apache-2.0
"""What the benches of tf.data share: one thread or core, and iteration without anything else.

Knows nothing of what the datasets hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench import libraries


def on_one_thread(dataset: Any) -> Any:
    """Return the dataset with one thread for all its parts, and nothing tuned while it is timed."""
    tf = libraries.load("tensorflow")
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return dataset.with_options(options)


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
