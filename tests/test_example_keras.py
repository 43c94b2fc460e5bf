# SPDX-License-Identifier: Apache-2.0
"""docs/examples/pretrain_keras.py at a tiny size: it learns, goes on exactly, and trains on the masks of the kernel."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_dataset_support import Oracle, assert_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "examples"))

import device_masks_keras
import pretrain_keras
import record_files
import training_run
from trainer_keras import Trainer

pytestmark = pytest.mark.tensorflow

SEED = 11
STEPS = 40
CHECKPOINT_STEPS = 19
KILLED_AFTER = 26


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text("\n\n".join(topics[name] for name in sorted(topics)[:3]), encoding="utf-8")
    return path


def parse(out: Path, text: Path, *others: str) -> Any:
    """Return options for a model that takes a second or two."""
    return pretrain_keras.parse(
        f"--out {out} --text {text} --seq-length 32 --vocab-size 400 --seed {SEED} --steps {STEPS} --batch-size 16 "
        "--warmup-steps 5 --learning-rate 5e-3 --layers 2 --hidden-size 16 --heads 2 --feed-forward-size 32 "
        f"--embedding-size 8 --log-steps 10 --eval-steps 40 --checkpoint-steps {CHECKPOINT_STEPS} "
        "--peak-tflops 0.1".split()
        + list(others)
    )


class Steps:
    """What came of every step of a training."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, after_step: Any = lambda step: None
    ) -> None:
        self.sums: list[dict[str, float]] = []
        self._after_step = after_step
        self._numbers = pretrain_keras.numbers
        monkeypatch.setattr(pretrain_keras, "numbers", self)

    def __call__(self, sums: Any) -> dict[str, float]:
        self.sums.append(self._numbers(sums))
        self._after_step(len(self.sums))
        return self.sums[-1]


def variables(trainer: Trainer) -> list[Any]:
    """Return the weights, and what the optimizer keeps for them."""
    found = [*trainer.model.trainable_variables, *_of(trainer.optimizer)]
    return [np.asarray(variable) for variable in found]


def _of(optimizer: Any) -> list[Any]:
    named = optimizer.variables
    return list(named() if callable(named) else named)  # a method in Keras 2


def test_it_learns_and_a_killed_run_ends_as_one_that_was_not(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses and all variables, bit by bit, of a run that goes on with what lay on the disk after some step."""

    def keep_for_later(step: int) -> None:
        if step == KILLED_AFTER:
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    with monkeypatch.context() as patched:
        whole = Steps(patched, keep_for_later)
        expected = variables(pretrain_keras.train(parse(tmp_path / "whole", text)))
    losses = [step["masked_lm_loss"] / step["masked_lm_count"] for step in whole.sums]
    assert len(losses) == STEPS
    assert 5.8 < losses[0] < 6.2  # log 400, of a model that knows nothing
    assert np.mean(losses[-5:]) < losses[0] - 0.3

    again = parse(tmp_path / "killed", text)
    data = pretrain_keras.training_data(record_files.find(again), 16, seed=SEED)
    epoch, step = divmod(CHECKPOINT_STEPS, data.steps_per_epoch)
    assert epoch > 0 and step > 0, data.steps_per_epoch  # it goes on in mid-epoch
    with monkeypatch.context() as patched:
        rest = Steps(patched)
        found = variables(pretrain_keras.train(again))
    assert rest.sums == whole.sums[CHECKPOINT_STEPS:]
    assert len(found) == len(expected) > 40
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_masks_are_those_of_the_kernel(text: Path, tmp_path: Path) -> None:
    """Row by row what `maskcore.mask_tokens` gives for (seed, epoch, row id), in every batch of two epochs."""
    options = parse(tmp_path, text)
    files = record_files.find(options)
    oracle = Oracle(tmp_path / "records")
    expected = {
        epoch: oracle.epoch(epoch, mask={"seed": SEED}, output="positions") for epoch in (0, 1)
    }
    data = pretrain_keras.training_data(files, 16, seed=SEED, with_row_ids=True)
    epochs = set()
    for batch in data.take(2 * data.steps_per_epoch).as_numpy_iterator():
        epochs |= set(batch["epoch"].tolist())
        assert_rows(batch, expected)
    assert epochs == {0, 1}


def test_held_out_rows_are_not_trained_on(text: Path, tmp_path: Path) -> None:
    files = record_files.find(parse(tmp_path, text))
    assert [path.name for path in files.held_out] == ["part-00007-of-00008.tfrecord"]
    assert len(files.training) == 7 and files.held_out[0] not in files.training


def test_another_option_than_that_of_the_checkpoints(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path), "--text", str(text)]
    training_run.check_same_run(pretrain_keras.parse(options), seed=3)
    (tmp_path / "checkpoints").mkdir()
    assert pretrain_keras.main([*options, "--seed", "3", "--hidden-size", "96"]) == 2
    assert capsys.readouterr().err == (
        f"pretrain_keras: --hidden-size: 128 in the run that {tmp_path} holds, got 96; leave it so, or begin in "
        "another --out\n"
    )


def test_tpus_compile_by_themselves() -> None:
    with pytest.raises(ValueError, match="--jit-compile: TPUStrategy compiles by itself"):
        pretrain_keras.make_strategy("tpu", jit_compile=True)


def test_the_commands_of_its_page_are_known() -> None:
    page = (Path(pretrain_keras.__file__).parent / "README.md").read_text(encoding="utf-8")
    program = "    python docs/examples/pretrain_keras.py "
    commands = [line for line in page.splitlines() if line.startswith(program)]
    assert len(commands) == 2
    for command in commands:
        assert pretrain_keras.parse(command.removeprefix(program).split()).out


def test_masks_made_on_the_device_are_those_of_the_kernel(text: Path, tmp_path: Path) -> None:
    """Row by row, compiled by XLA, in every batch of two epochs; from a step on the rest of them."""
    files = record_files.find(parse(tmp_path, text))
    oracle = Oracle(tmp_path / "records")
    expected = {
        epoch: oracle.epoch(epoch, mask={"seed": SEED}, output="positions") for epoch in (0, 1)
    }
    mask = tf.function(device_masks_keras.device_masks(files, seed=SEED), jit_compile=True)
    data = device_masks_keras.unmasked_data(files, 16, seed=SEED)
    tf.random.set_seed(1)  # as a training does
    rows = list(data.take(2 * data.steps_per_epoch))
    assert [int(batch["epoch"][0]) for batch in rows] == np.repeat([0, 1], len(rows) // 2).tolist()
    for batch in rows:
        address = {"row_id": tf.bitcast(batch["row_id"], tf.int64), "epoch": batch["epoch"]}
        assert_rows({**mask(batch), **address}, expected)
    seen = [tuple(batch["row_id"].numpy()[:, 0]) for batch in rows]
    first_step = data.steps_per_epoch + 3
    rest = device_masks_keras.unmasked_data(files, 16, seed=SEED, first_step=first_step)
    assert tuple(next(iter(rest))["row_id"].numpy()[:, 0]) == seen[first_step]
    assert len(set(seen)) == len(seen)
