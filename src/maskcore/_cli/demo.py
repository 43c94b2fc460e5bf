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
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from maskcore import records
from maskcore._cli import build, info, show
from maskcore._cli.demo_corpus import write_corpus
from maskcore._numbers import size
from maskcore.records import Records

__all__ = ["add_parser", "run"]

SEQ_LENGTH = 128
VOCAB_SIZE = 8_192  # enough for two megabytes of prose
STORED_EPOCHS = 2
BATCH_ROWS = 256
ROWS_TO_TIME = 100_000  # a second or so
SEED = 2024
NOT_MASKED = -100  # a label that is no id


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
        print(f"  {path}  {size(path.stat().st_size)}")
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
    return code | _read_back(records.open(made))


def _heading(text: str) -> None:
    print(
        f"\n\033[1m{text}\033[0m" if os.isatty(1) and "NO_COLOR" not in os.environ else f"\n{text}",
        flush=True,
    )


def _read_back(opened: Records) -> int:
    """Read epochs as a training job does, and compare their masks with the stored ones."""
    if importlib.util.find_spec("tensorflow") is None:
        _heading("Two epochs through numpy, masks drawn on the way")
        print("  TensorFlow is not installed; with it: pip install 'maskcore[tensorflow]'")
        return _compare_epochs(
            opened, [_numpy_epoch(opened, epoch) for epoch in range(STORED_EPOCHS)]
        )
    _heading("Two epochs through tf.data, masks drawn on the way")
    _start_tensorflow()
    code = _compare_epochs(
        opened, [_tensorflow_epoch(opened, epoch) for epoch in range(STORED_EPOCHS)]
    )
    num_rows, seconds = _time_training(opened)
    print(
        f"  {num_rows:,} rows in batches of {BATCH_ROWS}: {num_rows / seconds:,.0f} rows/s read, shuffled, "
        "parsed and masked"
    )
    return code


def _start_tensorflow() -> None:
    """Import TensorFlow and run one op, without its notes on CUDA and oneDNN unless it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)  # they are written before any logging level is read
        try:
            importlib.import_module("tensorflow").constant(0)
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _compare_epochs(opened: Records, masks: list[Any]) -> int:
    """Say what differs between the epochs, and whether drawn and stored masks agree."""
    for epoch, mask in enumerate(masks):
        print(f"  epoch {epoch}: {len(mask):,} rows, {int(mask.sum()):,} tokens masked")
    first, second = masks
    changed = int((first != second).any(axis=1).sum())
    common = int((first & second).sum())
    print(
        f"  {changed:,} of {len(first):,} rows have another mask in epoch 1; "
        f"{common / max(int(first.sum()), 1):.1%} of the masked tokens are masked in both"
    )
    stored = [_stored_epoch(opened, epoch) for epoch in range(len(masks))]
    is_equal = all(np.array_equal(drawn, kept) for drawn, kept in zip(masks, stored, strict=True))
    verdict = "equal" if is_equal else "DIFFER FROM"
    print(f"  masks drawn while reading {verdict} those stored in the records")
    return 0 if is_equal and changed else 1


def _tensorflow_epoch(opened: Records, epoch: int) -> Any:
    """Return the masks of an epoch in the order of the records."""
    tfshim: Any = importlib.import_module("tfshim")
    rows = tfshim.masked_dataset(
        opened.folder, BATCH_ROWS, fixed_masks=True, initial_epoch=epoch, ignore_index=NOT_MASKED
    )
    return np.concatenate([batch["labels"] != NOT_MASKED for batch in rows.as_numpy_iterator()])


def _time_training(opened: Records) -> tuple[int, float]:
    """Return how many rows came in how many seconds, as a training job reads them."""
    tfshim: Any = importlib.import_module("tfshim")
    batches = iter(tfshim.masked_dataset(opened.folder, BATCH_ROWS))
    next(batches)  # the graph is made by now
    num_batches = -(-ROWS_TO_TIME // BATCH_ROWS)
    started = time.perf_counter()
    for _ in range(num_batches):
        next(batches)
    return num_batches * BATCH_ROWS, time.perf_counter() - started


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
