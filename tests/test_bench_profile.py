# SPDX-License-Identifier: Apache-2.0
"""`bench.profile_pipeline`: the op stands in TensorFlow's trace by its name, once a batch.

Owns no timing: what a trace says of seconds is not looked at.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # bench is no part of the package

from bench import profile_pipeline
from bench.profile_pipeline import Event

pytestmark = pytest.mark.tensorflow


def test_the_op_is_in_the_trace_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile_pipeline.main(["--seconds", "0.1", "--trace", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.startswith("| Maskcore>MaskTokens |"))
    # Batches are prefetched: of the first and last of those that were taken, others were made.
    assert 1 <= int(line.split("|")[2]) <= 2 * profile_pipeline.TRACED_BATCHES
    assert "| ParallelMapV2 |" in printed
    with gzip.open(tmp_path / "trace.json.gz", "rt") as stream:
        events = json.load(stream)["traceEvents"]
    assert {"Maskcore>MaskTokens:Maskcore>MaskTokens", "input"} <= {e["name"] for e in events}
    (file,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    assert profile_pipeline.main(["--read", str(file)]) == 0
    assert line in capsys.readouterr().out


def test_operations_are_added_up_by_type() -> None:
    events = [
        Event("ParseExample/ParseExampleV2:ParseExampleV2", "worker", 0, 300),
        Event("ParseExample/ParseExampleV2:ParseExampleV2", "other", 5, 100),
        Event("Maskcore>MaskTokens:Maskcore>MaskTokens", "worker", 400, 90),
        Event("Iterator::Root::Prefetch", "main", 0, 1000),
        Event("EagerLocalExecute: IteratorGetNext", "main", 0, 1000),
        Event("CpuExecutable::ExecuteAsyncOnStream", "worker", 0, 10),
    ]
    assert profile_pipeline.operations_table(events).rows == [
        ("ParseExampleV2", "2", "200.0", "80.0 %"),
        ("Maskcore>MaskTokens", "1", "90.0", "18.0 %"),
        ("a program of XLA", "1", "10.0", "2.0 %"),
    ]
