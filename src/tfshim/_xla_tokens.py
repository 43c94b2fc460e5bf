# SPDX-License-Identifier: Apache-2.0
"""Section 7 of docs/algorithm.md for all rows of a batch at once: what is written at masked positions, and what to predict.

Owns replacement, labels and predictions of the XLA implementation. The masked tokens are given as bits. Knows nothing of how they were
chosen, or of `tf.function`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore._call import TokenParams
from tfshim._tensorflow import Tensor, tensorflow
from tfshim._xla_bits import as_int32, num_ones, select
from tfshim._xla_philox import (
    RANDOM_ID,
    REPLACEMENT,
    Address,
    blocks_for,
    draw_blocks,
    mulhi,
    words_of,
)

_WORDS = 2**32  # thresholds are in [0, 2**32]; no draw reaches the last
# A table of so many runs is computed; a longer one is read by tf.gather.
_MOST_RUNS = 16


def find_special(input_ids: Tensor, ranges: NDArray[np.int64]) -> Tensor:
    """Return which ids lie in one of the inclusive ranges, bool."""
    tf = tensorflow()
    info = np.iinfo(input_ids.dtype.as_numpy_dtype)
    is_special = tf.zeros_like(input_ids, tf.bool)
    for first, last in ranges.tolist():
        if last < info.min or first > info.max:
            continue
        low, high = max(first, int(info.min)), min(last, int(info.max))
        is_in_range = tf.logical_and(input_ids >= low, input_ids <= high)
        is_special = tf.logical_or(is_special, is_in_range)
    return is_special


def replace_tokens(
    address: Address, input_ids: Tensor, is_masked: Tensor, params: TokenParams
) -> Tensor:
    """Return the ids with `mask_id`, a random id or the id itself at each masked position.

    `input_ids` and `is_masked` are (B, L).
    """
    tf = tensorflow()
    length, dtype = input_ids.shape[1], input_ids.dtype
    masks_until, replaces_until = params.replacement_thresholds
    is_random = masks_until < replaces_until
    num_blocks = blocks_for(length)
    purposes = {REPLACEMENT: num_blocks} | ({RANDOM_ID: num_blocks} if is_random else {})
    drawn = {
        purpose: tf.transpose(words_of(blocks, length))
        for purpose, blocks in draw_blocks(address, purposes).items()
    }
    draws, replaced = drawn[REPLACEMENT], input_ids
    if is_random:
        places = mulhi(drawn[RANDOM_ID], tf.constant(len(params.random_ids), tf.uint32))
        random_ids = tf.cast(_random_ids(as_int32(places), params.random_ids), dtype)
        replaced = tf.where(_is_below(draws, replaces_until), random_ids, replaced)
    mask_id = tf.constant(params.mask_id, dtype)
    replaced = tf.where(_is_below(draws, masks_until), mask_id, replaced)
    return tf.where(is_masked, replaced, input_ids)


def _is_below(draws: Tensor, threshold: int) -> Tensor:
    tf = tensorflow()
    if threshold == _WORDS:
        return tf.ones_like(draws, tf.bool)
    return draws < np.uint32(threshold)


def _random_ids(places: Tensor, table: NDArray[np.int32]) -> Tensor:
    """Return the entries of the table: a table of few runs of consecutive ids as a sum of steps."""
    tf = tensorflow()
    offsets = table.astype(np.int64) - np.arange(table.size)
    starts = np.flatnonzero(np.diff(offsets)) + 1
    if starts.size >= _MOST_RUNS:
        return tf.gather(table, places)
    ids = places + np.int32(offsets[0])
    for start in starts.tolist():
        step = np.int32(offsets[start] - offsets[start - 1])
        ids += tf.where(places >= np.int32(start), step, np.int32(0))
    return ids


def make_labels(input_ids: Tensor, is_masked: Tensor, ignore_index: int, dtype: Any) -> Tensor:
    """Return the original id where masked, `ignore_index` elsewhere."""
    tf = tensorflow()
    return tf.where(is_masked, tf.cast(input_ids, dtype), tf.constant(ignore_index, dtype))


def make_predictions(
    input_ids: Tensor, masked: Tensor, num_predictions: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the masked positions, the ids there and the weights, (B, P); `masked` are bits."""
    tf = tensorflow()
    ranks = np.arange(num_predictions, dtype=np.int32)[:, None]
    counts = num_ones(masked)
    every_rank = ranks + tf.zeros_like(counts)
    positions = tf.where(every_rank < counts, select(masked, every_rank), 0)
    positions = tf.transpose(positions)
    is_given = ranks[:, 0] < counts[:, None]
    ids = tf.gather(input_ids, positions, batch_dims=1)
    return positions, tf.where(is_given, ids, 0), tf.cast(is_given, tf.float32)
