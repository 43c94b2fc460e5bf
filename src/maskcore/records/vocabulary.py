# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of a build: stored in `_build` before any unit begins, trained where none is given.

Owns the file in `_build` and which text a vocabulary is trained on. Knows nothing of how tokenizers
work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskcore.records.folder import BuildFolder, write_file
from maskcore.records.plan import Plan
from maskcore.records.pool import Reporter
from maskcore.records.scatter import no_text
from maskcore.records.spill import RunEntry, SpillReader
from maskcore.records.tokenise import Tokeniser, load_tokeniser, train_wordpiece

__all__ = ["TRAINING_TEXT_BYTES", "store_tokeniser", "stored_tokeniser", "train_tokeniser"]

# A vocabulary of 30,000 entries gains little from more, and training holds the text's words.
TRAINING_TEXT_BYTES = 64 << 20

_FILES = ("tokenizer.json", "tokenizer.model", "vocab.txt")


def store_tokeniser(tokeniser: Tokeniser, folder: BuildFolder) -> None:
    """Put the tokenizer's file into `_build`."""
    write_file(folder.build / tokeniser.file_name, tokeniser.content)


def stored_tokeniser(plan: Plan, folder: BuildFolder) -> Tokeniser | None:
    """Return the tokenizer in `_build`, None if there is none yet."""
    for name in _FILES:
        path = folder.build / name
        if path.exists():
            return load_tokeniser(path, plan.options.word_separator)
    return None


def train_tokeniser(
    plan: Plan, runs: Sequence[RunEntry], folder: BuildFolder, report: Reporter
) -> None:
    """Train a WordPiece on the first buckets, which are a sample of the corpus, and store it.

    Raises
    ------
    RecordsError
        If the corpus holds no text.

    """
    with report.step("tokenising"):
        tokeniser = train_wordpiece(
            _sample(plan, runs, folder, report), plan.options.vocab_size or 0
        )
    store_tokeniser(tokeniser, folder)


def _sample(
    plan: Plan, runs: Sequence[RunEntry], folder: BuildFolder, report: Reporter
) -> Iterator[list[str]]:
    taken = 0
    for bucket in range(plan.num_buckets):
        reader = SpillReader(plan, runs, folder.spill, range(bucket, bucket + 1))
        for documents, sizes in reader.parts():
            for document, size in zip(documents, sizes, strict=True):
                if taken >= TRAINING_TEXT_BYTES:
                    return
                yield document.sentences
                taken += size
                report.add(bytes=size, documents=1)
    if taken == 0:
        raise no_text([file.name for file in plan.inputs])
