# SPDX-License-Identifier: Apache-2.0
"""Verification of a folder: every checksum, count and shape, and what must hold of every row.

Owns what is looked at and how findings are worded: one line for each damaged file. Knows nothing of
how a row is stored (encoders.py) or what a row must be like (row_checks.py).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import maskcore
from maskcore import _checks
from maskcore.records._errors import RecordsError
from maskcore.records._progress import STEPS, OnProgress, Progress
from maskcore.records.encoding.tfrecord import read_records
from maskcore.records.engine.pool import InProcess, Pool, Reporter, usable_cores
from maskcore.records.manifest import Manifest, ShardEntry, read_manifest
from maskcore.records.reader import encoder_of, size_problem
from maskcore.records.verifying.folder_checks import folder_problems, folder_warnings
from maskcore.records.verifying.row_checks import row_problem
from maskcore.records.verifying.row_id_set import RowIdSet

__all__ = ["VerifyResult", "verify"]

# Numbers in a column of one batch: the arrays of a batch stay in a core's cache.
BATCH_VALUES = 1 << 16
# A process takes about half a second to start, in which another one checks this much.
BYTES_WORTH_A_WORKER = 32 << 20
MAX_DUPLICATES_TOLD = 5

_WORKERS = _checks.IntegerRange(
    "workers", 1, 1 << 16, "in [1, 65536)", "leave it out for as many as there are cores"
)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What `verify` found."""

    folder: Path
    files: int
    """Files of records that were looked at."""
    rows: int
    """Rows whose checksums and contents were checked."""
    bytes: int
    problems: tuple[str, ...]
    """One line for each damaged file and each other finding, in the order of the manifest."""
    warnings: tuple[str, ...]
    """One line for each thing that does the records no harm: a report that is gone, other files."""
    masks_checked: bool
    """Whether stored masks were derived anew, which needs the algorithm that they were drawn by."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


class _ShardFinding(NamedTuple):
    problem: str | None
    row_ids: NDArray[np.int64]


def verify(
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> VerifyResult:
    """Check every byte and every row of a folder that `build` made.

    Looked at are the sizes and SHA-256 of all files, the checksum of every record, the number of
    records, and the rows: ids within the vocabulary, special tokens and padding in their places,
    words that rise, labels, stored masks that are the derived ones, and row ids that occur once in
    the folder. The manifest and its report must be as they were written.

    Parameters
    ----------
    folder : path
    workers : int in [1, 65536), optional
        Processes; by default as many as there are cores, less for small folders.
    on_progress : function of a Progress, optional
        Called at most ten times a second; its stage is "verify".

    Returns
    -------
    VerifyResult
        Damage is told there, each damaged file in a line with the record and the byte.

    Raises
    ------
    RecordsError
        If there is no readable manifest, or it is of another format version.
    ValueError
        For `workers` out of range.

    Notes
    -----
    Memory stays below 400 MB for any number of rows, 100 MB for each worker apart: row ids go to
    temporary files where there are more than 16 million.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.")
    >>> _ = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=8)
    >>> result = maskcore.records.verify(folder / "records")
    >>> result.is_sound, result.rows
    (True, 1)

    """
    path = Path(folder)
    manifest = read_manifest(path)
    for length in manifest.bins:
        encoder_of(manifest, length)
    count = usable_cores() if workers is None else _checks.integer(_WORKERS, workers)
    if workers is None:
        count = min(
            count, 1 + sum(shard.bytes for shard in manifest.shards) // BYTES_WORTH_A_WORKER
        )
    findings: dict[int, str] = {}
    with RowIdSet() as row_ids:
        rows = 0
        for number, finding in _run(path, manifest, min(count, len(manifest.shards)), on_progress):
            if finding.problem:
                findings[number] = finding.problem
            rows += len(finding.row_ids)
            if manifest.schema != "bert":
                row_ids.add(finding.row_ids)
        duplicates = row_ids.duplicates(MAX_DUPLICATES_TOLD)
    return VerifyResult(
        folder=path,
        files=len(manifest.shards),
        rows=rows,
        bytes=sum(shard.bytes for shard in manifest.shards),
        problems=(
            *folder_problems(path, manifest),
            *(findings[number] for number in sorted(findings)),
            *_duplicate_problems(path, manifest, duplicates),
        ),
        warnings=tuple(folder_warnings(path, manifest)),
        masks_checked=manifest.algorithm_version == maskcore.ALGORITHM_VERSION,
    )


def _run(
    folder: Path, manifest: Manifest, workers: int, on_progress: OnProgress | None
) -> Iterator[tuple[int, _ShardFinding]]:
    """Check all shards and yield each one's number and finding."""
    tell = on_progress or (lambda progress: None)
    total_bytes = sum(shard.bytes for shard in manifest.shards)
    counts: Counter[str] = Counter()

    def report(more: Counter[str]) -> None:
        counts.update(more)
        seconds = dict.fromkeys(STEPS, 0.0)
        tell(
            Progress(
                stage="verify",
                bytes_done=counts["bytes"],
                bytes_total=total_bytes,
                documents=0,
                tokens=0,
                rows=counts["rows"],
                units_done=counts["units"],
                units_total=len(manifest.shards),
                seconds=seconds,
            )
        )

    make: Callable[[], _ShardChecker] = partial(_ShardChecker, folder)
    pool = InProcess(make) if workers <= 1 else Pool(make, workers)
    with pool:
        for number, finding in pool.run(range(len(manifest.shards)), report):
            report(Counter(units=1))
            yield number, finding


