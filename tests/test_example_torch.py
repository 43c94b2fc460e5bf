# SPDX-License-Identifier: Apache-2.0
"""docs/examples/pretrain_torch.py at a tiny size: it learns, goes on exactly, and trains on the masks of masked_dataset."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
import torch

from maskcore import records

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "examples"))

import encoder_torch
import pretrain_torch
import record_files
import rows_torch
from meter import EncoderSize
from rows_torch import HeldOutBatches, MaskedBatches
from trainer_torch import Trainer

# A worker forks a process that has threads, which Python 3.12 and later warn of: PyTorch's way on Linux.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

SEED = 11
STEPS = 60
CHECKPOINT_STEPS = 43
KILLED_AFTER = 48
BATCH = 16
LENGTH = 32


SIZE = EncoderSize(
    num_layers=2,
    hidden_size=16,
    feed_forward_size=32,
    embedding_size=8,
    vocab_size=50,
    seq_length=8,
    num_predictions=2,
    num_pair_classes=2,
)


class Killed(BaseException):
    """What no handler of the example catches."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are multiplied sooner by one thread."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of some 400 pairs in 4 files, with another seed than that of the training."""
    text = tmp_path_factory.mktemp("text") / "topics.txt"
    text.write_text("\n\n".join(topics[name] for name in sorted(topics)[:12]), encoding="utf-8")
    out = text.parent / "records"
    mask = records.MaskConfig(seed=3)
    options: Any = {"vocab_size": 400, "seq_length": LENGTH, "pairs": "sop", "num_shards": 4}
    records.build(text, out, mask=mask, workers=1, **options)
    return out


def parse(out: Path, folder: Path, *others: str) -> Any:
    """Return options for a model that takes a second."""
    return pretrain_torch.parse(
        f"--out {out} --records {folder} --seed {SEED} --steps {STEPS} --batch-size {BATCH} --device cpu "
        "--warmup-steps 5 --learning-rate 5e-3 --layers 2 --hidden-size 16 --heads 2 --feed-forward-size 32 "
        f"--embedding-size 8 --log-steps 10 --eval-steps 40 --checkpoint-steps {CHECKPOINT_STEPS} "
        "--peak-tflops 0.1".split()
        + list(others)
    )


class Steps:
    """What came of every step; dies after one of them, if told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int | None = None) -> None:
        self.sums: list[dict[str, float]] = []
        train_step = Trainer.train_step

        def step(trainer: Trainer, *arguments: Any) -> dict[str, float]:
            self.sums.append(train_step(trainer, *arguments))
            if len(self.sums) == last:
                raise Killed
            return self.sums[-1]

        monkeypatch.setattr(Trainer, "train_step", step)


def state(trainer: Trainer) -> list[torch.Tensor]:
    """Return the weights, and what the optimizer keeps for them."""
    kept = trainer.optimizer.state_dict()["state"].values()
    return [
        *trainer.model.state_dict().values(),
        *(value for one in kept for value in one.values()),
    ]


def test_it_learns_and_a_killed_run_ends_as_one_that_was_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        whole = Steps(patched)
        expected = state(pretrain_torch.train(parse(tmp_path / "whole", folder)))
    losses = [step["masked_lm_loss"] / step["masked_lm_count"] for step in whole.sums]
    assert len(losses) == STEPS
    assert 5.8 < losses[0] < 6.2  # log 400, of a model that knows nothing
    assert np.mean(losses[-5:]) < losses[0] - 0.3

    again = parse(tmp_path / "killed", folder)
    with monkeypatch.context() as patched:
        killed = Steps(patched, last=KILLED_AFTER)
        with pytest.raises(Killed):
            pretrain_torch.train(again)
    assert killed.sums == whole.sums[:KILLED_AFTER]
    epoch, step = divmod(CHECKPOINT_STEPS, batches(folder).steps_per_epoch)
    assert epoch > 0 and step > 0  # it goes on in mid-epoch
    with monkeypatch.context() as patched:
        rest = Steps(patched)
        others = parse(tmp_path / "killed", folder, "--workers", "1")
        found = state(pretrain_torch.train(others))
    assert rest.sums == whole.sums[CHECKPOINT_STEPS:]
    assert len(found) == len(expected) > 40
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def batches(folder: Path, **options: Any) -> MaskedBatches:
    files = [Path(file) for file in records.open(folder).files()[:-1]]
    return MaskedBatches(files, BATCH, **{"seq_length": LENGTH, "seed": SEED, **options})


def taken(source: Any, count: int) -> list[dict[str, Any]]:
    return list(itertools.islice(source, count))


