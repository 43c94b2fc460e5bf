# SPDX-License-Identifier: Apache-2.0
"""docs/quickstart.md: its commands are known to the command line, and its Python runs and masks as the records say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from maskcore import _cli, records
from maskcore.config import MaskConfig

PAGE = (Path(__file__).parents[1] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(
    r"^(?:    |\$ )(maskcore .*?)(?:\s+#.*)?$", PAGE.replace(" \\\n", " "), re.MULTILINE
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [f"Sentence {n} of a text with some words in it." for n in range(200)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
    mask = MaskConfig(seed=7)
    records.build(tmp_path / "corpus.txt", tmp_path / "records", mask=mask, workers=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_known(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "maskcore"
    parsed = _cli._parser().parse_args(arguments)
    assert parsed.command == arguments[0]


def test_there_are_blocks_and_commands() -> None:
    assert len(BLOCKS) == 2
    assert len(COMMANDS) >= 8


def test_numpy(folder: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[0], "quickstart.md", "exec"), names)
    masked, columns = names["masked"], names["columns"]
    is_masked = records.open("records").spans(columns, 3) > 0
    assert ((masked.labels >= 0) == is_masked).all()
    assert (masked.input_ids[is_masked] != columns["input_ids"][is_masked]).any()


class RecordingModel:
    """What `fit` of the page is called on."""

    def fit(self, train: Any, *, epochs: int, steps_per_epoch: int) -> None:
        self.batches = list(train.take(steps_per_epoch + 1))


def test_tensorflow_masks_as_the_records_say(folder: Path) -> None:
    model = RecordingModel()
    exec(compile(BLOCKS[1], "quickstart.md", "exec"), {"model": model})
    opened = records.open("records")
    (columns,) = opened.batches(10_000)
    num_rows = len(columns["row_id"])
    epochs = range(2 * 256 // num_rows + 1)  # of few rows a batch holds several
    expected = {mask.tobytes() for epoch in epochs for mask in (opened.spans(columns, epoch) > 0)}
    assert len(model.batches) == 2
    for _, _, weights in model.batches:
        assert {(row > 0).tobytes() for row in weights.numpy()} <= expected
