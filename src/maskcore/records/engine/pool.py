# SPDX-License-Identifier: Apache-2.0
"""Worker processes: tasks out, results and progress back, every exit noticed.

Owns how workers start, end and fail. A worker is a fresh interpreter that talks through its own two
pipes: unlike those of `concurrent.futures` it does not run the user's main module again, shares no
lock that a killed neighbour could hold, and ends when its parent does, however that ended. Ctrl-C
is the parent's affair. Knows nothing of what tasks are.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, Protocol

from maskcore.records._errors import RecordsError

__all__ = ["InProcess", "Pool", "Reporter", "Worker", "WorkerDiedError", "usable_cores"]

# Ten a second: a display gains nothing from more.
SECONDS_BETWEEN_REPORTS = 0.1
# One thread a worker: its cores are taken by the other workers.
ONE_THREAD = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from maskcore.records.engine.pool import serve; serve()"
)
_REMEDY = "what is finished is kept: run the same command again to resume"


class WorkerDiedError(RecordsError):
    """A worker process ended before its task."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Reporter:
    """Sums up what was done and sends it on, at most ten times a second."""

    def __init__(self, send: Callable[[Counter[str]], None]) -> None:
        self._send = send
        self._pending: Counter[str] = Counter()
        self._sent_at = time.monotonic()

    def add(self, **counts: int) -> None:
        """Count bytes, documents, tokens or rows."""
        self._pending.update(counts)
        if time.monotonic() - self._sent_at >= SECONDS_BETWEEN_REPORTS:
            self.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the seconds of a step, counted as `seconds.<name>` in microseconds."""
        started = time.perf_counter_ns()
        try:
            yield
        finally:
            self._pending[f"seconds.{name}"] += (time.perf_counter_ns() - started) // 1000

    def flush(self) -> None:
        """Send what has not been sent."""
        self._sent_at = time.monotonic()
        if self._pending:
            pending, self._pending = self._pending, Counter()
            self._send(pending)


class Worker(Protocol):
    """What does the tasks; made once in each process."""

    def __call__(self, task: Any, report: Reporter) -> Any:
        """Do one task and return its result."""


class InProcess:
    """A pool of one: this process."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker
        self._worker: Worker | None = None

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._worker = None

    def run(
        self, tasks: Iterable[Any], on_report: Callable[[Counter[str]], None]
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each task with its result."""
        with _environment(ONE_THREAD):
            if self._worker is None:
                self._worker = self._make_worker()
            for task in tasks:
                report = Reporter(on_report)
                result = self._worker(task, report)
                report.flush()
                yield task, result


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _TracebackOfWorkerError(Exception):
    """The traceback in the worker, as text; the cause of the error that is raised here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class Pool:
    """Processes that do tasks.

    Parameters
    ----------
    make_worker : function without arguments that can be pickled
        Called once in each process.
    num_workers : int >= 1
    keep_open : sequence of file descriptors
        Inherited by the workers.
    is_threaded : bool
        Whether libraries may use several threads in a worker.

    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        num_workers: int,
        *,
        keep_open: Iterable[int] = (),
        is_threaded: bool = False,
    ) -> None:
        self._messages: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stderr: list[BinaryIO] = []
        self._threads: list[threading.Thread] = []
        self._keep_open = tuple(keep_open)
        self._make_worker = pickle.dumps(make_worker)
        self._num_workers = num_workers
        self._environment = {**os.environ, **({} if is_threaded else ONE_THREAD)}

    def __enter__(self) -> Pool:
        # All at once, and before there is work for each: they take half a second to start.
        try:
            for _ in range(self._num_workers):
                self._start()
        except BaseException:  # those that have started would wait, and hold what they inherited
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            process.kill()  # idle, or at work on what will be done again: nothing is half written
        for process in self._processes:
            process.wait()
        for thread in self._threads:
            thread.join()
        for process, stderr in zip(self._processes, self._stderr, strict=True):
            with suppress(OSError):  # the rest of a task that nobody reads any more
                process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            stderr.close()
        self._processes, self._stderr, self._threads = [], [], []
        self._messages = queue.SimpleQueue()

    def _start(self) -> None:
        number = len(self._processes)
        folders = [entry for entry in sys.path if isinstance(entry, str)]  # as `import` sees it
        with ExitStack() as stack:
            stderr = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(folders)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self._environment,
                pass_fds=self._keep_open,
            )
            stack.pop_all()  # it is closed with the pool
        self._stderr.append(stderr)
        self._processes.append(process)
        thread = threading.Thread(target=self._listen, args=(number, process), daemon=True)
        self._threads.append(thread)
        thread.start()
        self._send(number, self._make_worker)

    def _listen(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Queue what a worker says, and its end."""
        with process.stdout as stream:  # type: ignore[union-attr]  # it is a pipe
            while True:
                try:
                    kind, content = pickle.load(stream)
                except (EOFError, pickle.UnpicklingError, OSError):
                    break  # killed, perhaps within a message
                except Exception as error:  # whatever a foreign class raises when it is made again
                    problem = f"an answer of process {process.pid} cannot be read here: {error!r}"
                    self._messages.put((number, "failed", (RuntimeError(problem), "")))
                    break
                self._messages.put((number, kind, content))
        self._messages.put((number, "exit", process.wait()))

    def _send(self, number: int, message: bytes) -> None:
        stream = self._processes[number].stdin
        with suppress(BrokenPipeError):  # its exit is on the way
            stream.write(message)  # type: ignore[union-attr]  # it is a pipe
            stream.flush()  # type: ignore[union-attr]

    def run(
        self, tasks: Iterable[Any], on_report: Callable[[Counter[str]], None]
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each task with its result, in the order in which they end.

        Raises
        ------
        WorkerDiedError
            If a worker died.
        Exception
            What a worker raised.

        """
        waiting = iter(tasks)
        at_work: dict[int, Any] = {}
        for number in range(self._num_workers):
            if not self._hand_out(number, waiting, at_work):
                break
        while at_work:
            number, kind, content = self._messages.get()
            if kind == "report":
                on_report(content)
            elif kind == "done":
                task = at_work.pop(number)
                self._hand_out(number, waiting, at_work)
                yield task, content
            elif kind == "failed":
                error, text = content
                raise error from _TracebackOfWorkerError(text)
            else:
                raise self._death(number, content)

    def _hand_out(self, number: int, waiting: Iterator[Any], at_work: dict[int, Any]) -> bool:
        for task in waiting:
            at_work[number] = task
            self._send(number, pickle.dumps(task))
            return True
        return False

    def _death(self, number: int, code: int) -> WorkerDiedError:
        process, stderr = self._processes[number], self._stderr[number]
        stderr.seek(0)
        said = stderr.read().decode("utf-8", "replace").strip().splitlines()
        how = f"ended with code {code}"
        if code < 0:
            how = f"was killed by {_signal_name(-code)}"
            if -code == signal.SIGKILL:
                how += ", as the system does where memory runs out"
        last = f" ({said[-1]})" if said else ""
        return WorkerDiedError(f"worker process {process.pid} {how}{last}; {_REMEDY}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def serve() -> None:
    """Do tasks until the parent is gone; the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    tasks = sys.stdin.buffer
    make_worker = pickle.load(tasks)
    threading.Thread(target=_receive, args=(tasks, inbox), daemon=True).start()

    def answer(kind: str, content: Any) -> None:
        try:
            answers.write(pickle.dumps((kind, content)))
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone

    worker = None
    while True:
        task = inbox.get()
        try:
            if worker is None:
                worker = make_worker()
            report = Reporter(lambda counts: answer("report", counts))
            result = worker(task, report)
            report.flush()
        except BaseException as error:  # handed to the parent, which raises it
            answer("failed", (_portable(error), traceback.format_exc()))
        else:
            answer("done", result)


def _receive(tasks: BinaryIO, inbox: queue.SimpleQueue[Any]) -> None:
    """Queue tasks; end the process, whatever it is doing, when the parent is gone."""
    try:
        while True:
            inbox.put(pickle.load(tasks))
    except (EOFError, pickle.UnpicklingError, OSError):
        os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """Return the error in a form that survives the way to the parent."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception as problem:  # whatever a foreign class raises
        return RuntimeError(f"{type(error).__name__}: {error} (sent as text: {problem})")
    return RuntimeError(f"{type(error).__name__}: {error}")
