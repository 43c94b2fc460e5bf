# SPDX-License-Identifier: Apache-2.0
"""Reading: one task's files or slices into runs of documents, and its commit point.

    spill/000012.json      the commit point of task 12: its runs, the hash of each slice, its counts
    spill/all.json         the same for all tasks, when the corpus is read
    spill/runs.json        its runs alone, which is all that units need

Owns these files and the hashes of inputs. Knows nothing of tokens, and of buckets only that
`spill` divides into them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskcore._numbers import count_of
from maskcore.records._errors import RecordsError
from maskcore.records.engine.folder import BuildFolder, read_json, write_file
from maskcore.records.engine.plan import Plan, ReadSlice, ReadTask
from maskcore.records.engine.pool import Reporter
from maskcore.records.engine.spill import RunEntry, SpillWriter
from maskcore.records.reading.documents import ReadCounts, read_documents
from maskcore.records.reading.inputs import InputFile
from maskcore.records.reading.storage import is_remote, open_stored

__all__ = [
    "ReadResult",
    "changed_inputs",
    "input_hashes",
    "no_rows",
    "no_text",
    "read_result",
    "read_runs",
    "read_task",
    "whole_result",
]

_HASHED_AT_ONCE = 1 << 20
_DOCUMENTS_AT_ONCE = 64
_ALL = "all.json"
_RUNS = "runs.json"


@dataclass(slots=True)
class ReadResult:
    """What one or all reading tasks gave."""

    runs: list[RunEntry]
    slices: list[tuple[int, int, int | None, str | None]]
    """Index of the input, start, stop, SHA-256 of the bytes; None for a remote file."""
    counts: ReadCounts

    def to_json(self) -> str:
        """Return the content of a commit point."""
        fields = {
            "runs": [run._asdict() for run in self.runs],
            "slices": self.slices,
            "counts": self.counts.to_json(),
        }
        return json.dumps(fields) + "\n"

    @classmethod
    def from_file(cls, path: Path) -> ReadResult | None:
        """Return what a commit point says, None where there is none."""
        fields = read_json(path)
        if fields is None:
            return None
        return cls(
            [RunEntry(**run) for run in fields["runs"]],
            [tuple(part) for part in fields["slices"]],
            ReadCounts.from_json(fields["counts"]),
        )


def _commit_point(folder: BuildFolder, task: int) -> Path:
    return folder.spill / f"{task:06d}.json"


def read_task(
    plan: Plan,
    task: ReadTask,
    files: Mapping[int, InputFile],
    folder: BuildFolder,
    report: Reporter,
) -> None:
    """Write the runs of one task, then its commit point; `files` are those of its slices.

    Raises
    ------
    RecordsError
        For text that cannot be read, and for a file that is not the one of the plan any more.

    """
    counts = ReadCounts()
    slices = []
    spill = SpillWriter(folder.spill, task.number, plan.num_buckets, plan.seed)
    options = plan.options.read_options
    for part in task.slices:
        file = files[part.input]
        documents = read_documents(file, options, counts, part.start, part.stop)
        is_done = False
        while not is_done:
            bytes_before = counts.bytes_read
            with report.step("reading"):
                taken = 0
                for document in documents:
                    spill.add(document, part.input)
                    taken += 1
                    if taken == _DOCUMENTS_AT_ONCE:
                        break
                is_done = taken < _DOCUMENTS_AT_ONCE
            report.add(bytes=counts.bytes_read - bytes_before, documents=taken)
        with report.step("reading"):
            slices.append((*part, hash_slice(file, part)))
    with report.step("reading"):
        spill.flush()
        content = ReadResult(spill.runs, slices, counts).to_json()
        write_file(_commit_point(folder, task.number), content)


def hash_slice(file: InputFile, part: ReadSlice) -> str | None:
    """Return the SHA-256 of a slice's bytes; None for a remote file, which is not fetched twice."""
    if is_remote(file.path):
        return None
    digest = hashlib.sha256()
    left = (file.size_bytes if part.stop is None else part.stop) - part.start
    with open_stored(file) as stream:
        stream.seek(part.start)
        while left and (content := stream.read(min(left, _HASHED_AT_ONCE))):
            digest.update(content)
            left -= len(content)
    return digest.hexdigest()


