# SPDX-License-Identifier: Apache-2.0
"""The options of `maskcore build`, and the arguments of `maskcore.records.build` that they stand for.

Owns their names, groups, help and defaults. Values are checked where Python callers pass them, too,
so that both are told the same.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

from maskcore.config import MASK_UNITS, MaskConfig
from maskcore.records.tokenising.tokenise import DEFAULT_VOCAB_SIZE

__all__ = [
    "DESCRIPTION",
    "EXAMPLES",
    "TEXT_OPTIONS",
    "add_corpus",
    "add_options",
    "add_text",
    "build_arguments",
]

DESCRIPTION = """\
Turn text into records for masked-model pretraining. The same command goes on
where a build was interrupted. The files are the same for any number of workers.
"""
EXAMPLES = """\
examples:
  Train a WordPiece on the text, write rows of 128 tokens:
    maskcore build corpus/ --out records/
  ALBERT: sentence-order pairs, shards for each of several lengths:
    maskcore build 'web/*.jsonl.zst' --text-field body --out records/ \\
        --tokenizer tokenizer.json --pairs sop --bins 64,128,256,512
  What existing BERT trainers read:
    maskcore build corpus/ --out records/ --tokenizer vocab.txt \\
        --pairs nsp --schema bert --dupe-factor 10
  Running Korean prose, several short documents in a row:
    maskcore build ko/ --out records/ --split-sentences ko --pack
  How many rows and bytes that would be:
    maskcore build corpus/ --out records/ --dry-run
"""


def lengths(text: str) -> tuple[int, ...]:
    """Return the numbers of a list.

    >>> lengths("64,128")
    (64, 128)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of lengths; write 64,128,256"
        ) from None


def character(text: str) -> str:
    """Return a character that may be written by its number.

    >>> character("|"), character("U+200B") == chr(0x200B)
    ('|', True)
    """
    if re.fullmatch("[Uu]\\+[0-9A-Fa-f]{2,6}", text):
        return chr(int(text[2:], 16))
    return text


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options, in groups."""
    add_corpus(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    for add_group in (add_text, _add_tokenizer, _add_rows, _add_masks, _add_files, _add_run):
        add_group(parser)


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Add what to read."""
    parser.add_argument(
        "corpus", nargs="+", metavar="CORPUS",
        help="files, folders, patterns such as 'web/*.jsonl.zst', or URLs that fsspec reads; .gz, "
        ".bz2 and .zst are unpacked",
    )  # fmt: skip


def _group(parser: argparse.ArgumentParser, title: str) -> Callable[..., Any]:
    return parser.add_argument_group(title).add_argument


def add_text(parser: argparse.ArgumentParser) -> None:
    """Add how to read it; `TEXT_OPTIONS` names the arguments."""
    add = _group(parser, "text")
    add("--text-format", choices=("auto", "plain", "jsonl", "parquet"), default="auto",
        help="plain: one sentence or paragraph a line, a blank line between documents "
        "(default: by the file's name)")  # fmt: skip
    add("--text-field", default="text", metavar="NAME",
        help="field of JSONL, column of Parquet (default %(default)s)")  # fmt: skip
    add("--id-field", metavar="NAME",
        help="field that names a document for good (default: its file and place)")  # fmt: skip
    add("--on-bad-text", choices=("error", "skip", "replace"), default="error",
        help="what becomes of invalid UTF-8 and NUL (default %(default)s)")  # fmt: skip
    add("--split-sentences", choices=("en", "ko"), dest="sentence_splitting",
        help="split running prose into sentences (default: a line is one)")  # fmt: skip


def _add_tokenizer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tokenizer")
    either = group.add_mutually_exclusive_group().add_argument
    either("--tokenizer", metavar="FILE",
        help="tokenizer.json, vocab.txt or SentencePiece .model (default: a WordPiece is trained)")  # fmt: skip
    either("--vocab-size", type=int, default=DEFAULT_VOCAB_SIZE, metavar="N",
        help="entries of a trained tokenizer, at most (default %(default)s)")  # fmt: skip
    group.add_argument("--word-separator", type=character, metavar="CHAR",
        help="character between words, such as U+200B, where the text was cut into words before; it "
        "is taken out, and words begin there")  # fmt: skip


