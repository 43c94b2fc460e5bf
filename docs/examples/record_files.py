# SPDX-License-Identifier: Apache-2.0
"""Which records an example trains on and which it is evaluated on: given, or built from text or from the demo's prose.

Owns the options for that, and the split by files. Knows nothing of frameworks or of masks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from maskcore import records
from maskcore._cli.demo_corpus import write_corpus  # what `maskcore demo` writes
from maskcore.records import RecordsError
from maskcore.records.manifest import Manifest

__all__ = ["RecordFiles", "add_options", "find"]

VOCAB_SIZE = 8_192  # that of `maskcore demo`: enough for two megabytes of prose
NUM_FILES = 8  # so that an eighth is held out


class RecordFiles(NamedTuple):
    """Records of one length."""

    manifest: Manifest
    """That of the records to train on."""
    seq_length: int
    training: list[Path]
    held_out: list[Path]
    num_held_out: int
    """Rows."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `find` reads."""
    group = parser.add_argument_group("records")
    group.add_argument("--records", type=Path, metavar="DIR", help="made by maskcore build")
    group.add_argument(
        "--text",
        nargs="+",
        metavar="PATH",
        help="without --records: text to build records from, in OUT/records (default: prose that Python carries)",
    )
    group.add_argument(
        "--seq-length",
        type=int,
        metavar="N",
        help="the length of rows to build (default 128), or which of the records' lengths to read",
    )
    group.add_argument(
        "--vocab-size",
        type=int,
        default=VOCAB_SIZE,
        metavar="N",
        help="of the tokenizer that is trained where records are built (default %(default)s)",
    )
    group.add_argument(
        "--held-out",
        type=Path,
        metavar="DIR",
        help="records to evaluate on (default: the last file of the others, which is not trained on)",
    )


def find(options: argparse.Namespace) -> RecordFiles:
    """Return the records that the options name, built where they name none."""
    folder = options.records or _built(options)
    opened = records.open(folder)
    manifest = opened.manifest
    length = options.seq_length or manifest.seq_length
    files = [Path(file) for file in opened.files(length)]
    others = [str(other) for other in manifest.bins if other != length]
    if others and options.seq_length is None:
        print(f"rows of {length} tokens are read; --seq-length takes those of {', '.join(others)}")
    if options.held_out is None:
        if manifest.dupe_factor > 1:
            raise RecordsError(
                f"{folder}: holds each document {manifest.dupe_factor} times, so no file of it is held out; "
                "build records of other text, and pass them by --held-out"
            )
        if len(files) < 2:
            raise RecordsError(
                f"{folder}: one file of rows of {length}, none to hold out; build with --num-shards, or "
                "pass --held-out"
            )
        *files, last = files
        return RecordFiles(manifest, length, files, [last], _num_rows(manifest, [last]))
    other = records.open(options.held_out)
    if other.manifest.tokenizer.sha256 != manifest.tokenizer.sha256:
        raise RecordsError(
            f"{options.held_out}: made with another tokenizer than {folder}; build it with --tokenizer "
            f"{folder / manifest.tokenizer.file}"
        )
    held_out = [Path(file) for file in other.files(length)]
    return RecordFiles(manifest, length, files, held_out, _num_rows(other.manifest, held_out))


def _num_rows(manifest: Manifest, files: list[Path]) -> int:
    names = {file.name for file in files}
    return sum(shard.records for shard in manifest.shards if shard.file in names)


def _built(options: argparse.Namespace) -> Path:
    folder: Path = options.out / "records"
    if (folder / "MANIFEST.json").exists():
        return folder
    text = options.text or write_corpus(options.out / "corpus")
    print(f"building {folder} from {', '.join(str(path) for path in text)}", flush=True)
    manifest = records.build(
        text,
        folder,
        vocab_size=options.vocab_size,
        seq_length=options.seq_length or 128,
        pairs="sop",
        num_shards=NUM_FILES,
        workers=1,  # others would import the framework, too
    )
    print(f"{manifest.num_rows:,} rows of {manifest.seq_length} tokens", flush=True)
    return folder
