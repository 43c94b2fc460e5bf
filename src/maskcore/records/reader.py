# SPDX-License-Identifier: Apache-2.0
"""Reading records as numpy arrays, every checksum verified, and the masks of their rows.

Owns `open`. Knows nothing of how records are made, nor of their bytes: encoders.py gives columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import maskcore
from maskcore import _checks
from maskcore.errors import value_error
from maskcore.masking import MaskedIndices
from maskcore.records._errors import RecordsError
from maskcore.records.encoding.encoders import Encoder, make_encoder
from maskcore.records.encoding.schema import (
    MASKED_LM_COUNTS,
    MASKED_LM_POSITIONS,
    MASKED_LM_WEIGHTS,
    STATIC_EPOCH,
    Columns,
    RowFormat,
    derive_indices,
    derive_spans,
    derive_tokens,
    row_format,
)
from maskcore.records.manifest import Manifest, ShardEntry, read_manifest
from maskcore.tokens import MaskedTokens, PredictionTokens

__all__ = [
    "Records",
    "check_algorithm_version",
    "encoder_of",
    "open_records",
    "size_problem",
    "unlike_manifest",
]

_BATCH_SIZE = _checks.IntegerRange(
    "batch_size", 1, 2**31, "in [1, 2**31)", "pass the number of rows to hold at a time"
)
_START = _checks.IntegerRange("start", 0, 2**63, "in [0, 2**63)", "pass the number of a row")
_STOP = _checks.IntegerRange("stop", 0, 2**63, "in [0, 2**63)", "None reads to the end")
# Numbers in a column of a batch of single rows: 1 MB, in five columns or so.
_VALUES_AT_ONCE = 1 << 17


def encoder_of(manifest: Manifest, bin_length: int) -> Encoder:
    """Return what reads the files of a bin.

    Raises
    ------
    RecordsError
        If the manifest states other features than this maskcore reads.

    """
    tokenizer = manifest.tokenizer
    encoder = make_encoder(
        row_format(manifest, bin_length, tokenizer.vocab_size, tokenizer.special_tokens)
    )
    stated = manifest.features.get(bin_length)
    if stated != encoder.features:
        raise RecordsError(
            f"MANIFEST.json: features of rows of {bin_length} are {stated}, this maskcore reads "
            f"{encoder.features}; use the maskcore that wrote it ({manifest.maskcore_version})"
        )
    return encoder


class Records:
    """The rows of a folder, in the order of its files.

    Iterating gives one row at a time: name -> int64 array (float32 for `masked_lm_weights`); rows of
    several bins have different lengths. The names are those of docs/records.md, whatever the layout.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._encoders = {length: encoder_of(manifest, length) for length in manifest.bins}

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.manifest.num_rows

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        rows_at_once = max(1, _VALUES_AT_ONCE // self.manifest.seq_length)
        for columns in self.batches(rows_at_once):
            for row in range(len(columns["input_ids"])):
                yield {name: column[row] for name, column in columns.items()}

    def files(self, seq_length: int | None = None) -> list[str]:
        """Return the files' paths, for `tf.data.TFRecordDataset` and its like.

        Parameters
        ----------
        seq_length : int, optional
            Only those with rows of this length, which is one of `manifest.bins`.

        """
        return [str(self.folder / shard.file) for shard in self._shards(seq_length)]

    def _shards(self, seq_length: int | None) -> list[ShardEntry]:
        bins = self.manifest.bins
        if seq_length is not None and seq_length not in bins:
            raise value_error(
                "seq_length",
                f"one of {', '.join(map(str, bins))}",
                seq_length,
                "None takes all rows",
            )
        shards = self.manifest.shards
        return [shard for shard in shards if seq_length in (None, shard.bin_length)]

    def batches(
        self,
        batch_size: int,
        seq_length: int | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Return an iterator over rows as columns.

        Parameters
        ----------
        batch_size : int in [1, 2**31)
            Rows in a batch; the first and the last batch of a file may have fewer.
        seq_length : int, optional
            Only rows of this length, which is one of `manifest.bins`. Otherwise batches of different
            lengths follow one another.
        start, stop : int >= 0, optional
            Only the rows from number `start` on and before number `stop`, counted through the files of
            `files(seq_length)`. Files that hold none of them are not opened; of others, what
            lies before `start` is read and left out.

        Returns
        -------
        iterator of dict
            Name -> int64 array (float32 for `masked_lm_weights`), shape (rows, values).

        Raises
        ------
        RecordsError
            While iterating, for a damaged record; the text names file, record and byte.

        """
        batch_size = _checks.integer(_BATCH_SIZE, batch_size)
        start = _checks.integer(_START, start)
        stop = None if stop is None else _checks.integer(_STOP, stop)
        return self._batches(batch_size, self._shards(seq_length), start, stop)

    def _batches(
        self, batch_size: int, shards: list[ShardEntry], start: int, stop: int | None
    ) -> Iterator[dict[str, NDArray[Any]]]:
        rows_before = 0
        for shard in shards:
            first = max(start - rows_before, 0)
            end = shard.records if stop is None else min(stop - rows_before, shard.records)
            rows_before += shard.records
            if first < end or (first == 0 and stop is None):
                yield from self._rows_of(shard, batch_size, first, end)

    def _rows_of(
        self, shard: ShardEntry, batch_size: int, start: int, stop: int
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the rows `start` to `stop` of a file."""
        path = self.folder / shard.file
        num_records = 0
        for columns, first in self._encoders[shard.bin_length].read(path, batch_size):
            num_records = first + len(columns["input_ids"])
            if start <= first and num_records <= stop:
                yield columns
            elif start < num_records and first < stop:
                wanted = slice(max(start - first, 0), stop - first)
                yield {name: column[wanted] for name, column in columns.items()}
            if stop <= num_records and stop < shard.records:
                return
        if num_records != shard.records:
            raise RecordsError(
                f"{path}: {num_records} records, the manifest says {shard.records}; build the "
                "records again"
            )

    def masks(self, columns: Columns, epoch: ArrayLike = 0) -> MaskedIndices:
        """Return the masks of a batch in an epoch, from the manifest and the rows' ids.

        Parameters
        ----------
        columns : a batch of `batches`
        epoch : int in [0, 2**31), or int array of one for each row

        Returns
        -------
        MaskedIndices
            Positions int32 and weights float32, shape (rows, P): P is `max_predictions` of the
            manifest, in shorter bins what a full row needs.

        Raises
        ------
        RecordsError
            If the records were made for another version of the masking algorithm, or hold their
            masks only (schema "bert").

        Notes
        -----
        **Reproducibility.** The masks depend on the manifest, the row and the epoch only; in the
        epochs that are stored they are the stored ones.

        """
        return derive_indices(self._form(columns).mask, columns, epoch)

    def spans(self, columns: Columns, epoch: ArrayLike = 0) -> NDArray[np.int32]:
        """Return the same masks as span numbers, shape (rows, seq_length); 0: not masked."""
        return derive_spans(self._form(columns).mask, columns, epoch)

    def mask_tokens(
        self,
        columns: Columns,
        epoch: ArrayLike = 0,
        *,
        output: str = "labels",
        replacement: Sequence[float] = (0.8, 0.1, 0.1),
        ignore_index: int = -100,
        seed: int | None = None,
    ) -> MaskedTokens | PredictionTokens:
        """Return the masked ids of a batch in an epoch, with what is to be predicted.

        They are what `maskcore.mask_tokens` gives for the rows with the manifest's masks, its tokenizer's
        [MASK], and all ids but the special ones to draw from.

        Parameters
        ----------
        columns : a batch of `batches`, or some of its rows
        epoch : int in [0, 2**31), or int array of one for each row
        output, replacement, ignore_index
            As in `maskcore.mask_tokens`.
        seed : int in [0, 2**63), optional
            Other masks than those of the manifest's seed.

        Returns
        -------
        MaskedTokens or PredictionTokens
            Ids in the dtype of ``columns["input_ids"]``; P is that of `masks`.

        Raises
        ------
        RecordsError
            As `masks`.

        Notes
        -----
        **Reproducibility.** As `masks`; `tfshim.masked_dataset` gives the same ids.

        """
        return derive_tokens(
            self._form(columns),
            columns,
            epoch,
            output=output,
            replacement=replacement,
            ignore_index=ignore_index,
            **({} if seed is None else {"seed": seed}),
        )

    def _form(self, columns: Columns) -> RowFormat:
        """Return the form of a batch, which says how its masks are drawn; raise where that cannot be known."""
        if self.manifest.schema == "bert":
            raise RecordsError(
                f"{self.folder}: rows of schema 'bert' are masked already; use stored_masks(columns, 0)"
            )
        check_algorithm_version(self.manifest, self.folder)
        return self._encoders[columns["input_ids"].shape[1]].form

    def stored_masks(self, columns: Columns, epoch: int) -> MaskedIndices:
        """Return the masks that the records hold for an epoch, in the form of `masks`.

        Rows of schema "bert" hold one mask, that of epoch 0.

        Raises
        ------
        ValueError
            If the epoch is not stored.

        """
        is_static = self.manifest.schema == "bert"
        stored = STATIC_EPOCH + 1 if is_static else self.manifest.mask_epochs
        if not 0 <= epoch < stored:
            raise ValueError(
                f"epoch must be in [0, {stored}), the epochs stored in {self.folder}, got "
                f"{epoch}; derive it with masks()"
            )
        if is_static:
            positions = columns[MASKED_LM_POSITIONS]
            return MaskedIndices(positions.astype(np.int32), columns[MASKED_LM_WEIGHTS])
        counts = columns[MASKED_LM_COUNTS][:, epoch]
        positions = columns[MASKED_LM_POSITIONS].reshape(len(counts), stored, -1)[:, epoch]
        weights = np.arange(positions.shape[1]) < counts[:, None]
        return MaskedIndices(positions.astype(np.int32), weights.astype(np.float32))


def open_records(folder: str | os.PathLike[str]) -> Records:
    """Open a folder that `build` made.

    Parameters
    ----------
    folder : path
        It holds MANIFEST.json; its shards must be there with the sizes that the manifest states.

    Returns
    -------
    Records
        Iterates rows as numpy arrays.

    Raises
    ------
    RecordsError
        If the folder is no finished build, or a shard is missing or of another size.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.")
    >>> _ = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=8)
    >>> [row["attention_mask"].tolist() for row in maskcore.records.open(folder / "records")]
    [[1, 1, 1, 1, 1, 0, 0, 0]]

    """
    path = Path(folder)
    manifest = read_manifest(path)
    for shard in manifest.shards:
        problem = size_problem(path, shard)
        if problem:
            raise RecordsError(problem)
    return Records(path, manifest)


def size_problem(folder: Path, shard: ShardEntry) -> str | None:
    """Say what is wrong with a shard as far as it can be seen without reading it; None: nothing."""
    file = folder / shard.file
    return unlike_manifest(file, file.stat().st_size if file.is_file() else None, shard)


def unlike_manifest(
    file: str | os.PathLike[str], size: int | None, shard: ShardEntry
) -> str | None:
    """Say what is wrong with a file of `size` bytes, None where there is none; None: nothing."""
    if size is None:
        return f"{file}: missing, the manifest lists it; copy the whole folder, or build again"
    if size != shard.bytes:
        return (
            f"{file}: {size} bytes, the manifest says {shard.bytes}; copy it again, or build the "
            "records again"
        )
    return None


def check_algorithm_version(manifest: Manifest, folder: str | os.PathLike[str]) -> None:
    """Raise where masks cannot be derived as the records' builder meant them.

    Raises
    ------
    RecordsError
        The text names the folder, both versions and the ways out.

    """
    made_for = manifest.algorithm_version
    if made_for != maskcore.ALGORITHM_VERSION:
        raise RecordsError(
            f"{folder}: made for version {made_for} of the masking algorithm, this "
            f"maskcore has {maskcore.ALGORITHM_VERSION}; use the maskcore that made it "
            f"({manifest.maskcore_version}), its stored masks, or build again"
        )