def _add_rows(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rows")
    either, add = group.add_mutually_exclusive_group().add_argument, group.add_argument
    # No default here: argparse would not see --seq-length 128 beside --bins.
    either("--seq-length", type=int, metavar="N",
        help="tokens in a row, padding included (default 128)")  # fmt: skip
    either("--bins", type=lengths, metavar="N,N",
        help="several row lengths, each with its own shards, in place of --seq-length")  # fmt: skip
    add("--pairs", choices=("none", "sop", "nsp"), default="none",
        help="two segments a row: ALBERT's sentence order, BERT's next sentence (default %(default)s)")  # fmt: skip
    add("--short-seq-prob", type=float, metavar="P",
        help="share of rows that aim at a shorter length (default: 0.1 with pairs, else 0)")  # fmt: skip
    add("--pack", action="store_true", help="fill rows with several short documents")
    add("--dupe-factor", type=int, default=1, metavar="N",
        help="write every document N times, masked anew (default %(default)s)")  # fmt: skip


def _add_masks(parser: argparse.ArgumentParser) -> None:
    add, defaults = _group(parser, "masks"), MaskConfig()
    add("--mask-unit", choices=MASK_UNITS, default=defaults.mask_unit,
        help="mask whole words, or tokens (default %(default)s)")  # fmt: skip
    add("--max-n", type=int, default=defaults.max_n, metavar="N",
        help="longest n-gram to mask, in units (default %(default)s)")  # fmt: skip
    add("--masking-ratio", type=float, default=defaults.masking_ratio, metavar="R",
        help="share of a row's tokens to mask (default %(default)s)")  # fmt: skip
    add("--max-predictions", type=int, metavar="N",
        help="masked tokens in a row, at most (default: what a full row needs)")  # fmt: skip
    add("--seed", type=int, default=defaults.seed, metavar="N",
        help="seed of masks, rows and their order (default %(default)s)")  # fmt: skip
    add("--mask-epochs", type=int, default=0, metavar="K",
        help="store the masks of K epochs (default %(default)s: readers derive the same ones)")  # fmt: skip


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = _group(parser, "files")
    add("--schema", choices=("maskcore", "bert"), default="maskcore",
        help="features of a row; bert: those of create_pretraining_data.py (default %(default)s)")  # fmt: skip
    add("--layout", choices=("int64", "compact"), default="int64",
        help="of TFRecord; compact: smaller, and parsed faster by tfshim (default %(default)s)")  # fmt: skip
    add("--format", choices=("tfrecord", "parquet"), default="tfrecord", dest="file_format",
        help="of the shards (default %(default)s)")  # fmt: skip
    add("--num-shards", type=int, metavar="N",
        help="shards of each length (default: one for each 64 MiB of text, more for a small corpus)")  # fmt: skip


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = _group(parser, "run")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add("--overwrite", action="store_true",
        help="replace the records in DIR, or begin an interrupted build anew")  # fmt: skip
    add("--verify", action="store_true", help="read everything back and check it at the end")
    add("--dry-run", action="store_true", help="print the plan and estimates, write nothing")


TEXT_OPTIONS = ("text_format", "text_field", "id_field", "on_bad_text", "sentence_splitting")
_MASK_OPTIONS = ("seed", "max_n", "masking_ratio", "mask_unit", "max_predictions")
_OPTIONS = (
    "tokenizer", "vocab_size", *TEXT_OPTIONS, "word_separator", "seq_length", "bins", "pairs", "short_seq_prob", "pack",
    "mask_epochs", "dupe_factor", "schema", "layout", "file_format", "num_shards",
)  # fmt: skip
_RUN_OPTIONS = ("workers", "overwrite", "verify")


def build_arguments(args: argparse.Namespace, *, dry_run: bool = False) -> dict[str, Any]:
    """Return the keyword arguments of `maskcore.records.build`, or of `plan`."""
    names = _OPTIONS if dry_run else _OPTIONS + _RUN_OPTIONS
    chosen = {name: getattr(args, name) for name in names}
    mask = MaskConfig(**{name: getattr(args, name) for name in _MASK_OPTIONS})
    return {**chosen, "mask": mask}