def read_result(folder: BuildFolder, task: int) -> ReadResult | None:
    """Return what a task gave; None if it is not finished, or a run is not whole."""
    result = ReadResult.from_file(_commit_point(folder, task))
    if result is None or not all(_is_whole(folder.spill / run.file, run) for run in result.runs):
        return None
    return result


def _is_whole(path: Path, run: RunEntry) -> bool:
    return path.is_file() and path.stat().st_size == run.bytes


def whole_result(plan: Plan, folder: BuildFolder) -> ReadResult | None:
    """Return what all tasks gave together, None if any is not finished."""
    found = ReadResult.from_file(folder.spill / _ALL)
    if found is not None:
        return found
    whole = ReadResult([], [], ReadCounts())
    for task in plan.read_tasks():
        result = read_result(folder, task.number)
        if result is None:
            return None
        whole.runs += result.runs
        whole.slices += result.slices
        whole.counts = whole.counts.merge(result.counts)
    write_file(folder.spill / _RUNS, json.dumps([run._asdict() for run in whole.runs]) + "\n")
    write_file(folder.spill / _ALL, whole.to_json())
    return whole


def read_runs(folder: BuildFolder) -> list[RunEntry]:
    """Return the runs of all tasks, when `whole_result` has seen that all are finished."""
    content = (folder.spill / _RUNS).read_text(encoding="utf-8")
    return [RunEntry(**run) for run in json.loads(content)]


def input_hashes(plan: Plan, result: ReadResult) -> list[str | None]:
    """Return the hash of each input's content.

    The SHA-256 of a file that is read in one; of one that is read in slices, the SHA-256 of the
    digests of its slices, which follow from its size alone.
    """
    of_input: list[list[str]] = [[] for _ in plan.inputs]
    for index, _, _, digest in sorted(result.slices, key=lambda part: part[:2]):
        if digest is not None:
            of_input[index].append(digest)
    return [_joined(digests) for digests in of_input]


def _joined(digests: list[str]) -> str | None:
    if len(digests) <= 1:
        return digests[0] if digests else None
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def changed_inputs(
    plan: Plan, folder: BuildFolder, inputs: Sequence[InputFile], signatures: dict[str, Any]
) -> list[str]:
    """Return the names of inputs that are not what finished tasks have read.

    `signatures` are those of the files when they were read. Content is compared where a signature
    differs, so that a file that was copied or touched is still the same.
    """
    suspects = {
        index for index, file in enumerate(inputs) if signatures.get(file.name) != file.signature
    }
    changed = set()
    for task in plan.read_tasks() if suspects else ():
        if suspects.isdisjoint(part.input for part in task.slices):
            continue
        result = read_result(folder, task.number)
        for index, start, stop, digest in result.slices if result else ():
            if index in suspects:
                found = hash_slice(inputs[index], ReadSlice(index, start, stop))
                if found is None or found != digest:
                    changed.add(inputs[index].name)
    return sorted(changed)


def no_text(names: Sequence[str]) -> RecordsError:
    """Return the error for a corpus without text."""
    return RecordsError(f"{_some(names)}: no text in the corpus; pass files with sentences in them")


def no_rows(names: Sequence[str], num_skipped: int) -> RecordsError:
    """Return the error for a corpus that gives no rows, though it may have tokens."""
    if num_skipped == 0:
        return no_text(names)
    return RecordsError(
        f"{_some(names)}: no rows, as no document has two tokens to make a pair of "
        f"({count_of(num_skipped, 'token')} skipped); pass more text, or pairs (--pairs) none"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" and more" if len(names) > 3 else "")
