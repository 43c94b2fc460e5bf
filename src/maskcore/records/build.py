# SPDX-License-Identifier: Apache-2.0
"""The builder: corpus -> sentences -> tokens -> rows -> shards and a manifest.

Owns the order of the stages, the target folder and the account of tokens. Each stage lives in its
own file and knows nothing of this one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import maskcore
from maskcore import _checks
from maskcore.config import MaskConfig
from maskcore.records._codec import codec
from maskcore.records._errors import RecordsError
from maskcore.records._progress import Progress
from maskcore.records._target import TOKENIZER_FILE, Target
from maskcore.records.accounts import Account
from maskcore.records.example import ExampleLayout
from maskcore.records.manifest import (
    MANIFEST_FILE,
    FeatureEntry,
    InputEntry,
    Manifest,
    ShardEntry,
    TokenizerEntry,
)
from maskcore.records.readers import InputFile, find_inputs, read_batches
from maskcore.records.rows import NUM_SPECIAL_TOKENS, RowPacker, bucket_of, make_rows
from maskcore.records.schema import feature_lengths, largest_budget, mask_columns
from maskcore.records.tfrecord import WrittenFile, encode_records
from maskcore.records.tokenise import (
    DEFAULT_VOCAB_SIZE,
    Tokeniser,
    check_vocab_size,
    load_tokeniser,
    train_wordpiece,
)

__all__ = ["Progress", "build"]

MIN_SEQ_LENGTH = NUM_SPECIAL_TOKENS + 1
# A shard of about this much text is large enough to stream and small enough to shuffle in memory.
SHARD_TEXT_BYTES = 64 << 20
MAX_SHARDS = 256  # all are open at once; the usual limit is 1,024 files

_SEQ_LENGTH = _checks.IntegerRange(
    "seq_length",
    MIN_SEQ_LENGTH,
    _checks.MAX_ROW_LENGTH + 1,
    f"in [{MIN_SEQ_LENGTH}, {_checks.MAX_ROW_LENGTH}]",
    "it counts [CLS], [SEP] and padding",
)
_MASK_EPOCHS = _checks.IntegerRange(
    "mask_epochs", 0, 2**31, ">= 0", "0 stores no masks; readers derive them"
)
_NUM_SHARDS = _checks.IntegerRange(
    "num_shards", 1, MAX_SHARDS + 1, f"in [1, {MAX_SHARDS}]", "all shards are open at once"
)
# Numbers of one encoding step; bounds the memory whatever the row's length.
MAX_VALUES = 1 << 21

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that the rows depend on, the tokenizer apart; checked."""

    inputs: list[InputFile]
    total_bytes: int
    seq_length: int
    mask: MaskConfig
    mask_epochs: int
    num_shards: int

    @property
    def capacity(self) -> int:
        """Tokens of text in a row."""
        return self.seq_length - NUM_SPECIAL_TOKENS

    @property
    def features(self) -> dict[str, int]:
        """Feature name -> number of values."""
        return feature_lengths(self.seq_length, self.mask_epochs, self.mask.max_predictions or 0)


