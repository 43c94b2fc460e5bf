# SPDX-License-Identifier: Apache-2.0
"""Masked batches from files of records for a `torch.utils.data.DataLoader`, epoch after epoch.

Owns which rows are read and in which order: a function of (seed, epoch), and of neither workers nor where a
training began. Records and masks are those of maskcore. Knows nothing of models or devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch.profiler import record_function
from torch.utils.data import IterableDataset, get_worker_info

from maskcore import records

__all__ = ["HeldOutBatches", "MaskedBatches"]

Columns = dict[str, Any]
"""Name -> array of shape (rows, values)."""

READ_ROWS = 1024  # at a time: some 5 MB at 128 tokens a row
POOL_ROWS = 8192  # that are mixed, as in `tfshim.masked_dataset`; a build shuffles rows as well
HELD_OUT_EPOCH = 0  # of the masks
_IDS = ("input_ids", "attention_mask", "token_type_ids", "segment_ids", "next_sentence_labels")


class RowRange(NamedTuple):
    """Rows of a folder, numbered through its files of one row length."""

    start: int
    stop: int


class MaskedBatches(IterableDataset[Columns]):
    """The batches of a training from a step on, without end; each epoch has masks and an order of its own.

    Files come in a new order in each epoch, and then as many batches of rows as make some 8,192 are permuted. Rows
    at the end of an epoch that fill no batch are left out, other ones in each. Every worker of a DataLoader
    reads all rows, and masks those of its own batches: so the batches do not depend on their number.

    Parameters
    ----------
    files : sequence of paths
        Of one folder.
    batch_size : int
        Rows in a batch.
    seq_length : int
        Of the rows of these files.
    seed : int in [0, 2**63)
        Of masks and order.
    first_step : int
        The batch to begin with, counted from the first epoch on.
    rank, num_ranks : int
        Which part of the rows to read, of how many equal ones.

    """

    def __init__(
        self,
        files: Sequence[Path],
        batch_size: int,
        *,
        seq_length: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        super().__init__()
        self.folder = files[0].parent
        self.batch_size, self.seq_length, self.seed = batch_size, seq_length, seed
        self.first_step = first_step
        self.batches_in_pool = max(POOL_ROWS // batch_size, 1)
        ranges = _ranges_of(files, seq_length)
        num_rows = sum(stop - start for start, stop in ranges)
        self.ranges = _part(
            ranges, num_rows * rank // num_ranks, num_rows * (rank + 1) // num_ranks
        )
        self.steps_per_epoch = num_rows // num_ranks // batch_size
        if self.steps_per_epoch == 0:
            of_one = f" for one of {num_ranks} processes" if num_ranks > 1 else ""
            raise ValueError(
                f"batch_size must be at most {num_rows // num_ranks}, the rows of {self.folder}{of_one}, got "
                f"{batch_size}; or build records of more text"
            )

    def __iter__(self) -> Iterator[Columns]:
        worker = get_worker_info()
        own, num_workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        opened = records.open(self.folder)
        # A DataLoader takes a batch of each worker in turn.
        for step, (pool, rows, epoch) in enumerate(self._steps(opened)):
            if step % num_workers == own:
                columns = {name: column[rows] for name, column in pool.items()}
                yield masked_batch(opened, columns, epoch, self.seed)

    def _steps(self, opened: records.Records) -> Iterator[tuple[Columns, Any, int]]:
        """Yield for each step a pool, which of its rows are the batch, and the epoch."""
        first_epoch, batch = divmod(self.first_step, self.steps_per_epoch)
        for epoch in itertools.count(first_epoch):
            first_pool, place = divmod(batch, self.batches_in_pool)
            batches_left = self.steps_per_epoch - batch
            for number, pool in enumerate(self._pools(opened, epoch, first_pool), first_pool):
                order = _permutation(len(pool["row_id"]), self.seed, epoch, 1 + number)
                whole = order[: len(order) // self.batch_size * self.batch_size]
                batches = whole.reshape(-1, self.batch_size)[place:][:batches_left]
                for rows in batches:
                    yield pool, rows, epoch
                batches_left -= len(batches)
                place = 0
            batch = 0

    def _pools(self, opened: records.Records, epoch: int, first_pool: int) -> Iterator[Columns]:
        """Yield the rows of an epoch from a pool on; the last one has fewer."""
        pool_rows = self.batches_in_pool * self.batch_size
        held: list[Columns] = []
        num_held = 0
        for columns in self._read(opened, epoch, first_pool * pool_rows):
            held.append(columns)
            num_held += len(columns["row_id"])
            while num_held >= pool_rows:
                joined = _joined(held)
                yield {name: column[:pool_rows] for name, column in joined.items()}
                held = [{name: column[pool_rows:] for name, column in joined.items()}]
                num_held -= pool_rows
        if num_held:
            yield _joined(held)

    def _read(self, opened: records.Records, epoch: int, num_skipped: int) -> Iterator[Columns]:
        """Yield the rows of an epoch but the first ones, file after file."""
        for index in _permutation(len(self.ranges), self.seed, epoch, 0):
            start, stop = self.ranges[index]
            skipped = min(num_skipped, stop - start)
            num_skipped -= skipped
            for columns in opened.batches(
                READ_ROWS, self.seq_length, start=start + skipped, stop=stop
            ):
                yield _kept(columns)


class HeldOutBatches(IterableDataset[Columns]):
    """All rows of files in their order, the last batch smaller, masked alike at every iteration."""

    def __init__(
        self, files: Sequence[Path], batch_size: int, *, seq_length: int, seed: int
    ) -> None:
        super().__init__()
        self.folder, self.ranges = files[0].parent, _ranges_of(files, seq_length)
        self.batch_size, self.seq_length, self.seed = batch_size, seq_length, seed

    def __iter__(self) -> Iterator[Columns]:
        opened = records.open(self.folder)
        for start, stop in self.ranges:
            for columns in opened.batches(self.batch_size, self.seq_length, start=start, stop=stop):
                yield masked_batch(opened, _kept(columns), HELD_OUT_EPOCH, self.seed)


def masked_batch(opened: records.Records, columns: Columns, epoch: int, seed: int) -> Columns:
    """Return rows as a model takes them, with what their masks depend on: `row_id` and `epoch`."""
    with record_function("masking"):
        masked = opened.mask_tokens(columns, epoch, output="positions", seed=seed)
    batch = {name: columns[name] for name in _IDS if name in columns} | masked._asdict()
    row_ids = columns["row_id"][:, 0]
    return batch | {"row_id": row_ids, "epoch": np.full(len(row_ids), epoch, np.int32)}


def _ranges_of(files: Sequence[Path], seq_length: int) -> list[RowRange]:
    """Return the rows of each file that has some."""
    opened = records.open(files[0].parent)
    names = {file.name for file in files}
    ranges, start = [], 0
    for shard in opened.manifest.shards:
        if shard.bin_length == seq_length:
            if shard.file in names and shard.records:
                ranges.append(RowRange(start, start + shard.records))
            start += shard.records
    return ranges


def _part(ranges: list[RowRange], first: int, end: int) -> list[RowRange]:
    """Return the rows from the `first` to the `end`-th of ranges laid end to end."""
    part = []
    for start, stop in ranges:
        if first < stop - start and end > 0:
            part.append(RowRange(start + max(first, 0), min(start + end, stop)))
        first -= stop - start
        end -= stop - start
    return part


def _kept(columns: Columns) -> Columns:
    """Return what a batch is made of: int32, and int64 row ids."""
    kept = {name: columns[name].astype(np.int32) for name in (*_IDS, "word_ids") if name in columns}
    return {**kept, "row_id": columns["row_id"]}


def _joined(held: list[Columns]) -> Columns:
    return {name: np.concatenate([columns[name] for columns in held]) for name in held[0]}


def _permutation(size: int, seed: int, epoch: int, number: int) -> Any:
    """Return 0 .. size - 1 in an order drawn at an address: Philox's words are the same in every NumPy."""
    # It counts up in the first word of its counter.
    words = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, number]).random_raw(size)
    return np.argsort(words, kind="stable")
