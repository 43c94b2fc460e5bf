# SPDX-License-Identifier: Apache-2.0
"""The ladder of input pipelines: each rung uses what it says, gives the masks that are expected, and is told rightly.

Owns no timing: every figure here is made up. What the masks must be is the reference backend's word.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # bench is no part of the package

from bench import tables
from bench.ladder import __main__ as command
from bench.ladder import pipelines, report
from bench.ladder.equality import Expected
from bench.ladder.pipelines import RUNGS, Folders, Rung, pipeline
from bench.ladder.timing import Figures

pytestmark = pytest.mark.tensorflow

# The operations of datasets, as TensorFlow names them in a graph.
READS_IN_PARALLEL = "ParallelInterleaveDatasetV4"
MAPS_IN_PARALLEL = "ParallelMapDatasetV2"
CACHES = "CacheDatasetV2"
PREFETCHES = "PrefetchDataset"
BATCHES = "BatchDatasetV2"
MAPS = "MapDataset"
TECHNIQUES = (READS_IN_PARALLEL, MAPS_IN_PARALLEL, CACHES, PREFETCHES)
ADDED = {
    "prefetch": PREFETCHES,
    "parallel interleave": READS_IN_PARALLEL,
    "parallel map": MAPS_IN_PARALLEL,
    "cache": CACHES,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("ladder"), rows_per_file=64)


def rung_of(name: str) -> Rung:
    (found,) = (rung for rung in RUNGS if rung.name == name)
    return found


def operations(dataset: Any) -> list[str]:
    """Return the operations that make a dataset, in the order of the rows' way."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(dataset._as_serialized_graph().numpy())
    return [node.op for node in graph.node if node.op.endswith(("Dataset", "V2", "V4"))]


def test_each_rung_adds_what_it_is_named_after(folders: Folders) -> None:
    used: set[str] = set()
    for rung in RUNGS:
        if rung.is_ours:
            continue
        if rung.name in ADDED:
            used.add(ADDED[rung.name])
        found = operations(pipeline(folders, rung, "custom_op"))
        assert {name for name in TECHNIQUES if name in found} == used, rung.name


def test_where_a_rung_batches_and_caches(folders: Folders) -> None:
    def order(name: str) -> list[str]:
        found = operations(pipeline(folders, rung_of(name), "custom_op"))
        steps = (MAPS, MAPS_IN_PARALLEL, BATCHES, CACHES)
        return [step for step in found if step in steps]

    assert order("naive") == [MAPS, MAPS, BATCHES]
    assert order("cache") == [MAPS_IN_PARALLEL, CACHES, MAPS_IN_PARALLEL, BATCHES]
    assert order("vectorised map") == [BATCHES, MAPS_IN_PARALLEL, CACHES, MAPS_IN_PARALLEL]
    assert order("memory footprint") == [BATCHES, CACHES, MAPS_IN_PARALLEL, MAPS_IN_PARALLEL]


@pytest.mark.parametrize("name", ["naive", "compact layout", "`masked_dataset`"])
def test_batches_hold_the_masks_of_their_epochs(folders: Folders, name: str) -> None:
    rung = rung_of(name)
    expected = Expected(folders.of(rung.layout))
    assert expected.batches_per_epoch == 2
    expected.check_epoch(iter(pipeline(folders, rung, "custom_op")))


@pytest.mark.parametrize("change", ["label", "input_ids", "epoch"])
def test_a_batch_with_other_masks_is_found(folders: Folders, change: str) -> None:
    rung = rung_of("vectorised map")
    dataset = pipeline(folders, rung, "custom_op")

    def changed(batch: dict[str, Any]) -> dict[str, Any]:
        if change == "label":
            return batch | {"labels": batch["labels"] + 1}
        return batch | {"input_ids": batch["input_ids"] + 1}

    # Of an epoch that is not its own is every batch that comes an epoch late.
    wrong = dataset.skip(2) if change == "epoch" else dataset.map(changed)
    with pytest.raises(AssertionError):
        Expected(folders.of(rung.layout)).check_epoch(iter(wrong))


