# SPDX-License-Identifier: Apache-2.0
"""Reading records as numpy arrays, every checksum verified, and the masks of their rows.

Owns `open`. Knows nothing of how records are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

import maskcore
from maskcore.masking import MaskedIndices
from maskcore.records._errors import RecordsError
from maskcore.records.example import ExampleLayout
from maskcore.records.manifest import Manifest, read_manifest
from maskcore.records.schema import (
    MASKED_LM_COUNTS,
    MASKED_LM_POSITIONS,
    Columns,
    derive_indices,
    derive_spans,
)
from maskcore.records.tfrecord import decode_records, read_records

__all__ = ["Records", "open_records"]

Ints = NDArray[np.int64]


class Records:
    """The rows of a folder, in the order of its shards.

    Iterating gives one row at a time: feature name -> int64 array of the length in
    `manifest.features` of its bin.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._layout = ExampleLayout(
            {name: entry.length for name, entry in manifest.features[manifest.seq_length].items()}
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.manifest.num_rows

    def __iter__(self) -> Iterator[dict[str, Ints]]:
        for columns in self.batches(1024):
            for row in range(len(columns["row_id"])):
                yield {name: column[row] for name, column in columns.items()}

    @property
    def files(self) -> list[str]:
        """The shards' paths, for `tf.data.TFRecordDataset` and its like."""
        return [str(self.folder / shard.file) for shard in self.manifest.shards]

    def batches(self, batch_size: int) -> Iterator[dict[str, Ints]]:
        """Yield rows as columns: feature name -> int64 array, shape (rows, length).

        Parameters
        ----------
        batch_size : int >= 1
            Rows in a batch; the last batch of a shard may have fewer.

        Raises
        ------
        RecordsError
            For a damaged record; the text names file, record and byte.

        """
        for shard in self.manifest.shards:
            path = self.folder / shard.file
            num_records = 0
            for records, stops, first in read_records(path, batch_size):
                try:
                    columns = decode_records(self._layout, records, stops)
                except RecordsError as error:
                    raise RecordsError(
                        f"{path}: in the batch that begins at record {first}, {error}; build the "
                        "records again"
                    ) from None
                num_records += len(stops)
                yield columns
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
            Positions int32 and weights float32, shape (rows, max_predictions).

        Raises
        ------
        RecordsError
            If the records were made for another version of the masking algorithm.

        Notes
        -----
        **Reproducibility.** The masks depend on the manifest, the row and the epoch only; in the
        epochs that are stored they are the stored ones.

        """
        self._check_algorithm()
        return derive_indices(self.manifest.mask, columns, epoch)

    def spans(self, columns: Columns, epoch: ArrayLike = 0) -> NDArray[np.int32]:
        """Return the same masks as span numbers, shape (rows, seq_length); 0: not masked."""
        self._check_algorithm()
        return derive_spans(self.manifest.mask, columns, epoch)

    def stored_masks(self, columns: Columns, epoch: int) -> MaskedIndices:
        """Return the masks that the records hold for an epoch, in the form of `masks`.

        Raises
        ------
        ValueError
            If the epoch is not stored.

        """
        stored = self.manifest.mask_epochs
        if not 0 <= epoch < stored:
            raise ValueError(
                f"epoch must be in [0, {stored}), the epochs stored in {self.folder}, got "
                f"{epoch}; derive it with masks()"
            )
        counts = columns[MASKED_LM_COUNTS][:, epoch]
        positions = columns[MASKED_LM_POSITIONS].reshape(len(counts), stored, -1)[:, epoch]
        weights = np.arange(positions.shape[1]) < counts[:, None]
        return MaskedIndices(positions.astype(np.int32), weights.astype(np.float32))

    def _check_algorithm(self) -> None:
        made_for = self.manifest.algorithm_version
        if made_for != maskcore.ALGORITHM_VERSION:
            raise RecordsError(
                f"{self.folder}: made for version {made_for} of the masking algorithm, this "
                "maskcore has "
                f"{maskcore.ALGORITHM_VERSION}; use the maskcore that made it "
                f"({self.manifest.maskcore_version}), "
                "its stored masks, or build again"
            )


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
        file = path / shard.file
        if not file.is_file():
            raise RecordsError(
                f"{file}: missing, the manifest lists it; copy the whole folder, or build again"
            )
        size = file.stat().st_size
        if size != shard.bytes:
            raise RecordsError(
                f"{file}: {size} bytes, the manifest says {shard.bytes}; copy it again, or build "
                "the records again"
            )
    return Records(path, manifest)
