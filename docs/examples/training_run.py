# SPDX-License-Identifier: Apache-2.0
"""A training as its options describe it: what decides its weights, and what a log says of its losses.

Owns the options that every framework has, and the file that keeps them beside checkpoints. Must not know of any
framework.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from meter import EncoderSize, Speed
from record_files import RecordFiles

__all__ = [
    "add_options",
    "added",
    "check_same_run",
    "encoder_size",
    "learning_rate",
    "log_line",
    "means",
    "scalars",
]

# What decides the weights: a run may not be resumed with another.
DECIDING = (
    *("seed", "steps", "batch_size", "learning_rate", "warmup_steps", "weight_decay"),
    *("layers", "hidden_size", "heads", "feed_forward_size", "embedding_size", "no_sharing"),
    *("mixed_precision", "mask_on_device"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training and of its model."""
    add = parser.add_argument
    add("--steps", type=int, default=600)
    add("--batch-size", type=int, default=32, help="rows a step, on all devices together")
    add("--seed", type=int, help="of weights, masks and order (default: that of the records)")
    add("--learning-rate", type=float, default=1e-3, help="at the end of the warm-up")
    add("--warmup-steps", type=int, default=60)
    add("--weight-decay", type=float, default=0.01)
    model = parser.add_argument_group("model")
    model.add_argument("--layers", type=int, default=4)
    model.add_argument("--hidden-size", type=int, default=128)
    model.add_argument("--heads", type=int, default=4)
    model.add_argument("--feed-forward-size", type=int, default=512)
    model.add_argument("--embedding-size", type=int, default=64)
    model.add_argument(
        "--no-sharing", action="store_true", help="weights for each layer, as in BERT"
    )
    often = parser.add_argument_group("how often, in steps")
    often.add_argument("--log-steps", type=int, default=50)
    often.add_argument("--eval-steps", type=int, default=200)
    often.add_argument("--checkpoint-steps", type=int, default=200)


def encoder_size(
    options: argparse.Namespace, files: RecordFiles, num_predictions: int
) -> EncoderSize:
    """Return the sizes of the model for these records."""
    return EncoderSize(
        num_layers=options.layers,
        hidden_size=options.hidden_size,
        feed_forward_size=options.feed_forward_size,
        embedding_size=options.embedding_size,
        vocab_size=files.manifest.tokenizer.vocab_size,
        seq_length=files.seq_length,
        num_predictions=num_predictions,
        num_pair_classes=0 if files.manifest.pairs == "none" else 2,
    )


def learning_rate(options: argparse.Namespace, step: int) -> float:
    """Return the rate of a step, from 0 on: it rises in a line, and falls with half a wave of a cosine."""
    if step < options.warmup_steps:
        return float(options.learning_rate * step / options.warmup_steps)
    share = (step - options.warmup_steps) / max(options.steps - options.warmup_steps, 1)
    return float(options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def added(sums: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the totals of sums of several steps."""
    totals: dict[str, float] = {}
    for one in sums:
        for name, value in one.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals


def means(sums: dict[str, Any]) -> dict[str, Any]:
    """Return losses and accuracies from the sums of a model's `loss_sums`."""
    return {
        f"{task}_{what}": sums[f"{task}_{of}"] / sums[f"{task}_count"]
        for task in ("masked_lm", "pair")
        if f"{task}_count" in sums
        for what, of in (("loss", "loss"), ("accuracy", "correct"))
    }


def log_line(step: int, kind: str, values: dict[str, float], speed: Speed | None = None) -> str:
    """Return what the terminal shows after a step; `kind` is "train" or "held-out"."""
    told = [f"masked LM {values['masked_lm_loss']:.4f} ({values['masked_lm_accuracy']:.1%})"]
    if "pair_loss" in values:
        told.append(f"pairs {values['pair_loss']:.4f} ({values['pair_accuracy']:.1%})")
    return f"{step:>7,} {kind:<8} {'  '.join(told)}  {speed or ''}".rstrip()


def scalars(kind: str, values: dict[str, float], speed: Speed | None = None) -> dict[str, float]:
    """Return the same for TensorBoard."""
    named = {f"{kind}/{name}": value for name, value in values.items()}
    if speed is not None:
        named["speed/steps_per_second"] = speed.steps_per_second
        named["speed/tokens_per_second"] = speed.tokens_per_second
        named["speed/input_wait_share"] = speed.input_wait_share
        if speed.utilisation is not None:
            named["speed/model_flops_utilisation"] = speed.utilisation
    return named


def check_same_run(options: argparse.Namespace, seed: int) -> None:
    """Keep what decides the weights beside the checkpoints.

    Raises
    ------
    ValueError
        Where a run is resumed with something else.

    """
    wanted = {name: getattr(options, name) for name in DECIDING if name in options} | {"seed": seed}
    path: Path = options.out / "training.json"
    if path.exists() and any(options.out.glob("checkpoint*")):
        for name, value in json.loads(path.read_text(encoding="utf-8")).items():
            if wanted.get(name) != value:
                flag = "--" + name.replace("_", "-")
                raise ValueError(
                    f"{flag}: {value} in the run that {options.out} holds, got {wanted.get(name)}; leave it "
                    "so, or begin in another --out"
                )
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
