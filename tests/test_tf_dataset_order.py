# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset`: which rows come when, on one host and on several, and that nothing else decides it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
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
    folders,
    take,
)

import tfshim
from maskcore import records

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return folders(tmp_path_factory)


def test_every_epoch_has_masks_and_an_order_of_its_own(folder_of: Any) -> None:
    num_rows = len(Oracle(folder_of("int64")).row_ids())
    dataset = tfshim.masked_dataset(folder_of("int64"), num_rows, with_row_ids=True)
    first, second, third = take(dataset, 3)
    orders = {tuple(batch["row_id"].tolist()) for batch in (first, second, third)}
    assert len(orders) == 3
    labels = [
        dict(zip(batch["row_id"].tolist(), batch["labels"], strict=True))
        for batch in (first, second, third)
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        long = [row_id for row_id, row in labels[one].items() if (row != -100).sum() > 5]
        alike = [row for row in long if np.array_equal(labels[one][row], labels[other][row])]
        assert len(long) > 150 and len(alike) < 4  # rows of few words, by chance


def test_an_order_is_that_of_every_machine_and_tensorflow(tmp_path: Path) -> None:
    """Literals: places in the folder of the rows that come, the same on TensorFlow 2.15 and 2.21."""
    texts = ["word " * (1 + number % 40) for number in range(300)]
    (tmp_path / "a.txt").write_text("\n\n".join(texts), encoding="utf-8")
    folder = tmp_path / "r"
    records.build(tmp_path / "a.txt", folder, vocab_size=60, bins=(16, 48), num_shards=2, workers=1)
    places = {row_id: place for place, row_id in enumerate(Oracle(folder).row_ids())}
    given = {"shuffle_seed": 11, "initial_epoch": 2, "with_row_ids": True}
    begins = []
    for options in (SHUFFLED, {"cache": True}, {"shuffle_buffer_size": 0}):
        found = addresses(take(tfshim.masked_dataset(folder, 5, **options, **given), 60))
        begins.append([places[row] for epoch, row in found if epoch == 2][:10])
    found = addresses(take(tfshim.masked_dataset(folder, 5, **SHUFFLED, **given), 90))
    digest = hashlib.sha256(repr([(epoch, places[row]) for epoch, row in found]).encode())
    assert begins == [
        [73, 91, 64, 62, 90, 13, 2, 9, 12, 3],
        [102, 278, 229, 108, 288, 13, 143, 47, 172, 28],
        [59, 60, 61, 62, 63, 0, 1, 2, 3, 4],
    ]
    assert digest.hexdigest()[:16] == "12fd520f109c988a"


def test_two_runs_are_equal_whatever_tensorflows_seed(folder_of: Any) -> None:
    def run(global_seed: int | None) -> list[dict[str, Any]]:
        tf.random.set_seed(global_seed)
        try:
            return take(tfshim.masked_dataset(folder_of("sop"), 16, with_row_ids=True), 60)
        finally:
            tf.random.set_seed(None)

    first = run(None)
    for global_seed in (None, 0, 7):
        assert_equal_batches(run(global_seed), first)


def test_the_seed_decides_the_order_and_not_the_masks(folder_of: Any) -> None:
    oracle = Oracle(folder_of("sop"))
    expected = {epoch: oracle.epoch(epoch) for epoch in (0, 1, 2)}
    orders = set()
    for shuffle_seed in (0, 1, 2**63 - 1):
        dataset = tfshim.masked_dataset(
            folder_of("sop"), 16, shuffle_seed=shuffle_seed, with_row_ids=True
        )
        batches = take(dataset, 20)
        for batch in batches:
            assert_rows(batch, expected)
        orders.add(tuple(addresses(batches)))
    assert len(orders) == 3


@pytest.mark.parametrize("form", ["compact", "bins"])
@pytest.mark.parametrize("cache", [False, True])
def test_parallelism_changes_nothing(folder_of: Any, form: str, cache: bool) -> None:
    runs = [
        take(
            tfshim.masked_dataset(
                folder_of(form),
                8,
                num_parallel_calls=calls,
                cache=cache,
                with_row_ids=True,
                **SHUFFLED,
            ),
            60,
        )
        for calls in (1, 2, None)
    ]
    for run in runs[1:]:
        assert_equal_batches(run, runs[0])


def test_without_determinism_masks_are_the_same(folder_of: Any) -> None:
    oracle = Oracle(folder_of("int64"))
    num_rows = len(oracle.row_ids())
    dataset = tfshim.masked_dataset(folder_of("int64"), 16, deterministic=False, with_row_ids=True)
    batches = take(dataset, 3 * num_rows // 16)
    # Batches may overtake each other, and so come from later epochs than the third.
    epochs = {int(epoch) for batch in batches for epoch in np.asarray(batch["epoch"])}
    expected = {epoch: oracle.epoch(epoch) for epoch in epochs}
    for batch in batches:
        assert_rows(batch, expected)
    counted = Counter(addresses(batches))
    assert set(counted.values()) == {1}


@pytest.mark.parametrize("form", ["int64", "bins"])
@pytest.mark.parametrize("num_shards", [1, 2, 3, 7])
def test_hosts_share_all_rows(folder_of: Any, form: str, num_shards: int) -> None:
    oracle = Oracle(folder_of(form))
    expected = {0: oracle.epoch(0)}
    hosts = []
    for index in range(num_shards):
        dataset = tfshim.masked_dataset(
            folder_of(form),
            4,
            num_shards=num_shards,
            index=index,
            fixed_masks=True,
            with_row_ids=True,
        )
        batches = take(dataset, 10_000)
        for batch in batches:
            assert_rows(batch, expected)
        hosts.append([row for _, row in addresses(batches)])
    assert Counter(row for host in hosts for row in host) == Counter(oracle.row_ids())
    most = max(map(len, hosts)) - min(map(len, hosts))
    assert most <= len(oracle.manifest.bins)


def test_hosts_train_in_step(folder_of: Any) -> None:
    """Equal epochs, and batches of one bin at a time on all hosts, as SPMD programs need."""
    for drop_remainder in (False, True):
        datasets = [
            tfshim.masked_dataset(
                folder_of("bins"), 8, num_shards=3, index=index, drop_remainder=drop_remainder
            )
            for index in range(3)
        ]
        assert len({dataset.steps_per_epoch for dataset in datasets}) == 1
        shapes = [[batch["input_ids"].shape for batch in take(dataset, 80)] for dataset in datasets]
        assert shapes[0] == shapes[1] == shapes[2]
        assert len(set(shapes[0])) == 3


def test_bins_are_drawn_in_proportion(folder_of: Any) -> None:
    oracle = Oracle(folder_of("bins"))
    num_rows = {length: len(oracle.row_ids(length)) for length in (32, 64, 128)}
    expected = {epoch: oracle.epoch(epoch) for epoch in range(7)}
    sizes = {32: 12, 64: 7, 128: 3}
    dataset = tfshim.masked_dataset(folder_of("bins"), sizes, with_row_ids=True, **SHUFFLED)
    assert dataset.element_spec["input_ids"].shape == (None, None)
    batches_of_six = sum(6 * num_rows[length] // sizes[length] for length in sizes)
    batches = take(dataset, batches_of_six)
    shapes = Counter(batch["input_ids"].shape for batch in batches)
    assert shapes == {
        (sizes[length], length): 6 * num_rows[length] // sizes[length] for length in sizes
    }
    for batch in batches:
        assert_rows(batch, expected)
    lengths = [batch["input_ids"].shape[1] for batch in batches]
    per_epoch = dataset.steps_per_epoch
    assert lengths[:per_epoch] != sorted(lengths[:per_epoch])
    assert lengths[:per_epoch] != lengths[per_epoch : 2 * per_epoch]
    assert set(addresses(batches)) >= {(e, row) for e in range(5) for row in oracle.row_ids()}


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("shuffle_buffer_size", [0, 10, 10_000])
def test_without_a_remainder_epochs_begin_with_a_batch(
    folder_of: Any, shuffle_buffer_size: int, cache: bool
) -> None:
    rows = Oracle(folder_of("int64")).row_ids()
    dataset = tfshim.masked_dataset(
        folder_of("int64"),
        16,
        drop_remainder=True,
        cache=cache,
        shuffle_buffer_size=shuffle_buffer_size,
        with_row_ids=True,
    )
    steps = len(rows) // 16
    assert dataset.steps_per_epoch == steps
    batches = take(dataset, 3 * steps)
    for number, batch in enumerate(batches):
        assert set(batch["epoch"].tolist()) == {number // steps}
    assert set(Counter(addresses(batches)).values()) == {1}


@pytest.mark.parametrize("num_rows", [1, 15, 16, 17, 63, 64, 65, 127, 128, 129])
def test_few_rows(tmp_path: Path, num_rows: int) -> None:
    """Around a batch, and around the chunks in which records pass."""
    (tmp_path / "a.txt").write_text("\n\n".join(["a few words"] * num_rows), encoding="utf-8")
    folder = tmp_path / "r"
    records.build(tmp_path / "a.txt", folder, seq_length=8, num_shards=1, workers=1)
    row_ids = Oracle(folder).row_ids()
    assert len(row_ids) == num_rows
    for options in ({}, {"shuffle_buffer_size": 0}, {"cache": True}):
        dataset = tfshim.masked_dataset(folder, 16, with_row_ids=True, **options)
        found = addresses(take(dataset, 3 * num_rows // 16 + 1))
        assert found[: 3 * num_rows] == sorted(found[: 3 * num_rows], key=lambda pair: pair[0])
        expected = Counter((epoch, row) for epoch in range(3) for row in row_ids)
        assert Counter(found[: 3 * num_rows]) == expected
    for drop_remainder in (False, True):
        if drop_remainder and num_rows < 16:
            continue
        dataset = tfshim.masked_dataset(
            folder, 16, fixed_masks=True, drop_remainder=drop_remainder, with_row_ids=True
        )
        kept = num_rows // 16 * 16 if drop_remainder else num_rows
        assert addresses(take(dataset, 1000)) == [(0, row) for row in row_ids[:kept]]
