# SPDX-License-Identifier: Apache-2.0
"""The local engine: read, train where needed, build the units, publish; resumable after any end.

Owns the order of the stages, what an earlier build left is good for, and the progress of the whole.
The work itself is in `scatter`, `unit` and `folder`, which other engines can use as well; the
records do not depend on this file.
"""

from __future__ import annotations

import errno
import functools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from maskcore.records._errors import RecordsError
from maskcore.records._progress import STEPS, OnProgress, Progress
from maskcore.records.engine.assemble import assemble
from maskcore.records.engine.folder import BuildFolder
from maskcore.records.engine.plan import Plan, ReadTask
from maskcore.records.engine.pool import (
    SECONDS_BETWEEN_REPORTS,
    InProcess,
    Pool,
    Reporter,
    WorkerDiedError,
    usable_cores,
)
from maskcore.records.engine.scatter import (
    ReadResult,
    changed_inputs,
    no_text,
    read_result,
    read_runs,
    read_task,
    whole_result,
)
from maskcore.records.engine.spill import RunEntry, SpillReader
from maskcore.records.engine.unit import run_unit, unit_result
from maskcore.records.engine.vocabulary import (
    store_tokeniser,
    stored_tokeniser,
    train_tokeniser,
    training_bytes,
)
from maskcore.records.manifest import Manifest, read_manifest
from maskcore.records.reading.inputs import InputFile
from maskcore.records.reading.storage import is_remote
from maskcore.records.tokenising.tokenise import Tokeniser
from maskcore.records.verifying.verify import verify

__all__ = ["BuildRequest", "run_build"]

# A process takes about half a second to start and to meet its first words, in which another one
# builds this much, or a quarter of it with a slow tokenizer.
BYTES_WORTH_A_WORKER = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build, where, and with how many processes."""

    plan: Plan
    inputs: Sequence[InputFile]
    """In the order of `plan.inputs`."""
    tokeniser: Tokeniser | None
    """None: one is trained."""
    folder: Path
    workers: int | None
    """None: as many as there are cores, or less for a small corpus."""
    overwrite: bool
    verify: bool
    """Look at the hashes of what an earlier run finished, and read everything back at the end."""
    on_progress: OnProgress | None


class _Meter:
    """Sums up what workers report, and tells it, at most ten times a second."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._tell = on_progress or (lambda progress: None)
        self._seconds: Counter[str] = Counter()
        self._told_at = 0.0
        self._stage, self._bytes_total, self._units_total = "read", 0, 0
        self._counts: Counter[str] = Counter()

    def begin(
        self, stage: str, bytes_total: int, units_total: int, done: Counter[str] | None = None
    ) -> None:
        """Begin a stage, and tell what an earlier run has done of it."""
        self._stage, self._bytes_total, self._units_total = stage, bytes_total, units_total
        self._counts = Counter(done)
        self.tell()

    def add(self, counts: Counter[str]) -> None:
        """Take in a report of a worker."""
        self._counts.update(counts)
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN_REPORTS:
            self.tell()

    def tell(self) -> None:
        """Call the user's function."""
        self._told_at = time.monotonic()
        for step in STEPS:
            self._seconds[step] += self._counts.pop(f"seconds.{step}", 0)
        counts = self._counts
        self._tell(
            Progress(
                self._stage,
                counts["bytes"],
                self._bytes_total,
                counts["documents"],
                counts["tokens"],
                counts["rows"],
                counts["units"],
                self._units_total,
                {step: self._seconds[step] / 1e6 for step in STEPS},
            )
        )


class _Read(NamedTuple):
    """The task to read a part of the corpus."""

    task: ReadTask
    files: dict[int, InputFile]
    """Those of its slices, by their index in the plan."""


class _Train(NamedTuple):
    """The task to train a tokenizer."""


class _MakeUnit(NamedTuple):
    """The task to make a shard."""

    unit: int


_Task = _Read | _Train | _MakeUnit


