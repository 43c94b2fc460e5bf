# SPDX-License-Identifier: Apache-2.0
"""Worker processes: what is handed out comes back once, and every end of a worker is noticed."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from maskcore.records import RecordsError
from maskcore.records.engine.pool import InProcess, Pool, WorkerDiedError


class Squarer:
    """Squares numbers, and does what some of them stand for."""

    def __call__(self, task, report):
        if task == "raise":
            raise RecordsError("a.txt: bad; correct it")
        if task == "raise strange":
            raise StrangeError("one", "two")
        if task == "raise stay":
            raise StayingError(os.getpid())
        if task == "exit":
            os._exit(7)
        if task == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "nameless signal":
            os.kill(os.getpid(), signal.SIGRTMIN + 1)
        if task == "print":
            print("this is no answer")  # noqa: T201 - a library might
            os.write(1, b"nor this")
            return os.environ["TOKENIZERS_PARALLELISM"]
        if task == "pid":
            time.sleep(0.2)
            return os.getpid()
        with report.step("rows"):
            report.add(rows=1, tokens=task)
        return task * task


class StrangeError(Exception):
    """Cannot be made from its message alone, as pickle tries."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class StayingError(Exception):
    """Can be made again in the process where it was raised, and in no other."""

    def __init__(self, pid):
        super().__init__(pid)
        if os.getpid() != pid:
            raise TypeError(f"belongs to process {pid}")


POOLS = [InProcess(Squarer), Pool(Squarer, 1), Pool(Squarer, 3)]
pools = pytest.mark.parametrize("pool", POOLS, ids=["in process", "one", "three"])


@pools
@pytest.mark.parametrize("num_tasks", [0, 1, 2, 40])
def test_all_tasks_are_done_once_and_reported(pool, num_tasks):
    counts = Counter()
    with pool:
        results = dict(pool.run(range(num_tasks), counts.update))
        assert dict(pool.run([100], counts.update)) == {100: 10_000}
    assert results == {n: n * n for n in range(num_tasks)}
    assert counts["rows"] == num_tasks + 1
    assert counts["tokens"] == sum(range(num_tasks)) + 100
    assert counts.keys() <= {"rows", "tokens", "seconds.rows"}


@pools
def test_what_a_worker_raises_is_raised_here(pool):
    with pool, pytest.raises(RecordsError, match=r"^a\.txt: bad; correct it$") as caught:
        list(pool.run([1, "raise"], Counter().update))
    assert isinstance(pool, InProcess) or "in __call__" in str(caught.value.__cause__)
    with pool, pytest.raises(Exception, match="one and two"):
        list(pool.run(["raise strange"], Counter().update))


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_worker_that_dies_is_an_error_of_one_line(num_workers):
    with Pool(Squarer, num_workers) as pool, pytest.raises(WorkerDiedError) as caught:
        list(pool.run([1, 2, 3, "kill", *range(20)], Counter().update))
    assert "was killed by SIGKILL, as the system does where memory runs out; " in str(caught.value)
    with (
        Pool(Squarer, num_workers) as pool,
        pytest.raises(WorkerDiedError, match="ended with code 7"),
    ):
        list(pool.run(["exit"], Counter().update))
    if hasattr(signal, "SIGRTMIN"):
        name = f"was killed by signal {signal.SIGRTMIN + 1}"
        with Pool(Squarer, num_workers) as pool, pytest.raises(WorkerDiedError, match=name):
            list(pool.run(["nameless signal"], Counter().update))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("run the same command again to resume")


def test_an_answer_that_cannot_be_read_is_an_error():
    """The thread that read it ended, and the build waited for ever."""
    with (
        Pool(Squarer, 1) as pool,
        pytest.raises(RuntimeError, match=r"cannot be read here: TypeError\('belongs to process"),
    ):
        list(pool.run(["raise stay"], Counter().update))


def test_what_workers_print_is_no_answer(capfd):
    with Pool(Squarer, 1) as pool:
        assert list(pool.run(["print"], Counter().update)) == [("print", "false")]
    assert capfd.readouterr() == ("", "")


def test_workers_are_processes_of_their_own():
    with Pool(Squarer, 2) as pool:
        pids = [pid for _, pid in pool.run(["pid", "pid"], Counter().update)]
    assert len({os.getpid(), *pids}) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_pool_that_cannot_start_leaves_no_workers(monkeypatch):
    """Those that had started went on waiting, and with them the lock of the folder."""
    started = []
    real = subprocess.Popen

    def popen(*arguments, **options):
        if len(started) == 2:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(OSError, match="temporarily unavailable"), Pool(Squarer, 3):
        pass
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


def test_what_import_passes_over_in_its_path_is_passed_over(monkeypatch):
    """A `pathlib.Path` in `sys.path` has no JSON."""
    monkeypatch.setattr(sys, "path", [Path("a"), *sys.path])
    with Pool(Squarer, 1) as pool:
        assert list(pool.run([3], Counter().update)) == [(3, 9)]


def test_this_process_keeps_its_environment(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    with InProcess(Squarer) as pool:
        assert next(iter(pool.run(["print"], Counter().update))) == ("print", "false")
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    assert "RAYON_NUM_THREADS" not in os.environ
