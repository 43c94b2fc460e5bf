# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.train_step`: what masks cost of a train step of BERT-small, and how long a step waits for input.

The model and the trainer are those of docs/examples. Owns the two inputs, the order of the steps and the table. Steps with
masked input and with the same input without masks take turns, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "examples"))

from meter import EncoderSize, Meter

import maskcore
from bench import libraries, machine, record_folder, tables, workload
from bench.tf_data import mapped_records

BERT_SMALL = EncoderSize(  # Turc et al., "Well-Read Students Learn Better", 2019, section 4.1
    num_layers=4,
    hidden_size=512,
    feed_forward_size=2048,
    embedding_size=512,
    vocab_size=workload.VOCAB_SIZE,
    seq_length=workload.ROW_LENGTH,
    num_predictions=record_folder.MASK.max_predictions,
)
NUM_HEADS = 8
NUM_FILES = 8
ROWS_PER_FILE = 2048
LARGEST_SHARE = 0.05
ALONE_SECONDS = 1.0
WARMUP_STEPS = 2
BLOCK = "train-step-bench"
KINDS = ("with masks", "without masks")


@dataclass(frozen=True)
class Step:
    """One train step."""

    seconds: float
    waited: float
    """Of them, until its batch was there."""
    core_seconds: float
    """Of the whole process, its input pipeline included; other work on the machine changes them little."""