class BuildWorker:
    """Does the tasks of a build in one process; made there, with a plan that names no inputs."""

    def __init__(self, plan: Plan, folder: Path, tokeniser: Tokeniser | None = None) -> None:
        self._plan = plan
        self._folder = BuildFolder(folder)
        self._tokeniser = tokeniser
        self._runs: list[RunEntry] | None = None

    def __call__(self, task: _Task, report: Reporter) -> None:
        """Do one task."""
        plan, folder = self._plan, self._folder
        if isinstance(task, _Read):
            read_task(plan, task.task, task.files, folder, report)
            return
        if self._runs is None:
            self._runs = read_runs(folder)
        if isinstance(task, _Train):
            train_tokeniser(plan, self._runs, folder, report)
            return
        self._tokeniser = self._tokeniser or stored_tokeniser(plan, folder)
        if self._tokeniser is None:
            raise RuntimeError(f"unit {task.unit} began without a tokenizer")
        buckets = SpillReader(plan, self._runs, folder, plan.buckets_of(task.unit))
        run_unit(plan, task.unit, self._tokeniser, buckets.parts(), folder=folder, report=report)


def run_build(request: BuildRequest) -> Manifest:
    """Build, or go on with the build that an earlier process began.

    Raises
    ------
    RecordsError
        For a folder that must not be written to, a corpus that cannot be read, a worker that died and
        a full disk. What is finished is kept where the same command can resume it.
    KeyboardInterrupt
        As it came, when all workers have ended; the same command resumes.

    """
    target = BuildFolder(request.folder)
    target.check(request.overwrite, [Path(file.path) for file in request.inputs])
    with _readable_errors(request.folder), target.lock():
        target.check(request.overwrite, [])  # again: another build may have ended since
        if not (target.is_publishing and _finish_publishing(request, target)):
            _begin_or_resume(request, target)
            target.publish(_Build(request, target).run())
    if request.verify:
        _verify(request)
    return read_manifest(request.folder)


def _finish_publishing(request: BuildRequest, target: BuildFolder) -> bool:
    """Publish what an earlier process had finished; return whether it is what is asked for."""
    found = target.read_plan()
    is_same = found is None or not _differences(found, request, target)
    target.resume_publishing()
    if is_same and read_manifest(request.folder).plan_sha256 == request.plan.sha256:
        return True
    target.check(request.overwrite, [])
    return False


def _verify(request: BuildRequest) -> None:
    result = verify(request.folder, workers=request.workers, on_progress=request.on_progress)
    if not result.is_sound:
        more = f" (and {len(result.problems) - 1} more)" if len(result.problems) > 1 else ""
        raise RecordsError(
            f"{result.problems[0]}{more}; maskcore verify {request.folder} tells all"
        )


@contextmanager
def _readable_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise RecordsError(
            f"{folder}: no space left on the disk; what is finished is kept: free some and run the "
            "same command again to resume, or remove the folder"
        ) from error


def _begin_or_resume(request: BuildRequest, target: BuildFolder) -> None:
    """Leave `_build` with this plan and nothing that is not part of it."""
    signatures = {file.name: file.signature for file in request.inputs}
    content = {"plan": request.plan.to_json(), "signatures": signatures}
    found = target.read_plan()
    if found is not None:
        differences = _differences(found, request, target)
        if not differences:
            target.sweep()
            if found["signatures"] != signatures:
                target.write_plan(content)
            return
        if not request.overwrite:
            raise RecordsError(
                f"{request.folder}: holds an unfinished build of something else: "
                f"{'; '.join(differences)}. Run what was run before to resume it, or pass "
                "--overwrite to begin anew"
            )
    target.begin(content)


def _differences(found: dict[str, Any], request: BuildRequest, target: BuildFolder) -> list[str]:
    try:
        plan, signatures = Plan.from_json(found["plan"]), found["signatures"]
    except (KeyError, TypeError, ValueError) as error:
        return [f"its plan is of another version of maskcore ({type(error).__name__}: {error})"]
    differences = plan.differences(request.plan)
    if not differences:
        changed = changed_inputs(plan, target, request.inputs, signatures)
        differences = [f"input {name} has changed since it was read" for name in changed]
    return differences