def assert_equal_batches(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, column in other.items():
            np.testing.assert_array_equal(one[name], column, err_msg=name)


@pytest.mark.tensorflow
def test_its_rows_and_masks_are_those_of_masked_dataset(folder: Path, tmp_path: Path) -> None:
    """The dataset that pretrain_keras.py trains on: each row of an epoch has the same bits in both."""
    import tfshim

    files = record_files.find(parse(tmp_path, folder))
    for epoch in (0, 1):
        dataset = tfshim.masked_dataset(
            files.training,
            BATCH,
            output="positions",
            mask={"seed": SEED},
            initial_epoch=epoch,
            fixed_masks=True,
            with_row_ids=True,
        )
        expected = by_row_id(dataset.as_numpy_iterator())
        mine = batches(folder, first_step=epoch * batches(folder).steps_per_epoch)
        found = by_row_id(taken(iter(mine), mine.steps_per_epoch))
        assert len(found) == len(expected) // BATCH * BATCH > 200
        for row_id, row in found.items():
            assert row.keys() == expected[row_id].keys()
            for name, values in expected[row_id].items():
                np.testing.assert_array_equal(row[name], values, err_msg=f"{row_id} {name}")
                assert row[name].dtype == values.dtype, name
    held_out = HeldOutBatches(files.held_out, BATCH, seq_length=LENGTH, seed=SEED)
    dataset = tfshim.masked_dataset(
        files.held_out,
        BATCH,
        output="positions",
        mask={"seed": SEED},
        fixed_masks=True,
        with_row_ids=True,
    )
    assert_equal_batches(list(held_out), list(dataset.as_numpy_iterator()))
    assert_equal_batches(list(held_out), list(held_out))


def by_row_id(source: Any) -> dict[int, dict[str, Any]]:
    return {
        int(row_id): {name: column[row] for name, column in batch.items()}
        for batch in source
        for row, row_id in enumerate(batch["row_id"])
    }


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_batches_are_the_same_for_any_number_of_workers(
    folder: Path, tmp_path: Path, num_workers: int
) -> None:
    expected = taken(iter(batches(folder, first_step=3)), 30)
    options = parse(tmp_path, folder, "--workers", str(num_workers))
    place = pretrain_torch.find_place(options)
    loaded = pretrain_torch.training_batches(options, record_files.find(options), SEED, place, 3)
    assert_equal_batches(taken(loaded, 30), expected)


@pytest.mark.parametrize("pool_rows", [1, BATCH, 4 * BATCH, 5 * BATCH + 1, 8192])
def test_epochs_hold_each_row_once_in_another_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pool_rows: int
) -> None:
    monkeypatch.setattr(rows_torch, "POOL_ROWS", pool_rows)
    monkeypatch.setattr(rows_torch, "READ_ROWS", 7)
    training = batches(folder)
    steps = training.steps_per_epoch
    all_ids = [i for file in records.open(folder).batches(99) for i in file["row_id"][:, 0]]
    num_trained = sum(shard.records for shard in records.open(folder).manifest.shards[:-1])
    assert steps == num_trained // BATCH > 10
    from_start = taken(iter(training), 3 * steps)
    row_ids = [batch["row_id"].tolist() for batch in from_start]
    epochs = [list(itertools.chain(*row_ids[n * steps :][:steps])) for n in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == steps * BATCH
        assert set(epoch) <= set(all_ids[:num_trained])
    assert epochs[0] != epochs[1] != epochs[2]
    assert [int(batch["epoch"][0]) for batch in from_start] == [0] * steps + [1] * steps + [
        2
    ] * steps
    for first_step in (1, 3, 4, 5, 9, steps - 1, steps, steps + 5, 2 * steps + 1):
        later = taken(iter(batches(folder, first_step=first_step)), 6)
        assert_equal_batches(later, from_start[first_step:][:6])
    assert taken(iter(batches(folder, seed=SEED + 1)), 1)[0]["row_id"].tolist() != row_ids[0]


@pytest.mark.parametrize("num_ranks", [2, 3, 5])
def test_ranks_share_the_rows(folder: Path, num_ranks: int) -> None:
    opened = records.open(folder)
    num_rows = sum(shard.records for shard in opened.manifest.shards[:-1])
    seen: list[int] = []
    for rank in range(num_ranks):
        part = batches(folder, rank=rank, num_ranks=num_ranks)
        assert part.steps_per_epoch == num_rows // num_ranks // BATCH
        for batch in taken(iter(part), part.steps_per_epoch):
            seen += batch["row_id"].tolist()
    assert len(seen) == len(set(seen)) == num_rows // num_ranks // BATCH * BATCH * num_ranks


def test_a_profile_names_the_parts_of_a_step(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parse(tmp_path / "run", folder, "--profile", str(tmp_path / "profile"))
    options.steps = 9
    pretrain_torch.train(options)
    (trace,) = (tmp_path / "profile").glob("*.pt.trace.json")
    events = json.loads(trace.read_text())["traceEvents"]
    ranges = dict.fromkeys(("input", "masking", "forward", "backward", "optimizer"), 0)
    for event in events:
        if event.get("cat") == "user_annotation" and event["name"] in ranges:
            ranges[event["name"]] += 1
    assert ranges == dict.fromkeys(ranges, 4)
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in ranges)


def test_no_tensorflow_is_imported(folder: Path, tmp_path: Path) -> None:
    """TensorBoard, which writes the logs, would import it where it is installed: that takes seconds."""
    examples = str(Path(pretrain_torch.__file__).parent)
    arguments = ["--out", str(tmp_path), "--records", str(folder), "--steps", "1"]
    code = (
        f"import sys; sys.path.insert(0, {examples!r}); import pretrain_torch; "
        f"assert pretrain_torch.main({arguments}) == 0; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'tfshim', 'keras'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""
    assert (tmp_path / "checkpoint.pt").exists()
    assert list((tmp_path / "logs").iterdir())


def test_half_precision_trains(folder: Path, tmp_path: Path) -> None:
    options = parse(tmp_path, folder, "--mixed-precision")
    options.steps = 2
    trainer = pretrain_torch.train(options)
    assert all(torch.isfinite(value).all() for value in state(trainer))
    assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}


def test_what_cannot_be_trained_is_told_in_a_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def error_of(*arguments: str) -> str:
        assert (
            pretrain_torch.main(["--out", str(tmp_path), "--records", str(folder), *arguments]) == 2
        )
        return capsys.readouterr().err

    num_trained = sum(shard.records for shard in records.open(folder).manifest.shards[:-1])
    assert f"batch_size must be at most {num_trained}, the rows of {folder}, got 5000" in error_of(
        "--batch-size", "5000"
    )
    assert "no MANIFEST.json" in error_of("--records", str(tmp_path))
    (tmp_path / "checkpoint.pt").touch()
    assert f"--batch-size: 5000 in the run that {tmp_path} holds, got 32" in error_of()
    (tmp_path / "checkpoint.pt").unlink()
    few_steps = error_of("--steps", "7", "--profile", str(tmp_path / "profile"))
    assert "--profile: 7 of --steps are left, a profile needs 8" in few_steps
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "torch.utils.tensorboard", None)
        assert "pip install tensorboard" in error_of("--peak-tflops", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "--batch-size: 5000 rows for 3 processes" in error_of("--batch-size", "5000")


def test_a_layer_is_that_of_pytorch() -> None:
    """Attention, add & norm and feed-forward against `torch.nn.TransformerEncoderLayer` with the same weights."""
    torch.manual_seed(SEED)
    mine = encoder_torch.EncoderLayer(SIZE, num_heads=4)
    other = torch.nn.TransformerEncoderLayer(
        16, 4, 32, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    pairs = {
        other.self_attn.in_proj_weight: mine.attention.query_key_value.weight,
        other.self_attn.in_proj_bias: mine.attention.query_key_value.bias,
        other.self_attn.out_proj.weight: mine.attention.output.weight,
        other.self_attn.out_proj.bias: mine.attention.output.bias,
        other.linear1.weight: mine.feed_forward[0].weight,
        other.linear1.bias: mine.feed_forward[0].bias,
        other.linear2.weight: mine.feed_forward[2].weight,
        other.linear2.bias: mine.feed_forward[2].bias,
    }
    with torch.no_grad():
        for theirs, weight in pairs.items():
            theirs.copy_(weight)
    states = torch.randn(3, 8, 16)
    is_padding = torch.arange(8) >= torch.tensor([[8], [5], [1]])
    found = mine(states, ~is_padding[:, None, None, :])
    expected = other(states, src_key_padding_mask=is_padding)
    torch.testing.assert_close(found[~is_padding], expected[~is_padding])


@pytest.mark.parametrize("share_layers", [False, True])
def test_documents_of_a_row_do_not_see_each_other_and_nobody_sees_padding(
    share_layers: bool,
) -> None:
    torch.manual_seed(SEED)
    model = encoder_torch.Encoder(SIZE, num_heads=4, share_layers=share_layers)
    batch = {
        "input_ids": torch.randint(50, (1, 8)),
        "token_type_ids": torch.zeros(1, 8, dtype=torch.int32),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0]]),
        "segment_ids": torch.tensor([[1, 1, 1, 2, 2, 2, 0, 0]]),
        "masked_lm_positions": torch.tensor([[1, 4]]),
    }
    before = model(batch)["masked_lm"][0]
    for place, is_seen_by in ((0, [True, False]), (5, [False, True]), (7, [False, False])):
        ids = batch["input_ids"].clone()
        ids[0, place] = (ids[0, place] + 1) % 50
        after = model({**batch, "input_ids": ids})["masked_lm"][0]
        assert [not torch.equal(a, b) for a, b in zip(after, before, strict=True)] == is_seen_by
    assert len(model.layers) == (1 if share_layers else 2)
