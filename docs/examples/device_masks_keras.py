# SPDX-License-Identifier: Apache-2.0
"""Masks that are made inside of the train step, on the device, instead of in the input pipeline.

Owns a tf.data pipeline that hands rows on unmasked, and the function that masks them. For hosts that have no time to
spare, or load no op. The masks are those of `tfshim.masked_dataset`; the order of rows is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tensorflow as tf
from record_files import RecordFiles

import maskcore
import tfshim

__all__ = ["device_masks", "unmasked_data"]

Batch = dict[str, Any]

POOL_ROWS = 8192  # that are mixed at a time
FILES_AT_A_TIME = 16
WORDS = "word_ids"  # of records: 0 at tokens that are never masked
USED_BY_MASKS = ("row_id", "epoch", WORDS)


def unmasked_data(files: RecordFiles, batch_size: int, *, seed: int, first_step: int = 0) -> Any:
    """Return the endless dataset of rows as they are stored, with their epochs, from a step on."""
    names = tf.constant([str(file) for file in files.training])
    entries = {shard.file: shard.records for shard in files.manifest.shards}
    num_rows = sum(entries[file.name] for file in files.training)
    steps_per_epoch = num_rows // batch_size
    if steps_per_epoch == 0:
        raise ValueError(
            f"--batch-size: {batch_size}, there are {num_rows} rows; pass at most that"
        )

    def parse(serialized: Any, epoch: Any) -> Batch:
        columns = tfshim.parse_records(serialized, files.manifest.features[files.seq_length])
        # Devices take integers of 32 bits.
        columns["row_id"] = tf.bitcast(columns["row_id"][:, 0], tf.uint32)
        return {**columns, "epoch": tf.fill([batch_size], tf.cast(epoch, tf.int32))}

    def one_epoch(epoch: Any) -> Any:
        words = random_integers([1 + len(files.training)], seed, epoch)

        def shuffled(number: Any, pool: Any) -> Any:
            keys = random_integers(tf.shape(pool), words[0], number)
            return tf.gather(pool, tf.argsort(keys))

        shuffled_names = tf.data.Dataset.from_tensor_slices(tf.gather(names, tf.argsort(words[1:])))
        records = shuffled_names.interleave(
            tf.data.TFRecordDataset,
            cycle_length=FILES_AT_A_TIME,
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        pools = records.batch(POOL_ROWS).enumerate().map(shuffled)
        return pools.rebatch(batch_size, drop_remainder=True).map(
            lambda rows: parse(rows, epoch), num_parallel_calls=tf.data.AUTOTUNE
        )

    first_epoch, step = divmod(first_step, steps_per_epoch)
    epochs = tf.data.Dataset.range(first_epoch, 2**31)
    dataset = epochs.flat_map(one_epoch).skip(step).prefetch(tf.data.AUTOTUNE)
    dataset.steps_per_epoch = steps_per_epoch
    return dataset


def random_integers(shape: Any, seed: Any, number: Any) -> Any:
    """Return integers that are a function of (seed, number)."""
    address = tf.stack([tf.cast(seed, tf.int64), number])
    return tf.random.stateless_uniform(shape, address, None, None, tf.int64)


def device_masks(files: RecordFiles, *, seed: int) -> Callable[[Batch], Batch]:
    """Return the function from a batch of `unmasked_data` to one of `masked_dataset`, compiled by XLA."""
    manifest = files.manifest
    special = {token.id for token in manifest.tokenizer.special_tokens.values()}
    random_ids = maskcore.allowed_ids(manifest.tokenizer.vocab_size, sorted(special))
    choice = replace(manifest.mask, seed=seed)

    def masked(batch: Batch) -> Batch:
        words = batch[WORDS]
        made = tfshim.mask_tokens(
            batch["input_ids"],
            words,
            word_ids=words - 1 if choice.mask_unit == "word" else None,
            row_ids=batch["row_id"],
            epoch=batch["epoch"],
            mask_id=manifest.tokenizer.special_tokens["mask"].id,
            random_ids=random_ids,
            output="positions",
            implementation="xla",
            **choice.arguments(),
        )
        kept = {name: column for name, column in batch.items() if name not in USED_BY_MASKS}
        return {**kept, **made._asdict()}

    return masked