def build(
    corpus: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    tokenizer: PathLike | None = None,
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    seq_length: int = 128,
    mask: MaskConfig | None = None,
    mask_epochs: int = 0,
    num_shards: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Manifest:
    r"""Turn plain text into TFRecord shards, with a tokenizer and a manifest beside them.

    Parameters
    ----------
    corpus : path, or sequence of paths
        Text files in UTF-8, or folders of them: one sentence or paragraph a line, a blank line
        between documents.
    out : path
        The folder to make. It must not exist, or be empty, unless `overwrite`.
    tokenizer : path, optional
        A tokenizer.json of Hugging Face `tokenizers`; by default a cased WordPiece is trained on
        the corpus, which must then fit in memory.
    vocab_size : int >= 32
        Entries of a trained tokenizer, at most.
    seq_length : int in [3, 2**26]
        Tokens in a row, [CLS], [SEP] and padding included.
    mask : MaskConfig, optional
        How masks are drawn; stored in the manifest. By default `MaskConfig()`.
    mask_epochs : int in [0, 2**31)
        Store the masked positions of the epochs 0 .. `mask_epochs` - 1.
    num_shards : int in [1, 256], optional
        Files to write; by default one for each 64 MiB of text.
    overwrite : bool
        Replace the records in `out`. A folder that holds anything else is refused all the same.
    on_progress : function of a Progress, optional
        Called after each batch of text.

    Returns
    -------
    Manifest
        What was written; the content of `out`/MANIFEST.json.

    Raises
    ------
    RecordsError
        For a corpus, tokenizer or target that cannot be used; nothing is left behind then.
    TypeError, ValueError
        For an argument out of its range.
    ImportError
        If the libraries of ``maskcore[build]`` are missing.

    Notes
    -----
    **Reproducibility.** The files depend on the names and contents of the corpus's files, the
    tokenizer and the arguments; not on the order in which the files are given, the backend or the
    machine.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.\nAnother one.\n\nA new document.\n")
    >>> manifest = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=16)
    >>> manifest.num_rows
    2

    """
    inputs = find_inputs([corpus] if isinstance(corpus, (str, os.PathLike)) else corpus)
    plan = _checked_plan(inputs, seq_length, mask or MaskConfig(), mask_epochs, num_shards)
    check_vocab_size(vocab_size)
    codec()  # now, and not after an hour of tokenising
    target = Target(Path(out))
    target.check(overwrite, inputs)
    report = on_progress or (lambda progress: None)
    tokeniser = (
        train_wordpiece(_sentences_for_training(plan, report), vocab_size)
        if tokenizer is None
        else load_tokeniser(tokenizer)
    )
    with target.claim():
        shards, counts = _write_shards(plan, tokeniser, target, report)
        manifest = _manifest(plan, tokeniser, shards, counts)
        target.write(TOKENIZER_FILE, tokeniser.json_text)
        target.write(MANIFEST_FILE, manifest.to_json())
    return manifest


def _checked_plan(
    inputs: list[InputFile],
    seq_length: int,
    mask: MaskConfig,
    mask_epochs: int,
    num_shards: int | None,
) -> _Plan:
    seq_length = _checks.integer(_SEQ_LENGTH, seq_length)
    mask_epochs = _checks.integer(_MASK_EPOCHS, mask_epochs)
    total_bytes = sum(file.size_bytes for file in inputs)
    if num_shards is None:
        num_shards = min(MAX_SHARDS, max(1, -(-total_bytes // SHARD_TEXT_BYTES)))
    num_shards = _checks.integer(_NUM_SHARDS, num_shards)
    if mask.max_predictions is None:
        most = largest_budget(mask.masking_ratio, seq_length - NUM_SPECIAL_TOKENS)
        mask = replace(mask, max_predictions=most)
    return _Plan(inputs, total_bytes, seq_length, mask, mask_epochs, num_shards)


def _sentences_for_training(plan: _Plan, report: Callable[[Progress], None]) -> Iterator[list[str]]:
    bytes_read = documents = 0
    for batch in read_batches(plan.inputs):
        yield batch.sentences
        bytes_read += batch.bytes_read
        documents += len(batch.documents) - batch.continues
        report(Progress("train", bytes_read, plan.total_bytes, documents, 0, 0, 0, 1, {}))
    if documents == 0:
        raise _empty_corpus(plan)


def _empty_corpus(plan: _Plan) -> RecordsError:
    names = ", ".join(str(file.path) for file in plan.inputs[:3])
    more = " and more" if len(plan.inputs) > 3 else ""
    return RecordsError(f"{names}{more}: no text in the corpus; pass files with sentences in them")


def _write_shards(
    plan: _Plan, tokeniser: Tokeniser, target: Target, report: Callable[[Progress], None]
) -> tuple[tuple[WrittenFile, ...], dict[str, Any]]:
    writers = [target.open_shard(number, plan.num_shards) for number in range(plan.num_shards)]
    packer = RowPacker(plan.capacity)
    layout = ExampleLayout(plan.features)
    account = Account()
    bytes_read = 0
    for batch in read_batches(plan.inputs):
        tokens = tokeniser.encode(batch)
        account.add_text(batch, tokens, tokeniser.unk_id)
        packed = packer.pack(tokens)
        account.add_rows(packed, plan.capacity)
        for rows in packed.parts(max(1, MAX_VALUES // layout.num_values)):
            columns = make_rows(rows, plan.seq_length, tokeniser.special)
            columns |= mask_columns(plan.mask, columns, plan.mask_epochs)
            account.add_masks(columns)
            shards = [bucket_of(key, plan.mask.seed, plan.num_shards) for key in rows.documents]
            for shard in sorted(set(shards)):
                is_in = np.array([s == shard for s in shards])
                of_shard = {name: column[is_in] for name, column in columns.items()}
                writers[shard].write(*encode_records(layout, of_shard))
        bytes_read += batch.bytes_read
        report(
            Progress(
                "build",
                bytes_read,
                plan.total_bytes,
                account.documents,
                account.tokens_read,
                account.rows,
                0,
                1,
                {},
            )
        )
    if account.rows == 0:
        raise _empty_corpus(plan)
    return tuple(writer.close() for writer in writers), account.close(packer)


def _manifest(
    plan: _Plan, tokeniser: Tokeniser, shards: tuple[WrittenFile, ...], counts: dict[str, Any]
) -> Manifest:
    return Manifest(
        maskcore_version=maskcore.__version__,
        algorithm_version=maskcore.ALGORITHM_VERSION,
        plan_sha256="",
        schema="maskcore",
        layout="int64",
        file_format="tfrecord",
        seq_length=plan.seq_length,
        bins=(plan.seq_length,),
        pairs="none",
        short_seq_prob=0.0,
        pack=False,
        dupe_factor=1,
        mask=plan.mask,
        mask_epochs=plan.mask_epochs,
        tokenizer=TokenizerEntry(
            TOKENIZER_FILE,
            "tokenizer.json",
            tokeniser.sha256,
            tokeniser.vocab_size,
            tokeniser.rule.name,
            tokeniser.special,
        ),
        features={
            plan.seq_length: {
                name: FeatureEntry(length, "int64") for name, length in plan.features.items()
            }
        },
        inputs=tuple(InputEntry(file.name, file.size_bytes, "") for file in plan.inputs),
        shards=tuple(
            ShardEntry(shard.file, plan.seq_length, shard.records, shard.bytes, shard.sha256)
            for shard in shards
        ),
        counts=counts,
    )
