# SPDX-License-Identifier: Apache-2.0
"""bench/train_step.py: its arithmetic on figures by hand, and a run of it on a model that takes milliseconds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # bench is no part of the package

from bench import record_folder, train_step, workload
from bench.train_step import Figures, Step

pytestmark = pytest.mark.tensorflow

TINY = train_step.EncoderSize(
    num_layers=1,
    hidden_size=8,
    feed_forward_size=8,
    embedding_size=8,
    vocab_size=workload.VOCAB_SIZE,
    seq_length=workload.ROW_LENGTH,
    num_predictions=record_folder.MASK.max_predictions,
)


def figures(masked_ms: list[float], unmasked_ms: list[float], alone_ms: float) -> Figures:
    steps = {
        kind: [Step(ms / 500, waited=ms / 1e5, core_seconds=ms / 1e3) for ms in times]
        for kind, times in zip(train_step.KINDS, (masked_ms, unmasked_ms), strict=True)
    }
    return Figures(steps, alone_seconds=alone_ms / 1e3)


def test_masks_are_held_against_the_steps_beside_them() -> None:
    """Pairs of +4 %, +4 %, +6 %, while the machine becomes three times slower."""
    found = figures([104.0, 208.0, 318.0], [100.0, 200.0, 300.0], alone_ms=12.0)
    difference, alone = train_step.targets_table(found).rows
    assert difference[1:] == ("at most 5%", "+4.000%", "met")
    assert alone[1:] == ("at most 5%", "+6.000%", "missed")
    assert "quartiles +4.0% to +6.0%" in difference[0] and "12.00 ms" in alone[0]


def test_a_line_for_each_input() -> None:
    found = figures([100.0, 200.0, 300.0], [50.0, 50.0, 50.0], alone_ms=1.0)
    masked, unmasked = train_step.steps_table(found).rows
    assert masked == ("a step with masks", "400", "200 to 600", "200", "2.00", "0.50%")
    assert unmasked == ("a step without masks", "100", "100 to 100", "50.0", "0.500", "0.50%")


def test_both_inputs_are_the_same_rows_and_only_one_is_masked(tmp_path: Path) -> None:
    folder = record_folder.write(tmp_path, "int64", num_files=2, rows_per_file=40)
    masked = next(train_step.masked_batches(folder, 16).as_numpy_iterator())
    unmasked = next(train_step.unmasked_batches(folder, 16).as_numpy_iterator())
    restored = masked["input_ids"].copy()
    for row, places, ids, weights in zip(
        restored,
        *(masked[f"masked_lm_{name}"] for name in ("positions", "ids", "weights")),
        strict=True,
    ):
        row[places[weights > 0]] = ids[weights > 0]
    np.testing.assert_array_equal(restored, unmasked["input_ids"])
    assert (masked["input_ids"] != unmasked["input_ids"]).mean() > 0.05


def test_a_run(tmp_path: Path) -> None:
    folder = record_folder.write(tmp_path, "int64", num_files=2, rows_per_file=40)
    found = train_step.measure(folder, TINY, 2, batch_size=8, pairs=3)
    for steps in found.steps.values():
        assert len(steps) == 3
        assert all(0 < step.waited < step.seconds and step.core_seconds > 0 for step in steps)
    assert found.alone_seconds > 0
