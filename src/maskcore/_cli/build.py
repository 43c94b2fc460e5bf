# SPDX-License-Identifier: Apache-2.0
"""`maskcore build`: arguments to `maskcore.records.build`, a progress display, a summary.

Knows nothing of how records are made.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from maskcore import records
from maskcore._cli.progress import ProgressDisplay
from maskcore._numbers import plural, size
from maskcore.config import MASK_UNITS, MaskConfig
from maskcore.records import Manifest
from maskcore.records._errors import require
from maskcore.records.tokenise import DEFAULT_VOCAB_SIZE

__all__ = ["add_parser", "print_summary", "run"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    defaults = MaskConfig()
    parser = commands.add_parser(
        "build",
        parents=[common],
        help="turn text into records",
        description="Turn plain text (one sentence or paragraph a line, a blank line between "
        "documents) into TFRecord shards.",
    )
    add = parser.add_argument
    add("corpus", nargs="+", metavar="CORPUS", help="text files in UTF-8, or folders of them")
    add("--out", required=True, metavar="DIR", help="the folder to make")
    add(
        "--tokenizer",
        metavar="FILE",
        help="tokenizer.json; without it a WordPiece is trained on the corpus",
    )
    add(
        "--vocab-size", type=int, default=DEFAULT_VOCAB_SIZE, metavar="N",
        help="entries of a trained tokenizer, at most (default %(default)s)",
    )  # fmt: skip
    add(
        "--seq-length",
        type=int,
        default=128,
        metavar="N",
        help="tokens in a row (default %(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="seed of the masks (default %(default)s)",
    )
    add(
        "--max-n", type=int, default=defaults.max_n, metavar="N",
        help="longest n-gram to mask, in units (default %(default)s)",
    )  # fmt: skip
    add(
        "--masking-ratio", type=float, default=defaults.masking_ratio, metavar="R",
        help="share of a row's tokens to mask (default %(default)s)",
    )  # fmt: skip
    add(
        "--mask-unit", choices=MASK_UNITS, default=defaults.mask_unit,
        help="mask whole words, or tokens (default %(default)s)",
    )  # fmt: skip
    add(
        "--max-predictions", type=int, metavar="N",
        help="masked tokens in a row, at most (default: what a full row needs)",
    )  # fmt: skip
    add(
        "--mask-epochs", type=int, default=0, metavar="K",
        help="store the masks of K epochs (default %(default)s: readers derive them)",
    )  # fmt: skip
    add(
        "--num-shards",
        type=int,
        metavar="N",
        help="files to write (default: one for each 64 MiB of text)",
    )
    add("--overwrite", action="store_true", help="replace the records in DIR")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build, and say what was made."""
    mask = MaskConfig(
        seed=args.seed,
        max_n=args.max_n,
        masking_ratio=args.masking_ratio,
        mask_unit=args.mask_unit,
        max_predictions=args.max_predictions,
    )
    started = time.monotonic()
    with ProgressDisplay() as display:
        manifest = records.build(
            args.corpus,
            args.out,
            tokenizer=args.tokenizer,
            vocab_size=args.vocab_size,
            seq_length=args.seq_length,
            mask=mask,
            mask_epochs=args.mask_epochs,
            num_shards=args.num_shards,
            overwrite=args.overwrite,
            on_progress=display.update,
        )
    is_trained = args.tokenizer is None
    print_summary(manifest, Path(args.out), is_trained, time.monotonic() - started)
    return 0


def print_summary(manifest: Manifest, out: Path, is_trained: bool, seconds: float) -> None:
    """Print what a build made, one fact a line."""
    counts, mask = manifest.counts, manifest.mask
    slots = manifest.num_rows * (manifest.seq_length - 2)
    tokens = counts["tokens_written"]
    unit = f"{mask.mask_unit}s" if mask.max_n > 1 else mask.mask_unit
    shards = len(manifest.shards)
    stored = "none stored"
    if manifest.mask_epochs:
        stored = f"{manifest.mask_epochs} {plural('epoch', manifest.mask_epochs)} stored"
    lines = [
        ("rows", f"{manifest.num_rows:,} of {manifest.seq_length} tokens"),
        ("text", f"{counts['documents']:,} documents, {counts['sentences']:,} sentences"),
        ("tokens", f"{tokens:,} written of {counts['tokens_read']:,} read"),
        ("unknown", f"{counts['unknown_tokens'] / max(tokens, 1):.2%} of the tokens"),
        ("padding", f"{counts['padding_tokens'] / max(slots, 1):.1%} of the places"),
        (
            "tokenizer",
            f"{manifest.tokenizer.word_rule}, {manifest.tokenizer.vocab_size:,} entries"
            + (", trained on this corpus" if is_trained else ""),
        ),
        (
            "masks",
            f"{100 * mask.masking_ratio:.4g}% of the tokens, spans of up to {mask.max_n} {unit}, "
            f"seed {mask.seed}, {stored}",
        ),
        (
            "files",
            f"{shards} {plural('shard', shards)}, {size(sum(s.bytes for s in manifest.shards))}",
        ),
        ("time", f"{seconds:,.1f} s, {tokens / max(seconds, 1e-3):,.0f} tokens/s"),
    ]
    lines += _warnings(counts)
    console = require("rich.console").Console()
    text = require("rich.text").Text
    console.print(text(f"{out}", style="bold"))
    for name, fact in lines:
        style = "bold red" if name == "note" else "dim"
        line = text.assemble((f"  {name:<11}", style), fact)
        console.print(line, soft_wrap=not console.is_terminal)


def _warnings(counts: dict[str, Any]) -> list[tuple[str, str]]:
    notes = []
    for name, meaning in (
        ("documents_without_tokens", "documents gave no token"),
        ("sentences_without_tokens", "sentences gave no token"),
        ("sentences_cut", "sentences are longer than a row and were cut at a word"),
        ("words_cut", "words are longer than a row and were cut"),
        ("special_tokens_in_text", "special tokens stand in the text; they are never masked"),
    ):
        if counts[name]:
            notes.append(("note", f"{counts[name]:,} {meaning}"))
    return notes
