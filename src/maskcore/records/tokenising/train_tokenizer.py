# SPDX-License-Identifier: Apache-2.0
"""Training a tokenizer on a corpus: `maskcore.records.train_tokenizer`.

Owns which documents are taken, and the file. How vocabularies are trained is in
`tokenising/subword_training.py`, how a corpus is read in `documents.py`.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskcore import _checks
from maskcore.errors import value_error
from maskcore.records._errors import RecordsError
from maskcore.records._progress import OnProgress, Progress
from maskcore.records.engine.folder import write_file
from maskcore.records.reading.documents import Document, ReadCounts, ReadOptions, read_documents
from maskcore.records.reading.inputs import InputFile, check_fields, find_inputs
from maskcore.records.tokenising.subword_training import KINDS, check_kind, trained
from maskcore.records.tokenising.tokenise import (
    DEFAULT_VOCAB_SIZE,
    Tokeniser,
    tokeniser_from_content,
)

__all__ = ["train_tokenizer"]

PathLike = str | os.PathLike[str]

# RFC 7693, section 2.8: keeps the use apart from buckets and row ids.
_PERSON = b"maskcore-train"
# A vocabulary gains little from more; see docs/records.md.
DEFAULT_MAX_BYTES = 256 << 20
# Documents are handed to the trainers in batches of about this much text.
_BATCH_CHARACTERS = 1 << 20

_MAX_BYTES = _checks.IntegerRange("max_bytes", 1, math.inf, ">= 1", "a few MiB make a vocabulary")


@dataclass(frozen=True, slots=True)
class _Sample:
    """The documents of a corpus that are taken, readable any number of times."""

    inputs: list[InputFile]
    options: ReadOptions
    threshold: int
    """Documents are taken whose key has a smaller hash; in [1, 2**64]."""
    on_progress: OnProgress | None
    num_passes: int

    def takes(self, key: bytes) -> bool:
        digest = hashlib.blake2b(key, digest_size=8, person=_PERSON).digest()
        return int.from_bytes(digest, "little") < self.threshold

    def batches(self, number: int) -> Iterator[list[str]]:
        """Yield the sentences of a pass, the first of which is number 0."""
        batch: list[str] = []
        characters = num_documents = 0
        for counts, document in self._documents():
            if not self.takes(document.key):
                continue
            num_documents += 1
            batch += document.sentences
            characters += sum(map(len, document.sentences))
            if characters >= _BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
                self._report(number, counts.bytes_read, num_documents)
        yield batch
        if num_documents == 0:
            raise RecordsError(
                f"{', '.join(file.path for file in self.inputs[:3])}: no text to train on; pass more "
                "text, or a larger max_bytes"
            )
        self._report(number, self._size_bytes, num_documents)

    @property
    def _size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.inputs)

    def _documents(self) -> Iterator[tuple[ReadCounts, Document]]:
        counts = ReadCounts()
        for file in self.inputs:
            for document in read_documents(file, self.options, counts):
                yield counts, document

    def _report(self, number: int, bytes_read: int, num_documents: int) -> None:
        if self.on_progress is not None:
            size = self._size_bytes
            done, total = number * size + bytes_read, self.num_passes * size
            self.on_progress(Progress("train", done, total, num_documents, 0, 0, 0, 0, {}))


def train_tokenizer(
    corpus: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    kind: str = "wordpiece",
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    max_bytes: int = DEFAULT_MAX_BYTES,
    text_format: str = "auto",
    text_field: str = "text",
    id_field: str | None = None,
    on_bad_text: str = "error",
    sentence_splitting: str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Tokeniser:
    r"""Train a tokenizer on a corpus and write its file.

    Parameters
    ----------
    corpus, text_format, text_field, id_field, on_bad_text, sentence_splitting
        As for `maskcore.records.build`.
    out : path
        The file to write: .json, for "unigram" .model.
    kind : {"wordpiece", "bpe", "byte-bpe", "unigram"}
        Cased WordPiece with BERT's pre-tokenizer; BPE with metaspace; BPE over bytes as in GPT-2; or a
        SentencePiece unigram model with ALBERT's special tokens, which needs
        ``maskcore[sentencepiece]``.
    vocab_size : int >= 32, for "byte-bpe" >= 261
        Entries at most, special tokens included.
    max_bytes : int >= 1
        About how much of the corpus is taken, by the sizes of its files as they are stored. A
        document is taken or not by a hash of its key, so that the sample is spread over the corpus.
    overwrite : bool
        Replace `out`.
    on_progress : function of a Progress, optional
        Called about once for each MiB of text taken, with the stage "train".

    Returns
    -------
    Tokeniser
        What was written, as `maskcore.records.build` loads it.

    Raises
    ------
    RecordsError
        For a corpus without text, and an `out` that exists.
    TypeError, ValueError
        For an argument out of its range.
    ImportError
        If the libraries of ``maskcore[build]`` or ``maskcore[sentencepiece]`` are missing.
    OSError
        If a file cannot be read or written.

    Notes
    -----
    Memory grows with the distinct words of the sample, not with its length.

    **Reproducibility.** The file's bytes depend on the names and contents of the corpus's files, on
    the arguments, and on the versions of `tokenizers` and `sentencepiece`.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.\nAnother one.\n\nA new document.\n")
    >>> out = folder / "tokenizer.json"
    >>> tokeniser = maskcore.records.train_tokenizer(folder / "a.txt", out, vocab_size=64)
    >>> out.exists(), tokeniser.kind, tokeniser.vocab_size <= 64
    (True, 'wordpiece', True)

    """
    check_kind(kind, vocab_size)
    max_bytes = _checks.integer(_MAX_BYTES, max_bytes)
    path = Path(out)
    if path.suffix != KINDS[kind].suffix:
        raise value_error(
            "out",
            f"a file *{KINDS[kind].suffix} for kind {kind!r}",
            repr(os.fspath(out)),
            "the ending says how it is read",
        )
    if path.exists() and not overwrite:
        raise RecordsError(f"{path}: exists; pass overwrite (--overwrite) to replace it")
    options = ReadOptions(
        text_format=text_format,
        text_field=text_field,
        id_field=id_field,
        on_bad_text=on_bad_text,
        sentence_splitting=sentence_splitting,
    )
    inputs = find_inputs(corpus, text_format=text_format)
    check_fields(inputs, text_field=text_field, id_field=id_field)
    total_bytes = max(1, sum(file.size_bytes for file in inputs))
    threshold = max(1, min(1 << 64, (max_bytes << 64) // total_bytes))
    sample = _Sample(inputs, options, threshold, on_progress, KINDS[kind].num_passes)
    passes = iter(range(KINDS[kind].num_passes))
    content, file_name = trained(lambda: sample.batches(next(passes)), kind, vocab_size)
    tokeniser = tokeniser_from_content(content, file_name, source="trained tokenizer")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)
    return tokeniser
