# SPDX-License-Identifier: Apache-2.0
"""`maskcore train-tokenizer`: options to `maskcore.records.train_tokenizer`, with progress.

Knows nothing of how vocabularies are made.
"""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

from maskcore import records
from maskcore._cli.build_options import TEXT_OPTIONS, add_corpus, add_text
from maskcore._cli.progress import ProgressDisplay
from maskcore._cli.summary import print_facts
from maskcore._numbers import duration, size
from maskcore.records.tokenising.subword_training import KINDS
from maskcore.records.tokenising.tokenise import DEFAULT_VOCAB_SIZE

__all__ = ["add_parser", "run"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train-tokenizer",
        parents=[common],
        help="learn a vocabulary from text",
        usage="maskcore train-tokenizer CORPUS... --out FILE [options]",
        description="Learn a vocabulary from text. The same text gives the same file.",
    )
    add_corpus(parser)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="tokenizer.json; for unigram tokenizer.model"
    )
    add_text(parser)
    add = parser.add_argument_group("tokenizer").add_argument
    add("--kind", choices=tuple(KINDS), default="wordpiece",
        help="BERT's WordPiece, BPE, GPT-2's BPE over bytes, or SentencePiece's unigram "
        "(default %(default)s)")  # fmt: skip
    add("--vocab-size", type=int, default=DEFAULT_VOCAB_SIZE, metavar="N",
        help="entries at most (default %(default)s)")  # fmt: skip
    add("--max-bytes", type=int, metavar="N",
        help="learn from about this much of a large corpus (default: 256 MiB)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and say what was made."""
    started = time.monotonic()
    options = {name: getattr(args, name) for name in TEXT_OPTIONS}
    if args.max_bytes is not None:
        options["max_bytes"] = args.max_bytes
    with ProgressDisplay() as display:
        tokeniser = records.train_tokenizer(
            args.corpus,
            args.out,
            kind=args.kind,
            vocab_size=args.vocab_size,
            overwrite=args.overwrite,
            on_progress=display.update,
            **options,
        )
    out = Path(args.out)
    facts = [
        ("tokenizer", f"{args.kind}, {tokeniser.vocab_size:,} entries"),
        ("file", f"{size(out.stat().st_size)}, sha256 {tokeniser.sha256}"),
        ("time", duration(time.monotonic() - started)),
        ("next", f"maskcore build CORPUS --tokenizer {shlex.quote(str(out))} --out DIR"),
    ]
    print_facts(str(out), facts)
    return 0