class _Build:
    """The stages of one build, each doing what is not done yet."""

    def __init__(self, request: BuildRequest, target: BuildFolder) -> None:
        self._request = request
        self._plan = request.plan
        self._target = target
        self._meter = _Meter(request.on_progress)
        self._make_worker = functools.partial(
            BuildWorker, replace(request.plan, inputs=()), request.folder
        )

    def run(self) -> list[str]:
        """Return the names of the files to publish."""
        plan, target = self._plan, self._target
        try:
            return self._run(plan, target)
        except BaseException:
            with suppress(OSError):  # the error at hand says more, and the next build sweeps
                target.sweep()  # after workers that were killed
            raise

    def _run(self, plan: Plan, target: BuildFolder) -> list[str]:
        try:
            with self._pool() as pool:
                read = self._read_all(pool)
                tokeniser = self._provide_tokeniser(read, pool)
                self._build_units(read, tokeniser, pool)
            return assemble(plan, read, tokeniser, target)
        except WorkerDiedError:
            raise
        except RecordsError:
            # The way out changes the corpus or the options, so there is nothing to resume; but a
            # server that did not answer may do so the next time.
            if not any(is_remote(file.path) for file in self._request.inputs):
                target.discard()
            raise

    def _num_workers(self) -> int:
        most = max(self._plan.num_shards, sum(1 for _ in self._plan.read_tasks()))
        if self._request.workers is not None:
            return min(self._request.workers, most)
        text_bytes = sum(file.estimated_text_bytes for file in self._request.inputs)
        return max(1, min(usable_cores(), most, text_bytes // BYTES_WORTH_A_WORKER))

    def _pool(self) -> InProcess | Pool:
        num_workers = self._num_workers()
        if num_workers == 1:
            return InProcess(
                functools.partial(self._make_worker, tokeniser=self._request.tokeniser)
            )
        return Pool(self._make_worker, num_workers, keep_open=(self._target.lock_descriptor,))

    def _do(self, pool: InProcess | Pool, tasks: Iterable[_Task]) -> None:
        for _ in pool.run(tasks, self._meter.add):
            self._meter.add(Counter(units=1))
        self._meter.tell()

    def _read_all(self, pool: InProcess | Pool) -> ReadResult:
        tasks = list(self._plan.read_tasks())
        waiting, done = [], Counter[str]()
        for task in tasks:
            result = read_result(self._target, task.number)
            if result is None:
                waiting.append(task)
            else:
                counts = result.counts
                done.update(bytes=counts.bytes_read, documents=counts.documents, units=1)
        self._meter.begin("read", sum(task.bytes for task in tasks), len(tasks), done)
        inputs = self._request.inputs
        self._do(
            pool,
            (
                _Read(task, {part.input: inputs[part.input] for part in task.slices})
                for task in waiting
            ),
        )
        read = whole_result(self._plan, self._target)
        if read is None:
            raise RuntimeError("the corpus is read, and a commit point is missing")
        return read

    def _provide_tokeniser(self, read: ReadResult, pool: InProcess | Pool) -> Tokeniser:
        tokeniser = stored_tokeniser(self._plan, self._target)
        if tokeniser is None and self._request.tokeniser is not None:
            tokeniser = self._request.tokeniser
            store_tokeniser(tokeniser, self._target)
        if tokeniser is None:
            if not read.runs:
                raise no_text([file.name for file in self._plan.inputs])
            self._meter.begin("train", training_bytes(read.runs), 1)
            self._train(pool)
            tokeniser = stored_tokeniser(self._plan, self._target)
        if tokeniser is None:
            raise RuntimeError("a tokenizer was stored and is not there")
        return tokeniser

    def _train(self, pool: InProcess | Pool) -> None:
        """Train in a process of its own, with all cores, whose memory is given back."""
        if isinstance(pool, InProcess):
            self._do(pool, [_Train()])
            return
        lock = self._target.lock_descriptor
        with Pool(self._make_worker, 1, keep_open=(lock,), is_threaded=True) as alone:
            self._do(alone, [_Train()])

    def _build_units(self, read: ReadResult, tokeniser: Tokeniser, pool: InProcess | Pool) -> None:
        waiting, done = [], Counter[str]()
        for unit in range(self._plan.num_shards):
            result = unit_result(
                self._target, unit, tokeniser.sha256, is_hashed=self._request.verify
            )
            if result is None:
                waiting.append(_MakeUnit(unit))
            else:
                done.update(result.progress())
        text_bytes = sum(run.text_bytes for run in read.runs)
        self._meter.begin("build", text_bytes, self._plan.num_shards, done)
        self._do(pool, waiting)
