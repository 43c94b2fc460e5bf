# SPDX-License-Identifier: Apache-2.0
"""From files to batches of records in tf.data, epoch after epoch, each record with the number of its epoch.

Owns the order of records and batches, which is a function of (seed, epoch), the cache, and what a damaged file
raises. Records pass in chunks, so that nothing here costs an operation a record. Knows nothing of what records
hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from maskcore.records.manifest import MANIFEST_FILE
from tfshim._record_files import RowsOfBin
from tfshim._tensorflow import Tensor, tensorflow

__all__ = ["IN_MEMORY", "LAST_EPOCH", "BinBatches", "Reading", "in_proportion", "record_batches"]

Dataset = Any
"""A `tf.data.Dataset`."""

LAST_EPOCH = 2**31 - 1  # docs/algorithm.md, section 1
# Records that pass through tf.data as one element; it costs about a microsecond, whatever it holds.
CHUNK_ROWS = 64
# Files that are read at a time, whatever the machine, since the order of records depends on it.
CYCLE_LENGTH = 16
LONGEST_BLOCK = 2**40  # chunks: more than any file has
IN_MEMORY = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are read, whatever their length."""

    initial_epoch: int
    is_endless: bool
    """Epoch after epoch, or the initial one alone."""
    shuffle_buffer_size: int
    shuffle_seed: int
    cache: str | None
    """Where files of the cache lie: the beginning of their names; "" is memory, None no cache."""
    drop_remainder: bool
    num_parallel_calls: int | None
    """None lets tf.data choose."""
    deterministic: bool

    @property
    def has_static_batches(self) -> bool:
        """Whether all batches are of one size."""
        return self.is_endless or self.drop_remainder

    @property
    def parallelism(self) -> int:
        """For `map`."""
        auto: int = tensorflow().data.AUTOTUNE
        return auto if self.num_parallel_calls is None else self.num_parallel_calls

    def epochs(self) -> Dataset:
        """Return a dataset of the epochs' numbers, int64."""
        data = tensorflow().data.Dataset
        last = LAST_EPOCH if self.is_endless else self.initial_epoch
        return data.range(self.initial_epoch, last + 1)


