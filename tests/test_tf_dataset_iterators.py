# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset`: iterators that are restored, share a dataset or a cache, or are distributed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_dataset_support import (
    SHUFFLED,
    Oracle,
    addresses,
    assert_equal_batches,
    assert_rows,
    build_folder,
    folders,
    take,
)

import tfshim

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return folders(tmp_path_factory)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("sop", SHUFFLED),
        ("compact", {"cache": True}),
        ("compact", {"cache": True, "shuffle_buffer_size": 0}),
        ("bins", SHUFFLED | {"num_shards": 2, "index": 1}),
        ("sop", {"drop_remainder": True, "implementation": "numpy_function"}),
    ],
    ids=str,
)
def test_a_restored_iterator_goes_on_with_the_batches_that_would_have_come(
    folder_of: Any, tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    """In mid-epoch of the first, the second and the third epoch, restored as in a new process."""
    options = {"with_row_ids": True, "num_parallel_calls": 2} | options
    dataset = tfshim.masked_dataset(folder_of(form), 16, **options)
    steps = dataset.steps_per_epoch
    places = [1, steps // 2, steps + 3, 2 * steps + steps // 3]
    undisturbed = take(dataset, places[-1] + steps + 2)
    iterator = iter(tfshim.masked_dataset(folder_of(form), 16, **options))
    paths, read = [], 0
    for place in places:
        while read < place:
            next(iterator)
            read += 1
        checkpoint = tf.train.Checkpoint(iterator=iterator)
        paths.append(checkpoint.save(str(tmp_path / f"at-{place}")))
    for place, path in zip(places, paths, strict=True):
        fresh = iter(tfshim.masked_dataset(folder_of(form), 16, **options))
        tf.train.Checkpoint(iterator=fresh).restore(path).assert_consumed()
        rest = [
            {name: tensor.numpy() for name, tensor in batch.items()}
            for batch in islice(fresh, len(undisturbed) - place)
        ]
        assert_equal_batches(rest, undisturbed[place:])


def test_a_cache_holds_records_and_not_masks(tmp_path: Path) -> None:
    """After the first epoch the files may go; masks are those of each epoch all the same."""
    folder = build_folder(tmp_path, "int64")
    oracle = Oracle(folder)
    num_rows = len(oracle.row_ids())
    expected = {epoch: oracle.epoch(epoch) for epoch in range(5)}
    for cache in (True, tmp_path / "cache"):
        dataset = tfshim.masked_dataset(folder, 16, cache=cache, with_row_ids=True, **SHUFFLED)
        batches = dataset.as_numpy_iterator()
        seen = [next(batches) for _ in range(num_rows // 16 + 8)]
        moved = [path.rename(path.with_suffix(".away")) for path in folder.glob("*.tfrecord")]
        seen += [next(batches) for _ in range(3 * num_rows // 16)]
        for path in moved:
            path.rename(path.with_suffix(".tfrecord"))
        for batch in seen:
            assert_rows(batch, expected)
        counts = Counter(addresses(seen))
        assert set(counts.values()) == {1}
        orders = [[row for e, row in addresses(seen) if e == epoch] for epoch in (0, 1, 2)]
        assert orders[0] != orders[1] != orders[2]
    assert list(tmp_path.glob("cache-L64-0-of-1-*.index"))


def test_functions_of_several_datasets_do_not_mix(folder_of: Any) -> None:
    """Two iterators of one dataset, in turn, give the same batches."""
    dataset = tfshim.masked_dataset(folder_of("sop"), 16, with_row_ids=True)
    for one, other in islice(zip(dataset, dataset, strict=True), 20):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_strategy_distributes_every_row_once(folder_of: Any) -> None:
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    dataset = tfshim.masked_dataset(folder_of("int64"), 16, with_row_ids=True)
    distributed = iter(strategy.experimental_distribute_dataset(dataset))
    batches = [
        {name: tensor.numpy() for name, tensor in next(distributed).items()} for _ in range(30)
    ]
    assert_equal_batches(batches, take(dataset, 30))
