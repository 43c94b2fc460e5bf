# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset`: what a batch holds, which is what numpy makes of the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tf_dataset_support import (
    LAYOUTS_AND_SCHEMAS,
    SHUFFLED,
    Oracle,
    addresses,
    assert_equal_batches,
    assert_rows,
    folders,
    take,
)
from tf_token_support import IMPLEMENTATIONS
from tf_xla_support import TEXT_OF_PYTHON, nodes_of

import tfshim
from maskcore import records
from maskcore.records import MaskConfig

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return folders(tmp_path_factory)


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


def test_bins_chosen(folder_of: Any) -> None:
    dataset = tfshim.masked_dataset(folder_of("bins"), 4, bins=(64, 32), fixed_masks=True)
    lengths = [batch["input_ids"].shape[1] for batch in take(dataset, 10_000)]
    assert lengths == sorted(lengths) and set(lengths) == {32, 64}
    assert len(lengths) == dataset.steps_per_epoch == int(dataset.cardinality())


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


@pytest.mark.parametrize("form", ["compact", "bins"])
@pytest.mark.parametrize("implementation", ["custom_op", "xla"])
def test_the_serialized_pipeline_holds_no_python(
    folder_of: Any, form: str, implementation: str
) -> None:
    """So it can be saved and sent; and records of one length are parsed in one place, as batches."""
    dataset = tfshim.masked_dataset(folder_of(form), 8, implementation=implementation)
    variant = tf.data.experimental.to_variant(dataset)
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=variant).numpy()
    types = Counter(node.op for node in nodes_of(graph_pb2.GraphDef.FromString(serialized)))
    assert not set(TEXT_OF_PYTHON) & set(types)
    assert types["Maskcore>MaskTokens"] == (
        0 if implementation == "xla" else 3 if form == "bins" else 1
    )
    assert ("PopulationCount" in types) == (implementation == "xla")
    assert types["ParseExampleV2"] == (3 if form == "bins" else 1)


def test_files_instead_of_a_folder(folder_of: Any) -> None:
    opened = records.open(folder_of("int64"))
    whole = take(tfshim.masked_dataset(folder_of("int64"), 16, with_row_ids=True), 30)
    files = [Path(path) for path in reversed(opened.files())]
    assert_equal_batches(take(tfshim.masked_dataset(files, 16, with_row_ids=True), 30), whole)
    one = tfshim.masked_dataset(opened.files()[1], 16, fixed_masks=True, with_row_ids=True)
    first, second = (shard.records for shard in opened.manifest.shards[:2])
    expected = Oracle(folder_of("int64")).row_ids()[first : first + second]
    assert [row for _, row in addresses(take(one, 1000))] == expected
