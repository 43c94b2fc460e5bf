# SPDX-License-Identifier: Apache-2.0
"""`maskcore demo`: real prose -> records -> masks in tf.data, from what every Python carries.

Owns the story that is told. Uses the public API and the other commands; the records are built by
the same path as anyone's.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np

from maskcore import records
from maskcore._cli import build, info, show
from maskcore._cli.demo_corpus import write_corpus
from maskcore._params import lower_ratio
from maskcore.records import Records

__all__ = ["add_parser", "run"]

SEQ_LENGTH = 128
VOCAB_SIZE = 8_192  # enough for two megabytes of prose
STORED_EPOCHS = 2
BATCH_ROWS = 256
SEED = 2024


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        parents=[common],
        help="build records from prose that Python carries, and read them with tf.data",
        description="Build records from the documentation in this Python, show them, check this "
        "installation, "
        "and read two epochs through tf.data.",
    )
    parser.add_argument(
        "--out",
        default="demo-records",
        metavar="DIR",
        help="the folder to make (default %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell the story; return 1 if a check fails."""
    folder = Path(args.out)
    _heading(f"Prose that every Python carries, as text files in {folder / 'corpus'}")
    files = write_corpus(folder / "corpus")
    for path in files:
        print(f"  {path}  {build.megabytes(path.stat().st_size)}")
    made = folder / "records"
    command = argparse.ArgumentParser()
    build.add_parser(command.add_subparsers(), argparse.ArgumentParser(add_help=False))
    options = f"--seq-length {SEQ_LENGTH} --vocab-size {VOCAB_SIZE} --seed {SEED}"
    options += f" --mask-epochs {STORED_EPOCHS} --overwrite"
    arguments = ["build", str(folder / "corpus"), "--out", str(made), *options.split()]
    _heading(f"maskcore {shlex.join(arguments)}")
    build.run(command.parse_args(arguments))
    _heading(f"maskcore show {made}")
    code = show.show(made, num_rows=3, epoch=0)
    _heading("maskcore info")
    code |= info.run(args)
    opened = records.open(made)
    if importlib.util.find_spec("tensorflow") is None:
        _heading(
            "Two epochs through numpy (TensorFlow is not installed: pip install "
            "'maskcore[tensorflow]')"
        )
        return code | _two_epochs(opened, _numpy_epoch)
    _heading("Two epochs through tf.data, masks drawn on the way")
    return code | _two_epochs(opened, _tensorflow_epoch)


def _heading(text: str) -> None:
    print(
        f"\n\033[1m{text}\033[0m" if os.isatty(1) and "NO_COLOR" not in os.environ else f"\n{text}",
        flush=True,
    )


def _two_epochs(opened: Records, read_epoch: Any) -> int:
    """Read both epochs; say what differs, and whether stored and derived masks agree."""
    masks = []
    for epoch in range(STORED_EPOCHS):
        started = time.perf_counter()
        mask = read_epoch(opened, epoch)
        seconds = time.perf_counter() - started
        masks.append(mask)
        print(
            f"  epoch {epoch}: {len(mask):,} rows, {int(mask.sum()):,} tokens masked, "
            f"{len(mask) / seconds:,.0f} rows/s{', start-up included' if epoch == 0 else ''}"
        )
    first, second = masks
    changed = int((first != second).any(axis=1).sum())
    common = int((first & second).sum())
    print(
        f"  {changed:,} of {len(first):,} rows have another mask in epoch 1; "
        f"{common / max(int(first.sum()), 1):.1%} of the masked tokens are masked in both"
    )
    stored = [_stored_epoch(opened, epoch) for epoch in range(STORED_EPOCHS)]
    is_equal = all(np.array_equal(drawn, kept) for drawn, kept in zip(masks, stored, strict=True))
    print(
        f"  masks drawn while reading {'equal' if is_equal else 'DIFFER FROM'} those stored in "
        "the records"
    )
    return 0 if is_equal and changed else 1


def _tensorflow_epoch(opened: Records, epoch: int) -> Any:
    """Return the masks of an epoch, drawn in a tf.data pipeline as a training job would."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up notes would hide ours
    tf: Any = importlib.import_module("tensorflow")
    tfshim: Any = importlib.import_module("tfshim")
    manifest = opened.manifest
    mask = manifest.mask
    ratio_e9 = lower_ratio(mask.masking_ratio)
    spec = {
        name: tf.io.FixedLenFeature([length], tf.int64)
        for name, length in manifest.features.items()
    }

    def draw(rows: Any) -> Any:
        maskable = tf.cast(rows["word_ids"] > 0, tf.int64)
        num_maskable = tf.reduce_sum(maskable, axis=1)
        # docs/algorithm.md, section 6: the ratio times the maskable tokens, rounded half up, at
        # least 1.
        budget = tf.maximum((2 * ratio_e9 * num_maskable + 10**9) // (2 * 10**9), 1)
        return tfshim.get_masking_position(
            maskable,
            max_n=mask.max_n,
            num_tokens_to_mask=tf.minimum(budget, mask.max_predictions),
            seed=mask.seed,
            row_ids=rows["row_id"][:, 0],
            epoch=epoch,
            word_ids=rows["word_ids"] - 1 if mask.mask_unit == "word" else None,
            ngram_weights=mask.ngram_weights,
        )

    # Batched before parsing: one call for many rows is several times faster than one for each.
    batches = tf.data.TFRecordDataset(opened.files).batch(BATCH_ROWS)
    parsed = batches.map(
        lambda records: tf.io.parse_example(records, spec), num_parallel_calls=tf.data.AUTOTUNE
    )
    drawn = parsed.map(draw, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return np.concatenate(list(drawn.as_numpy_iterator())).astype(bool)


def _numpy_epoch(opened: Records, epoch: int) -> Any:
    return np.concatenate([opened.spans(rows, epoch) > 0 for rows in opened.batches(BATCH_ROWS)])


def _stored_epoch(opened: Records, epoch: int) -> Any:
    masks = []
    for rows in opened.batches(BATCH_ROWS):
        stored = opened.stored_masks(rows, epoch)
        mask = np.zeros(rows["input_ids"].shape, bool)
        row, place = np.nonzero(stored.weights)
        mask[row, stored.positions[row, place]] = True
        masks.append(mask)
    return np.concatenate(masks)
