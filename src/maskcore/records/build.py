# SPDX-License-Identifier: Apache-2.0
"""The builder: `build`, and `plan` for a look at what it would do.

Owns the public arguments and what they mean. The plan is made in `plan`, the work is done by
`engine`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskcore import _checks
from maskcore.config import MaskConfig
from maskcore.errors import value_error
from maskcore.records._errors import RecordsError, require
from maskcore.records._progress import OnProgress
from maskcore.records.engine.engine import BuildRequest, run_build
from maskcore.records.engine.estimate import Estimate, estimate
from maskcore.records.engine.plan import BuildOptions, Plan, make_plan
from maskcore.records.manifest import Manifest
from maskcore.records.reading.inputs import InputFile, check_fields, find_inputs
from maskcore.records.reading.storage import is_remote
from maskcore.records.tokenising.tokenise import (
    DEFAULT_VOCAB_SIZE,
    Tokeniser,
    check_vocab_size,
    load_tokeniser,
)

__all__ = ["build", "plan"]

DEFAULT_SEQ_LENGTH = 128

_WORKERS = _checks.IntegerRange(
    "workers", 1, 1 << 12, "in [1, 4096)", "leave it out for as many as there are cores"
)

PathLike = str | os.PathLike[str]


def build(
    corpus: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    tokenizer: PathLike | None = None,
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    text_format: str = "auto",
    text_field: str = "text",
    id_field: str | None = None,
    on_bad_text: str = "error",
    sentence_splitting: str | None = None,
    word_separator: str | None = None,
    seq_length: int | None = None,
    bins: Sequence[int] | None = None,
    pairs: str = "none",
    short_seq_prob: float | None = None,
    pack: bool = False,
    mask: MaskConfig | None = None,
    mask_epochs: int = 0,
    dupe_factor: int = 1,
    schema: str = "maskcore",
    layout: str = "int64",
    file_format: str = "tfrecord",
    num_shards: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    verify: bool = False,
    on_progress: OnProgress | None = None,
) -> Manifest:
    r"""Turn a corpus into records, with tokenizer, manifest and report beside them.

    A build that was interrupted, killed or ran out of space is resumed by the same call.

    Parameters
    ----------
    corpus : path, or sequence of paths
        Files, folders or globs, also remote ones: plain text (one sentence a line, a blank line
        between documents), JSONL or Parquet, as they are or compressed by gzip, bzip2 or Zstandard.
    out : path
        The folder to make. It must not exist, be empty, or hold an unfinished build of the same,
        unless `overwrite`.
    tokenizer : path, optional
        A tokenizer.json, vocab.txt or SentencePiece model; by default a cased WordPiece is trained
        on the corpus, or a sample of 64 MiB of it.
    vocab_size : int >= 32
        Entries of a trained tokenizer, at most.
    text_format : "auto", "plain", "jsonl" or "parquet"
        "auto" goes by the names of the files.
    text_field : str
        Where JSONL and Parquet hold the text.
    id_field : str, optional
        Where JSONL and Parquet hold an id, unique in the corpus, by which documents are called
        instead of file and offset.
    on_bad_text : "error", "skip" or "replace"
        What invalid UTF-8 does: stop the build, leave the document out, or become U+FFFD.
    sentence_splitting : None, "en" or "ko"
        None takes lines as sentences; else running prose is split.
    word_separator : str, optional
        A character that the text has between words, for languages written without spaces.
    seq_length : int in [3, 2**26], optional
        Tokens in a row, special tokens and padding included; by default 128, or the longest of
        `bins`.
    bins : sequence of int, optional
        Lengths of rows, ascending; a row goes to the shortest that holds it, each with files of its
        own.
    pairs : "none", "sop" or "nsp"
        Rows of one segment, or of two with ALBERT's or BERT's labels.
    short_seq_prob : float in [0, 1], optional
        Share of rows that are made shorter at random; by default 0.1 with pairs, else 0.
    pack : bool
        Fill rows with several short documents, which `segment_ids` keep apart. Not with pairs.
    mask : MaskConfig, optional
        How masks are drawn; stored in the manifest. Its seed also decides buckets, pairs and order.
    mask_epochs : int in [0, 2**31)
        Store the masked positions of the epochs 0 .. `mask_epochs` - 1.
    dupe_factor : int in [1, 2**31)
        How often every document is written, with other draws and other masks each time.
    schema : "maskcore" or "bert"
        "bert" writes the features that BERT's and ALBERT's own trainers read.
    layout : "int64" or "compact"
        How TFRecord files hold numbers.
    file_format : "tfrecord" or "parquet"
    num_shards : int in [1, 99999], optional
        By default one for each 64 MiB of text, and more for a small corpus: 32 from 512 MiB, 8 from
        8 MiB.
    workers : int >= 1, optional
        Processes; by default as many as there are cores to use, and fewer for a small corpus. 1 works
        in this process.
    overwrite : bool
        Replace the records in `out`, when the new ones are finished. A folder that holds anything
        else is refused all the same.
    verify : bool
        Read all records back and check them, as `maskcore.records.verify` does.
    on_progress : function of a Progress, optional
        Called at most ten times a second.

    Returns
    -------
    Manifest
        What was written; the content of `out`/MANIFEST.json.

    Raises
    ------
    RecordsError
        For a corpus, tokenizer or target that cannot be used, a full disk, or a worker that died; the
        text says what to do.
    TypeError, ValueError
        For an argument out of its range.
    ImportError
        If a library is missing; the text names the pip line.

    Notes
    -----
    **Reproducibility.** The files depend on the names and contents of the corpus's files, the
    tokenizer and the arguments; not on the order in which the files are given, the number of
    workers, the backend, the machine, or how often the build was interrupted.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.\nAnother one.\n\nA new document.\n")
    >>> manifest = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=16)
    >>> manifest.num_rows
    2

    """
    options = BuildOptions(
        text_format=text_format,
        text_field=text_field,
        id_field=id_field,
        on_bad_text=on_bad_text,
        sentence_splitting=sentence_splitting,
        word_separator=word_separator,
        vocab_size=_checked_vocab_size(vocab_size) if tokenizer is None else None,
        seq_length=_seq_length(seq_length, bins),
        bins=None if bins is None else tuple(bins),
        pairs=pairs,
        short_seq_prob=short_seq_prob,
        pack=pack,
        mask=MaskConfig() if mask is None else mask,
        mask_epochs=mask_epochs,
        dupe_factor=dupe_factor,
        schema=schema,
        layout=layout,
        file_format=file_format,
    )
    if not os.fspath(out):
        raise RecordsError("out: an empty path; name the folder to make")
    if is_remote(os.fspath(out)):
        raise RecordsError(
            f"{out}: records are built in a local folder; pass one, and copy it there"
        )
    checked = None if workers is None else _checks.integer(_WORKERS, workers)
    for library in ("tokenizers", "jinja2"):
        require(library)  # now, and not after an hour of work
    return run_build(
        BuildRequest(
            **_prepared(corpus, tokenizer, options, num_shards)._asdict(),
            folder=Path(out),
            workers=checked,
            overwrite=overwrite,
            verify=verify,
            on_progress=on_progress,
        )
    )


def plan(
    corpus: PathLike | Sequence[PathLike],
    *,
    tokenizer: PathLike | None = None,
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    num_shards: int | None = None,
    **options: Any,
) -> Estimate:
    r"""Say what `build` would do, from a sample of the corpus; nothing is written.

    Parameters
    ----------
    corpus, tokenizer, vocab_size, num_shards : as for `build`
    **options
        Those arguments of `build` that records depend on, from `text_format` to `file_format`.

    Returns
    -------
    Estimate
        Shards, and about how many documents, tokens, rows and bytes; exact where the corpus is
        smaller than the sample of 1 MiB.

    Raises
    ------
    RecordsError, TypeError, ValueError, ImportError
        As `build` does for the same arguments, as far as the sample shows.

    Notes
    -----
    **Reproducibility.** Shards are those of `build`. The figures depend on what its files depend on,
    and on nothing else: the sample is taken from up to 16 files, evenly chosen in the order of their
    names, from places all over large files of plain text and from the beginnings of others.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.\nAnother one.\n\nA new document.\n")
    >>> found = maskcore.records.plan(folder / "a.txt", seq_length=16)
    >>> found.num_units, found.documents, found.rows
    (1, 2, 2)

    """
    options["seq_length"] = _seq_length(options.get("seq_length"), options.get("bins"))
    chosen = BuildOptions(
        vocab_size=_checked_vocab_size(vocab_size) if tokenizer is None else None, **options
    )
    return estimate(*_prepared(corpus, tokenizer, chosen, num_shards))


def _seq_length(seq_length: int | None, bins: Sequence[int] | None) -> int:
    """Return the length of rows, or of the longest, refusing one that `bins` would override."""
    if not bins:
        return DEFAULT_SEQ_LENGTH if seq_length is None else seq_length
    if seq_length not in {None, max(bins)}:
        raise value_error(
            "seq_length",
            f"left out, or {max(bins)}, the longest of bins",
            seq_length,
            "rows are as long as bins say",
        )
    return max(bins)


def _checked_vocab_size(vocab_size: int) -> int:
    check_vocab_size(vocab_size)
    return vocab_size


class _Prepared(NamedTuple):
    """What the arguments name, found and checked."""

    plan: Plan
    inputs: list[InputFile]
    tokeniser: Tokeniser | None


def _prepared(
    corpus: PathLike | Sequence[PathLike],
    tokenizer: PathLike | None,
    options: BuildOptions,
    num_shards: int | None,
) -> _Prepared:
    inputs = find_inputs(corpus, text_format=options.text_format)
    check_fields(inputs, text_field=options.text_field, id_field=options.id_field)
    tokeniser = None if tokenizer is None else load_tokeniser(tokenizer, options.word_separator)
    sha256 = None if tokeniser is None else tokeniser.sha256
    made = make_plan(inputs, options, tokenizer_sha256=sha256, num_shards=num_shards)
    return _Prepared(made, inputs, tokeniser)
