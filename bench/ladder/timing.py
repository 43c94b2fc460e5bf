# SPDX-License-Identifier: Apache-2.0
"""How pipelines are timed: in turn, round after round, each from an iterator that goes on where it was.

Owns the clock and the figures. A pipeline is checked, which also fills its cache, before it is timed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.ladder import memory
from bench.ladder.equality import Expected
from bench.ladder.pipelines import (
    BATCH_SIZE,
    MASKERS,
    RUNGS,
    WHILE_LOOP,
    Folders,
    Rung,
    pipeline,
)

TIMED_SECONDS = 0.25
STEP_SECONDS = 0.005
"""Of a train step on an accelerator, in which the processor is free: 51,200 rows/s."""
STEPS = 40
# Rows of a file: epochs of a second or less, which must be read once before a cache serves.
ROWS_PER_FILE = {"loop": 32, "one by one": 512, "batched": 4096}
LOOP_ROUNDS = 1  # it is slow, and hundreds of times slower than the others whatever the noise
LONGEST_SETTLING_SECONDS = 2.0


@dataclass
class Figures:
    """What the rounds gave; by the number of a rung in RUNGS."""

    rows_per_second: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    waiting: dict[int, list[float]] = field(default_factory=dict)
    """Shares of the time beside train steps, masks by the custom op."""
    bytes_per_row: dict[int, float] = field(default_factory=dict)
    """Memory held for a cached row, of rungs that cache."""
    machine: str = ""
    """What the figures depend on."""
    loads: list[float] = field(default_factory=list)
    """Of the machine when each run began."""

    def median(self, masker: str, rung: int) -> float | None:
        """Return rows a second, or None where the pair was not measured."""
        values = self.rows_per_second.get(masker, {}).get(rung)
        return statistics.median(values) if values else None

    def median_waiting(self, rung: int) -> float | None:
        """Return the share of waiting, or None where it was not measured."""
        return statistics.median(self.waiting[rung]) if rung in self.waiting else None

    def to_json(self) -> str:
        """Return all figures."""
        return json.dumps(asdict(self), indent=1)

    def add_json(self, text: str) -> None:
        """Add what `to_json` wrote, as more rounds."""
        read = json.loads(text)
        for masker, found in read["rows_per_second"].items():
            _extend(self.rows_per_second.setdefault(masker, {}), found)
        _extend(self.waiting, read["waiting"])
        self.bytes_per_row |= {int(rung): held for rung, held in read["bytes_per_row"].items()}
        self.machine = read["machine"]
        self.loads += read["loads"]


def _extend(rounds: dict[int, list[float]], found: dict[str, list[float]]) -> None:
    """Add rounds of rungs, whose numbers JSON has made texts."""
    for rung, values in found.items():
        rounds.setdefault(int(rung), []).extend(values)


def measure(root: Path, rounds: int, say: Callable[[str], None]) -> Figures:
    """Check every pipeline, and time them."""
    figures = Figures(loads=[os.getloadavg()[0]])
    iterators: dict[tuple[str, int], Iterator[Any]] = {}
    for number, rung in enumerate(RUNGS):
        for masker in MASKERS:
            if masker == WHILE_LOOP and rung.is_ours:
                continue
            say(f"{rung.name} by {masker}: checked")
            iterators[masker, number] = _checked(root, rung, masker)
            _settle()
    for turn in range(rounds):
        for (masker, number), iterator in iterators.items():
            if masker == WHILE_LOOP and turn >= LOOP_ROUNDS:
                continue
            say(f"round {turn + 1} of {rounds}: {RUNGS[number].name} by {masker}")
            rates = figures.rows_per_second.setdefault(masker, {}).setdefault(number, [])
            rates.append(_rows_per_second(iterator))
            _settle()
            if masker == MASKERS[-1]:
                figures.waiting.setdefault(number, []).append(_share_of_waiting(iterator))
                _settle()
    say("memory of caches")
    figures.bytes_per_row = _bytes_per_row(root)
    say("")
    return figures


def _checked(root: Path, rung: Rung, masker: str) -> Iterator[Any]:
    size = "loop" if masker == WHILE_LOOP else "batched" if rung.batches_first else "one by one"
    folders = Folders(root, ROWS_PER_FILE[size])
    expected = Expected(folders.of(rung.layout))
    iterator: Iterator[Any] = iter(pipeline(folders, rung, masker))
    if masker == WHILE_LOOP:
        expected.check_budgets(iterator)
    else:
        expected.check_epoch(iterator)
    return iterator


def _settle() -> None:
    """Wait until threads in the background have filled their buffers, which would take from the next one's time."""
    until = time.perf_counter() + LONGEST_SETTLING_SECONDS
    while time.perf_counter() < until:
        start, busy = time.perf_counter(), time.process_time()
        time.sleep(0.02)
        if time.process_time() - busy < 0.1 * (time.perf_counter() - start):
            return


def _rows_per_second(iterator: Iterator[Any]) -> float:
    """Take batches as fast as they come; those that were made while nobody waited are not counted."""
    _take(iterator, TIMED_SECONDS / 2)
    batches, seconds = _take(iterator, TIMED_SECONDS)
    return batches * BATCH_SIZE / seconds


def _take(iterator: Iterator[Any], seconds: float) -> tuple[int, float]:
    start, batches = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        next(iterator)
        batches += 1
    return batches, elapsed


def _share_of_waiting(iterator: Iterator[Any]) -> float:
    """Return the share of time for which train steps wait for their batches."""
    _take(iterator, TIMED_SECONDS / 2)
    waited, start = 0.0, time.perf_counter()
    for _ in range(STEPS):
        asked = time.perf_counter()
        next(iterator)
        waited += time.perf_counter() - asked
        time.sleep(STEP_SECONDS)
    return waited / (time.perf_counter() - start)


def _bytes_per_row(root: Path) -> dict[int, float]:
    """Return the memory that each caching rung takes in an epoch, of processes of their own."""
    processes = {}
    folders = Folders(root, memory.ROWS_PER_FILE)
    for number, rung in enumerate(RUNGS):
        if rung.caches:
            folders.of(rung.layout)  # written here, once for all processes
            command = [sys.executable, "-m", "bench.ladder.memory", str(root), str(number)]
            processes[number] = subprocess.Popen(
                command, env=os.environ, stdout=subprocess.PIPE, text=True
            )
    return {number: float(_output(process)) for number, process in processes.items()}


def _output(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return output.splitlines()[-1]
