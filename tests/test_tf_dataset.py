# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset`: the rows and masks of numpy, whatever the pipeline does with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_dataset_support import (
    LAYOUTS_AND_SCHEMAS,
    Oracle,
    assert_rows,
    build_folder,
)
from tf_support import IMPLEMENTATIONS

import tfshim
from maskcore import records
from maskcore.records import MaskConfig

pytestmark = pytest.mark.tensorflow

SHUFFLED = {"shuffle_buffer_size": 50}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Path] = {}

    def folder(form: str) -> Path:
        if form not in made:
            made[form] = build_folder(tmp_path_factory.mktemp("records"), form)
        return made[form]

    return folder


def take(dataset: Any, num_batches: int) -> list[dict[str, Any]]:
    """Return the first batches as numpy."""
    return list(islice(dataset.as_numpy_iterator(), num_batches))


def addresses(batches: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return (epoch, row id) of all rows, in order."""
    return [
        (int(epoch), int(row_id))
        for batch in batches
        for epoch, row_id in zip(batch["epoch"], batch["row_id"], strict=True)
    ]


def assert_equal_batches(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("output", ["labels", "positions"])
@pytest.mark.parametrize("form", LAYOUTS_AND_SCHEMAS)
def test_batches_are_what_numpy_makes(folder_of: Any, form: str, output: str) -> None:
    """Every row of two epochs, in batches that straddle them."""
    oracle = Oracle(folder_of(form))
    expected = {epoch: oracle.epoch(epoch, output=output) for epoch in (3, 4, 5)}
    num_rows = len(expected[3])
    dataset = tfshim.masked_dataset(
        folder_of(form), 16, output=output, initial_epoch=3, with_row_ids=True, **SHUFFLED
    )
    batches = take(dataset, -(-2 * num_rows // 16))
    for batch in batches:
        assert len(batch["row_id"]) == 16
        assert_rows(batch, expected)
    found = addresses(batches)[: 2 * num_rows]
    assert [epoch for epoch, _ in found] == [3] * num_rows + [4] * num_rows
    for epoch in (3, 4):
        assert Counter(row for e, row in found if e == epoch) == Counter(oracle.row_ids())
    assert num_rows % 16  # so one batch had rows of both
    spec = dataset.element_spec["input_ids"]
    assert spec.shape == (16, oracle.manifest.seq_length) and spec.dtype == tf.int32


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_implementations_agree(folder_of: Any, implementation: str) -> None:
    given = {"with_row_ids": True, **SHUFFLED}
    chosen = tfshim.masked_dataset(folder_of("sop"), 32, implementation=implementation, **given)
    assert_equal_batches(
        take(chosen, 20), take(tfshim.masked_dataset(folder_of("sop"), 32, **given), 20)
    )


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


@pytest.mark.parametrize("output", ["labels", "positions"])
def test_one_bin_has_static_shapes(folder_of: Any, output: str) -> None:
    oracle = Oracle(folder_of("bins"))
    for length in (32, 64, 128):
        dataset = tfshim.masked_dataset(
            folder_of("bins"), 8, bins=length, output=output, with_row_ids=True
        )
        assert all(None not in spec.shape for spec in dataset.element_spec.values())
        assert dataset.element_spec["input_ids"].shape == (8, length)
        rows = len(oracle.row_ids(length))
        expected = {epoch: oracle.epoch(epoch, length, output=output) for epoch in (0, 1)}
        batches = take(dataset, rows // 8)
        for batch in batches:
            assert_rows(batch, expected)
        assert dataset.steps_per_epoch == max(1, rows // 8)


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


def test_bins_chosen(folder_of: Any) -> None:
    dataset = tfshim.masked_dataset(folder_of("bins"), 4, bins=(64, 32), fixed_masks=True)
    lengths = [batch["input_ids"].shape[1] for batch in take(dataset, 10_000)]
    assert lengths == sorted(lengths) and set(lengths) == {32, 64}
    assert len(lengths) == dataset.steps_per_epoch == int(dataset.cardinality())


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


def test_fixed_masks_are_one_epoch_that_repeats(folder_of: Any) -> None:
    oracle = Oracle(folder_of("int64"))
    expected = {9: oracle.epoch(9)}
    dataset = tfshim.masked_dataset(
        folder_of("int64"), 16, fixed_masks=True, initial_epoch=9, with_row_ids=True
    )
    num_rows = len(oracle.row_ids())
    first, second = take(dataset, 10_000), take(dataset, 10_000)
    assert_equal_batches(first, second)
    for batch in first:
        assert_rows(batch, expected)
    assert Counter(addresses(first)) == Counter((9, row) for row in oracle.row_ids())
    assert len(first) == dataset.steps_per_epoch == int(dataset.cardinality()) == -(-num_rows // 16)
    assert dataset.element_spec["input_ids"].shape == (None, 64)
    static = tfshim.masked_dataset(folder_of("int64"), 16, fixed_masks=True, drop_remainder=True)
    assert static.element_spec["input_ids"].shape == (16, 64)
    assert len(list(static)) == num_rows // 16 == int(static.cardinality())


def test_a_training_dataset_has_no_end(folder_of: Any) -> None:
    """`fit` cannot iterate it again, and so cannot repeat masks."""
    dataset = tfshim.masked_dataset(folder_of("int64"), 16)
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    last = tfshim.masked_dataset(folder_of("int64"), 16, initial_epoch=2**31 - 1, with_row_ids=True)
    assert {epoch for epoch, _ in addresses(take(last, 3))} == {2**31 - 1}


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


def test_another_mask_than_the_manifests(folder_of: Any) -> None:
    oracle = Oracle(folder_of("int64"))
    manifest_mask = oracle.manifest.mask
    for given, changes in (
        ({"masking_ratio": 0.3}, {"masking_ratio": 0.3}),
        ({"seed": 5, "mask_unit": "token"}, {"seed": 5, "mask_unit": "token"}),
        ({"max_n": 1}, {"max_n": 1, "ngram_weights": None}),
        (
            MaskConfig(seed=8, masking_ratio=0.4, max_n=2),
            {"seed": 8, "masking_ratio": 0.4, "max_n": 2, "ngram_weights": None},
        ),
    ):
        for output in ("labels", "positions"):
            dataset = tfshim.masked_dataset(
                folder_of("int64"),
                16,
                mask=given,
                output=output,
                fixed_masks=True,
                with_row_ids=True,
            )
            expected = {0: oracle.epoch(0, mask=changes, output=output)}
            for batch in take(dataset, 10_000):
                assert_rows(batch, expected)
    capped = tfshim.masked_dataset(
        folder_of("int64"), 16, mask={"max_predictions": 3}, output="positions"
    )
    assert capped.element_spec["masked_lm_positions"].shape == (16, 3)
    assert oracle.manifest.mask == manifest_mask


def test_replacement_and_ignore_index(folder_of: Any) -> None:
    oracle = Oracle(folder_of("int64"))
    options = {"replacement": (0.5, 0.5, 0), "ignore_index": 0}
    dataset = tfshim.masked_dataset(
        folder_of("int64"), 16, fixed_masks=True, with_row_ids=True, **options
    )
    expected = {0: oracle.epoch(0, **options)}
    for batch in take(dataset, 10_000):
        assert_rows(batch, expected)


@pytest.mark.parametrize("form", ["int64", "sop"])
@pytest.mark.parametrize("output", ["labels", "positions"])
def test_supervised_elements(folder_of: Any, form: str, output: str) -> None:
    plain = tfshim.masked_dataset(folder_of(form), 16, output=output, fixed_masks=True)
    supervised = tfshim.masked_dataset(
        folder_of(form), 16, output=output, fixed_masks=True, as_supervised=True
    )
    name = "labels" if output == "labels" else "masked_lm_ids"
    for batch, (inputs, targets, weights) in zip(
        plain.as_numpy_iterator(), supervised.as_numpy_iterator(), strict=True
    ):
        predicted = batch.pop(name)
        weight = batch.pop("masked_lm_weights", (predicted != -100).astype(np.float32))
        pairs = batch.pop("next_sentence_labels", None)
        expected_targets = {name: np.where(weight > 0, predicted, 0)}
        expected_weights = {name: weight}
        if pairs is None:
            targets_by_name, weights_by_name = {name: targets}, {name: weights}
        else:
            targets_by_name, weights_by_name = targets, weights
            expected_targets["next_sentence_labels"] = pairs
            expected_weights["next_sentence_labels"] = np.ones((len(pairs), 1))
        assert_equal_batches([targets_by_name], [expected_targets])
        assert_equal_batches([weights_by_name], [expected_weights])
        assert inputs.keys() == batch.keys()
        assert_equal_batches([inputs], [batch])


@pytest.mark.parametrize("form", ["bert", "bert-pairs"])
def test_rows_of_schema_bert_come_as_they_are(folder_of: Any, form: str) -> None:
    stored = list(records.open(folder_of(form)).batches(100_000))
    dataset = tfshim.masked_dataset(folder_of(form), 16, fixed_masks=True)
    batches = take(dataset, 10_000)
    for name in stored[0]:
        found = np.concatenate([batch[name] for batch in batches])
        np.testing.assert_array_equal(found, np.concatenate([columns[name] for columns in stored]))
        assert found.dtype == (np.float32 if name == "masked_lm_weights" else np.int32)
    inputs, targets, _ = next(iter(tfshim.masked_dataset(folder_of(form), 16, as_supervised=True)))
    expected = {"input_ids", "input_mask", "segment_ids", "masked_lm_positions"}
    assert inputs.keys() == expected
    assert isinstance(targets, dict) == (form == "bert-pairs")


def test_files_instead_of_a_folder(folder_of: Any) -> None:
    opened = records.open(folder_of("int64"))
    whole = take(tfshim.masked_dataset(folder_of("int64"), 16, with_row_ids=True), 30)
    files = [Path(path) for path in reversed(opened.files())]
    assert_equal_batches(take(tfshim.masked_dataset(files, 16, with_row_ids=True), 30), whole)
    one = tfshim.masked_dataset(opened.files()[1], 16, fixed_masks=True, with_row_ids=True)
    first, second = (shard.records for shard in opened.manifest.shards[:2])
    expected = Oracle(folder_of("int64")).row_ids()[first : first + second]
    assert [row for _, row in addresses(take(one, 1000))] == expected


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
