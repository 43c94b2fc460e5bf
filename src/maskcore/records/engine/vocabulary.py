# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of a build: stored in `_build` before any unit begins, trained where none is given.

Owns the file in `_build` and which text a vocabulary is trained on. Knows nothing of how tokenizers
work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from maskcore.records.engine.folder import BuildFolder, write_file
from maskcore.records.engine.plan import Plan
from maskcore.records.engine.pool import Reporter
from maskcore.records.engine.spill import RunEntry, SpillReader
from maskcore.records.reading.documents import Document
from maskcore.records.tokenising import huggingface, sentencepiece_model
from maskcore.records.tokenising.subword_training import trained
from maskcore.records.tokenising.tokenise import Tokeniser, load_tokeniser

__all__ = ["store_tokeniser", "stored_tokeniser", "train_tokeniser", "training_bytes"]

# Ten million words; a vocabulary of 30,000 entries gains little from more.
TRAINING_TEXT_BYTES = 64 << 20
NUM_PASSES = 2  # `trained_wordpiece` counts characters first
# Handed to the trainer at a time, for its threads to share.
BATCH_BYTES = 1 << 20

_FILES = (huggingface.FILE_NAME, sentencepiece_model.FILE_NAME)


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
    """Train a WordPiece on the first buckets, which are a sample of the corpus, and store it."""
    with report.step("tokenising"):
        made = trained(
            lambda: _sample(plan, runs, folder, report), "wordpiece", plan.options.vocab_size or 0
        )
    write_file(folder.build / made.file_name, made.content)


def training_bytes(runs: Sequence[RunEntry]) -> int:
    """Return how much text training reads: the sample, twice."""
    return NUM_PASSES * min(TRAINING_TEXT_BYTES, sum(run.text_bytes for run in runs))


def _sample(
    plan: Plan, runs: Sequence[RunEntry], folder: BuildFolder, report: Reporter
) -> Iterator[list[str]]:
    """Yield the sentences of a batch of documents at a time."""
    taken = 0
    batch: list[str] = []
    pending = Counter[str]()
    for document, size in _documents(plan, runs, folder):
        batch += document.sentences
        taken += size
        pending.update(bytes=size, documents=1)
        if pending["bytes"] >= BATCH_BYTES or taken >= TRAINING_TEXT_BYTES:
            yield batch
            report.add(**pending)
            batch, pending = [], Counter()
        if taken >= TRAINING_TEXT_BYTES:
            return
    yield batch
    report.add(**pending)


def _documents(
    plan: Plan, runs: Sequence[RunEntry], folder: BuildFolder
) -> Iterator[tuple[Document, int]]:
    for bucket in range(plan.num_buckets):
        reader = SpillReader(plan, runs, folder, range(bucket, bucket + 1))
        for part in reader.parts():
            yield from zip(part.documents, part.text_bytes, strict=True)