@pytest.mark.parametrize("name", ["naive", "vectorised map"])
def test_the_loop_masks_its_budget(folders: Folders, name: str) -> None:
    rung = rung_of(name)
    dataset = pipeline(folders, rung, pipelines.WHILE_LOOP).take(1).cache().repeat()
    Expected(folders.of(rung.layout)).check_budgets(iter(dataset))
    without = dataset.map(lambda batch: batch | {"mask": 0 * batch["mask"]})
    with pytest.raises(AssertionError):
        Expected(folders.of(rung.layout)).check_budgets(iter(without))


@pytest.fixture
def figures() -> Figures:
    """Make up rows/s that double from rung to rung, thrice measured."""
    rates = {
        masker: {
            number: [1.0, 1000.0 * 2**number * (place + 1), 1e9] for number in range(len(RUNGS))
        }
        for place, masker in enumerate(pipelines.MASKERS)
    }
    del rates[pipelines.WHILE_LOOP][len(RUNGS) - 1]
    waiting = {number: [0.9, 0.5, 0.1] for number in range(len(RUNGS))}
    return Figures(rates, waiting, {4: 3777.6}, "a processor", [0.25])


def test_tables_tell_medians(figures: Figures) -> None:
    lines = tables.to_markdown(report.rates_table(figures)).splitlines()
    assert lines[2] == "| naive | 1,000 | 2,000 | 3,000 | 4,000 |"
    assert lines[-1] == "| `masked_dataset` |  | 512,000 | 768,000 | 1,020,000 |"
    steps = tables.to_markdown(report.steps_table(figures)).splitlines()
    assert steps[2].endswith("| one file after another, records parsed and masked one by one, "
                             "then batched |  | 50 % |  |")  # fmt: skip
    assert steps[6].endswith("| 2.00 times | 50 % | 3,778 |")


def test_figures_are_drawn_and_written_from_a_file(figures: Figures, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need it: bench/requirements.txt")
    read, page = tmp_path / "ladder.json", tmp_path / "page.md"
    read.write_text(figures.to_json(), encoding="utf-8")
    page.write_text(
        "before\n<!-- ladder-bench -->\n<!-- /ladder-bench -->\nafter\n", encoding="utf-8"
    )
    pictures = [tmp_path / "images" / f"{number}.svg" for number in range(2)]
    for picture in pictures:
        arguments = ["--read", str(read), "--plot", str(picture), "--update", str(page)]
        assert command.main(arguments) == 0
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        "before\n<!-- ladder-bench -->\na processor; rows of 128, batches of 256, "
    )
    assert "medians of 3 rounds, 3 of `tf.while_loop`; load average at the start 0.2.\n\n" in text
    assert text.endswith("|\n<!-- /ladder-bench -->\nafter\n")


def test_a_file_without_the_block_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"one block from <!-- ladder-bench --> .* got 0"):
        tables.fill_block("no block", "ladder-bench", "text")


@pytest.mark.parametrize(
    ("rate", "text"),
    [(704.2, "700"), (15_262.0, "15k"), (999.6, "1k"), (937_000.0, "940k"), (1e6, "1M")],
)
def test_rates_beside_bars(rate: float, text: str) -> None:
    assert report.short(rate) == text


def test_rounds_of_several_runs_are_put_together(figures: Figures) -> None:
    other = Figures(
        {"custom_op": {0: [4.0, 5.0]}}, {0: [0.7, 0.8]}, {4: 3800.0}, "a processor", [9.0]
    )
    both = Figures()
    both.add_json(figures.to_json())
    both.add_json(other.to_json())
    assert both.rows_per_second["custom_op"][0] == [1.0, 4000.0, 1e9, 4.0, 5.0]
    assert both.median("custom_op", 0) == 5.0
    assert both.median_waiting(0) == 0.7
    assert both.bytes_per_row == {4: 3800.0}
    assert report.conditions(both).endswith(
        "load average at the start 0.2, 9.0: other work had run, and rates are too low."
    )