class _ShardChecker:
    """Checks shards in one process; made there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = read_manifest(folder)
        self._can_derive = self._manifest.algorithm_version == maskcore.ALGORITHM_VERSION

    def __call__(self, task: int, report: Reporter) -> _ShardFinding:
        """Check the shard of that number."""
        shard = self._manifest.shards[task]
        if not (self._folder / shard.file).is_file():
            return _ShardFinding(size_problem(self._folder, shard), np.empty(0, np.int64))
        row_ids: list[NDArray[np.int64]] = []
        problem = self._problem(shard, row_ids, report) or size_problem(self._folder, shard)
        return _ShardFinding(problem, np.concatenate([np.empty(0, np.int64), *row_ids]))

    def _problem(
        self, shard: ShardEntry, row_ids: list[NDArray[np.int64]], report: Reporter
    ) -> str | None:
        """Return what is wrong with a shard; `row_ids` gets those of the rows before."""
        path = self._folder / shard.file
        encoder = encoder_of(self._manifest, shard.bin_length)
        digest = hashlib.sha256()
        num_records = 0
        batch_size = max(1, BATCH_VALUES // shard.bin_length)
        try:
            for columns, first in encoder.read(path, batch_size, digest):
                found = row_problem(encoder.form, columns, derive_masks=self._can_derive)
                if found:
                    record = first + found.row
                    return f"{path}: record {record}{self._byte(path, record)}: {found.text}; {_DEFECT}"
                num_rows = len(columns["input_ids"])
                ids = columns.get("row_id", np.full((num_rows, 1), -1, np.int64))
                row_ids.append(ids.reshape(-1))
                num_records += num_rows
                report.add(
                    rows=num_rows, bytes=round(shard.bytes * num_rows / max(1, shard.records))
                )
        except RecordsError as error:
            return str(error)
        if num_records != shard.records:
            return (
                f"{path}: ends after record {num_records - 1} at byte {path.stat().st_size}, the "
                f"manifest says {shard.records} records; copy it again, or build the records again"
            )
        if digest.hexdigest() != shard.sha256:
            return (
                f"{path}: every record is sound, but the file's SHA-256 is {digest.hexdigest()}, the "
                f"manifest says {shard.sha256}; the file belongs to another build"
            )
        return None

    def _byte(self, path: Path, record: int) -> str:
        """Say where a record of a TFRecord file is."""
        if self._manifest.file_format != "tfrecord":
            return ""
        offset = 0
        for records, stops, first in read_records(path, 1024):
            if first + len(stops) > record:
                return (
                    f" at byte {offset + int(stops[record - first - 1] if record > first else 0)}"
                )
            offset += len(records)
        return ""


_DEFECT = "the file is no work of this maskcore, or of a defect in it"


def _duplicate_problems(
    folder: Path, manifest: Manifest, duplicates: NDArray[np.int64]
) -> Iterator[str]:
    """Yield a line for each row id that occurs more than once, with all its places."""
    if not len(duplicates):
        return
    places: dict[int, list[str]] = {int(row_id): [] for row_id in duplicates}
    for shard in manifest.shards:
        path = folder / shard.file
        encoder = encoder_of(manifest, shard.bin_length)
        try:
            for columns, first in encoder.read(path, max(1, BATCH_VALUES // shard.bin_length)):
                ids = columns["row_id"].reshape(-1)
                for row in np.flatnonzero(np.isin(ids, duplicates)).tolist():
                    places[int(ids[row])].append(f"{path}: record {first + row}")
        except (RecordsError, OSError):
            continue  # told before; the rows up to the damage were read
    for row_id, where in places.items():
        yield f"{'; '.join(where)}: one row_id, {row_id}, for {len(where)} rows; {_DEFECT}"