@dataclass(frozen=True, slots=True)
class BinBatches:
    """How many batches the rows of a bin make."""

    rows: RowsOfBin
    batch_size: int
    reading: Reading

    @property
    def rows_used(self) -> int:
        """Rows of this host in an epoch."""
        if not self.reading.drop_remainder:
            return self.rows.num_rows
        return self.rows.fewest_rows // self.batch_size * self.batch_size

    def num_batches(self, epoch: Tensor) -> Tensor:
        """Return the number of batches that end in an epoch, of every host alike; int64."""
        if not self.reading.is_endless:
            return -(-self.rows_used // self.batch_size) + 0 * epoch
        whole, rest = divmod(self.rows.fewest_rows, self.batch_size)
        if self.reading.drop_remainder:
            return whole + 0 * epoch
        passes = epoch - self.reading.initial_epoch
        return whole + (passes + 1) * rest // self.batch_size - passes * rest // self.batch_size


def record_batches(batches: BinBatches) -> Dataset:
    """Return a dataset of (records, epochs): string and int64 tensors of shape (batch,)."""
    reading, size = batches.reading, batches.batch_size
    make_pools = _pools(batches)
    pools = reading.epochs().flat_map(make_pools)
    # One pool is filled while another is cut into batches, across the end of an epoch as well.
    return pools.prefetch(1).rebatch(size, drop_remainder=reading.has_static_batches)


def _pools(batches: BinBatches) -> Callable[[Tensor], Dataset]:
    """Return what makes an epoch: a dataset of pools of records, permuted, with their epoch.

    Not by `Dataset.shuffle`: with a seed for each epoch its iterators cannot be saved, and it costs
    an operation a record.
    """
    tf = tensorflow()
    reading, rows = batches.reading, batches.rows
    is_shuffled = reading.shuffle_buffer_size > 0
    wanted = max(reading.shuffle_buffer_size, CHUNK_ROWS)
    pool_rows = -(-wanted // batches.batch_size) * batches.batch_size
    has_several_pools = is_shuffled and rows.num_rows > pool_rows
    place = (rows.length, rows.num_shards, rows.index)
    stream_seed = _derived_seed(reading.shuffle_seed, b"tfshim-rows", *place)
    cached = None if reading.cache is None else _cached(_chunks(rows, reading, None), batches)

    def pools_of(epoch: Tensor) -> Dataset:
        words = _random([2 + len(rows.parts)], stream_seed, epoch)
        file_order = tf.argsort(words[2:], stable=True) if is_shuffled else None
        chunks = _chunks(rows, reading, file_order) if cached is None else cached
        lead = tf.zeros([], tf.int64)
        if has_several_pools:
            # Pools begin elsewhere in each epoch: other rows meet. What comes before is cut off.
            lead = tf.math.floormod(words[0], pool_rows)
            chunks = tf.data.Dataset.from_tensors(tf.fill([lead], "")).concatenate(chunks)

        def permuted(number: Tensor, records: Tensor) -> tuple[Tensor, Tensor]:
            if has_several_pools:
                records = records[tf.where(number == 0, lead, 0) :]
            order = tf.range(tf.size(records))
            if is_shuffled:
                keys = _random(tf.shape(records), words[1], number)
                order = tf.argsort(keys, stable=True)
            if batches.rows_used < rows.num_rows:
                rows_before = tf.maximum(number * pool_rows - lead, 0)
                order = order[: tf.maximum(batches.rows_used - rows_before, 0)]
            # A copy in any case: rebatch logs an error for each tensor that is a part of another.
            records = tf.gather(records, order)
            return records, tf.fill(tf.shape(records), epoch)

        return chunks.rebatch(pool_rows).enumerate().map(_plain(permuted))

    return _plain(pools_of)


def _random(shape: Any, seed: Any, number: Tensor) -> Tensor:
    """Return random int64, a function of (seed, number): Philox, as TensorFlow defines it."""
    tf = tensorflow()
    address = tf.stack([tf.cast(seed, tf.int64), number])
    return tf.random.stateless_uniform(shape, address, None, None, tf.int64, alg="philox")


def _derived_seed(seed: int, person: bytes, *address: int) -> int:
    """Return what one order is drawn from, epoch by epoch."""
    message = b"".join(number.to_bytes(8, "little") for number in address)
    key = seed.to_bytes(8, "little")
    digest = hashlib.blake2b(message, digest_size=8, key=key, person=person).digest()
    return int.from_bytes(digest, "little") >> 1


def _chunks(rows: RowsOfBin, reading: Reading, file_order: Tensor | None) -> Dataset:
    """Return a dataset of chunks of records, from several files in turn."""
    tf = tensorflow()
    ordered = [
        tf.constant([part.path for part in rows.parts]),
        tf.constant([part.first for part in rows.parts], tf.int64),
        tf.constant([part.num_rows for part in rows.parts], tf.int64),
    ]
    if file_order is not None:
        ordered = [tf.gather(column, file_order) for column in ordered]
    is_cut = any(part.first for part in rows.parts) or rows.num_shards > 1

    def read(path: Tensor, first: Tensor, num_rows: Tensor) -> Dataset:
        records = tf.data.TFRecordDataset(path)
        if is_cut:
            records = records.skip(first).take(num_rows)
        # ignore_errors would try for ever to open what cannot be opened: that raises here.
        opened = tf.data.FixedLengthRecordDataset(path, 1, buffer_size=1).take(1)
        sound = opened.flat_map(
            _plain(lambda _: records.batch(CHUNK_ROWS).ignore_errors(log_warning=True))
        )
        # A damaged record ends its file, and its chunk is missing: then the other one is reached.
        num_chunks = (num_rows + CHUNK_ROWS - 1) // CHUNK_ROWS
        return sound.concatenate(_damaged(path, num_rows)).take(num_chunks)

    cycle = min(CYCLE_LENGTH, len(rows.parts))
    return tf.data.Dataset.from_tensor_slices(tuple(ordered)).interleave(
        _plain(read),
        cycle_length=cycle,
        # A chunk of each file in turn, or one file after another, the next ones opened meanwhile.
        block_length=1 if reading.shuffle_buffer_size else LONGEST_BLOCK,
        num_parallel_calls=tf.data.AUTOTUNE
        if reading.num_parallel_calls is None
        else min(reading.num_parallel_calls, cycle),
        deterministic=reading.deterministic,
    )


def _damaged(path: Tensor, num_rows: Tensor) -> Dataset:
    """Return a dataset that raises when its first chunk is asked for."""
    tf = tensorflow()

    def fail(path: Tensor) -> Tensor:
        text = [
            path,
            ": damaged, not all of the ",
            tf.strings.as_string(num_rows),
            f" records that {MANIFEST_FILE} states could be read (a warning in the log has the place); "
            "`maskcore verify` on its folder names the record: copy the file again, or build the "
            "records again",
        ]
        with tf.control_dependencies([tf.debugging.Assert(False, [tf.strings.join(text)])]):
            return path[None]

    return tf.data.Dataset.from_tensors(path).map(_plain(fail))


def _cached(chunks: Dataset, batches: BinBatches) -> Dataset:
    """Return the chunks, kept in memory or in files."""
    rows, reading, cache = batches.rows, batches.reading, batches.reading.cache
    if cache == IN_MEMORY:
        return chunks.cache()
    # Other records, another part of them, or another order are other files.
    told = [(part.sha256, part.first, part.num_rows) for part in rows.parts]
    order = (CHUNK_ROWS, reading.shuffle_buffer_size > 0, reading.deterministic)
    digest = hashlib.sha256(repr((told, order)).encode()).hexdigest()
    return chunks.cache(f"{cache}-L{rows.length}-{rows.index}-of-{rows.num_shards}-{digest[:16]}")


def in_proportion(datasets: Sequence[Dataset], bins: Sequence[BinBatches]) -> Dataset:
    """Return the batches of several bins as one dataset.

    In every epoch as many of each bin as its rows make, in an order drawn from (seed, epoch), the
    same for all hosts; of a single epoch in its order, the shortest rows first.
    """
    if len(datasets) == 1:
        return datasets[0]
    tf = tensorflow()
    reading = bins[0].reading
    seed = _derived_seed(reading.shuffle_seed, b"tfshim-bins")

    def choices(epoch: Tensor) -> Dataset:
        numbers = tf.repeat(
            tf.range(len(bins), dtype=tf.int64), tf.stack([one.num_batches(epoch) for one in bins])
        )
        if reading.is_endless:
            keys = _random(tf.shape(numbers), seed, epoch)
            numbers = tf.gather(numbers, tf.argsort(keys, stable=True))
        return tf.data.Dataset.from_tensor_slices(numbers)

    chosen = reading.epochs().flat_map(_plain(choices))
    return tf.data.Dataset.choose_from_datasets(list(datasets), chosen, stop_on_empty_dataset=True)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function without control flow on tensors, so that AutoGraph leaves it alone."""
    marked: Callable[..., Any] = tensorflow().autograph.experimental.do_not_convert(function)
    return marked