@dataclass
class Figures:
    """What was measured."""

    steps: dict[str, list[Step]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    alone_seconds: float = 0.0
    """To mask one batch, with nothing beside it."""

    def shares(self) -> list[float]:
        """Return, for each pair of neighbouring steps, by how much masks lengthened it."""
        masked, unmasked = (self.steps[kind] for kind in KINDS)
        pairs = zip(masked, unmasked, strict=True)
        return [one.core_seconds / other.core_seconds - 1 for one, other in pairs]


def masked_batches(folder: Path, batch_size: int) -> Any:
    """Return the batches that are trained on."""
    import tfshim

    return tfshim.masked_dataset(folder, batch_size, output="positions", drop_remainder=True)


def unmasked_batches(folder: Path, batch_size: int) -> Any:
    """Return the same pipeline, which hands rows on as they are stored."""
    import tfshim
    from maskcore import records

    manifest = records.open(folder).manifest
    wanted = ("input_ids", "attention_mask", "token_type_ids", "word_ids", "row_id")

    def parse(serialized: Any, epochs: Any) -> Any:
        columns = tfshim.parse_records(serialized, manifest)
        return {name: columns[name] for name in wanted}

    return mapped_records(folder, batch_size, parse, drop_remainder=True)


def predictions(batch_size: int, size: EncoderSize) -> dict[str, Any]:
    """Return positions for batches without masks: the step computes as much with them."""
    import tensorflow as tf

    shape = (batch_size, size.num_predictions)
    places = tf.range(1, size.num_predictions + 1)
    return {
        "masked_lm_positions": tf.broadcast_to(places, shape),
        "masked_lm_ids": tf.broadcast_to(places, shape),
        "masked_lm_weights": tf.ones(shape),
    }


def masks_alone(batch: dict[str, Any]) -> Callable[[], Any]:
    """Return what masks one batch as `masked_dataset` does."""
    import tensorflow as tf

    import tfshim

    random_ids = maskcore.allowed_ids(workload.VOCAB_SIZE, workload.SPECIAL_IDS)
    arguments = record_folder.MASK.arguments()

    @tf.function
    def mask() -> Any:
        return tfshim.mask_tokens(
            batch["input_ids"],
            batch["word_ids"],
            word_ids=batch["word_ids"] - 1,
            row_ids=batch["row_id"][:, 0],
            mask_id=workload.MASK_ID,
            random_ids=random_ids,
            output="positions",
            **arguments,
        )

    return mask


def median_seconds(function: Callable[[], Any], seconds: float) -> float:
    """Return the median time of a call, the first ones left out."""
    for _ in range(3):
        function()
    found = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def measure(
    folder: Path, size: EncoderSize, num_heads: int, *, batch_size: int, pairs: int
) -> Figures:
    """Train on both inputs in turn, `pairs` steps each."""
    import tensorflow as tf
    from trainer_keras import Trainer, numbers

    tf.keras.utils.set_random_seed(workload.SEED)
    masked = masked_batches(folder, batch_size)
    unmasked = unmasked_batches(folder, batch_size)
    trainer = Trainer(size, masked, num_heads=num_heads, share_layers=False, schedule=1e-4)
    names = tuple(masked.element_spec)
    added = predictions(batch_size, size)
    inputs: dict[str, Iterator[Any]] = dict(zip(KINDS, map(iter, (masked, unmasked)), strict=True))
    figures = Figures()
    alone = masks_alone(next(inputs["without masks"]))
    figures.alone_seconds = median_seconds(alone, ALONE_SECONDS)

    def step(kind: str) -> Step:
        meter = Meter(tokens_per_step=1, flops_per_token=0.0, warmup_steps=0)
        spent_before = time.process_time()
        with meter.waiting_for_input():
            batch = next(inputs[kind])
        complete = {**added, **batch}
        numbers(trainer.train_step({name: complete[name] for name in names}))
        meter.end_step()
        speed = meter.total()
        assert speed is not None
        core_seconds = time.process_time() - spent_before
        return Step(speed.seconds, speed.input_wait_seconds, core_seconds)

    for kind in KINDS * WARMUP_STEPS:
        step(kind)
    for number in range(pairs):
        for kind in KINDS if number % 2 else KINDS[::-1]:
            figures.steps[kind].append(step(kind))
    return figures


def steps_table(figures: Figures) -> tables.Table:
    """Return a line for each input."""
    rows = []
    for kind in KINDS:
        steps = figures.steps[kind]
        seconds = statistics.median(step.seconds for step in steps)
        low, _, high = statistics.quantiles((step.seconds for step in steps), n=4)
        waited = statistics.median(step.waited for step in steps)
        spent = statistics.median(step.core_seconds for step in steps)
        rows.append(
            (
                f"a step {kind}",
                tables.significant(seconds * 1e3),
                f"{tables.significant(low * 1e3)} to {tables.significant(high * 1e3)}",
                tables.significant(spent * 1e3),
                tables.significant(waited * 1e3),
                f"{waited / seconds:.2%}",
            )
        )
    header = ("", "ms", "quartiles", "core-ms", "ms waiting for input", "share")
    return tables.Table("Train steps", header, rows)


def targets_table(figures: Figures) -> tables.Table:
    """Return what masks add to a step, as the difference of both and as the work alone."""
    shares = figures.shares()
    low, median, high = statistics.quantiles(shares, n=4)
    step = statistics.median(step.core_seconds for step in figures.steps["without masks"])
    alone_ms = figures.alone_seconds * 1e3
    rows = [
        _verdict(
            f"core-time of a step with masks over the one beside it without (quartiles {low:+.1%} to {high:+.1%})",
            median,
        ),
        _verdict(
            f"masks of a batch by themselves, {alone_ms:.2f} ms of one core, over a step's core-time",
            figures.alone_seconds / step,
        ),
    ]
    return tables.Table("What masks add", ("target", "limit", "measured", ""), rows)


def _verdict(label: str, share: float) -> tuple[str, ...]:
    verdict = "met" if share <= LARGEST_SHARE else "missed"
    return (label, f"at most {LARGEST_SHARE:.0%}", f"{share:+.3%}", verdict)


def machine_line(batch_size: int, pairs: int) -> str:
    """Return what the figures depend on."""
    versions = [f"{name} {libraries.version(name)}" for name in ("tensorflow", "numpy")]
    return (
        f"{machine.processor()}, Python {platform.python_version()}, {', '.join(versions)}; BERT-small (4 layers of "
        f"512, 8 heads), batches of {batch_size} rows of {workload.ROW_LENGTH}; {pairs} steps each, in turn; medians."
    )


def main(given: list[str] | None = None) -> int:
    """Measure, print, and fill the blocks of files."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_step", description=__doc__)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=40, help="steps with each input")
    parser.add_argument(
        "--update", type=Path, nargs="+", default=[], metavar="FILE", help="fill their blocks"
    )
    arguments = parser.parse_args(given)
    batch_size, pairs = arguments.batch_size, arguments.pairs
    with tempfile.TemporaryDirectory() as name:
        folder = record_folder.write(Path(name), "int64", NUM_FILES, ROWS_PER_FILE)
        figures = measure(folder, BERT_SMALL, NUM_HEADS, batch_size=batch_size, pairs=pairs)
    measured_on = machine_line(batch_size, pairs)
    shown = [steps_table(figures), targets_table(figures)]
    print(measured_on)
    for table in shown:
        tables.print_table(table)
    body = "\n\n".join([measured_on, *map(tables.to_markdown, shown)])
    for path in arguments.update:
        filled = tables.fill_block(path.read_text(encoding="utf-8"), BLOCK, body)
        path.write_text(filled, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
