# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.profile_pipeline [RECORDS]`: where `masked_dataset` spends its time, by tf.data's model and TensorFlow's trace.

Owns the loop that a profiler looks at, and how what TensorFlow recorded is added up. Without --trace it only reads, as
long as --seconds says, for profilers that watch from outside. Knows no names of operations: it prints those that it finds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench import libraries, record_folder, tables

os.environ.update(libraries.QUIET)  # before TensorFlow is imported

import tensorflow as tf

import tfshim

NUM_FILES = 8
ROWS_PER_FILE = 4096
WARM_UP_BATCHES = 100
TRACED_BATCHES = 200
OPERATION = re.compile(r"[^: ]+:(?P<type>[\w>]+)")  # NODE:TYPE, as a running graph names its steps
XLA_PROGRAM = "CpuExecutable::Execute"  # how events of XLA's processor programs begin
LEAST_SHARE = 0.005


class Event(NamedTuple):
    """Something that a thread did."""

    name: str
    thread: str
    start_us: float
    duration_us: float


def read_for(iterator: Iterator[Any], seconds: float, batch_size: int) -> float:
    """Take batches; return rows a second."""
    start, batches = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        next(iterator)
        batches += 1
    return batches * batch_size / elapsed


def model_table(iterator: Any) -> tables.Table:
    """Return what tf.data itself knows of the stages of an iterator, by which it tunes them."""
    nodes = tf.data.experimental.get_model_proto(iterator).nodes
    batches = max(1, nodes[1].num_elements)
    shown: Counter[str] = Counter()
    tuned: dict[str, str] = {}
    for node in nodes.values():
        shown[node.name] += node.processing_time  # nanoseconds
        values = (f"{one.name} {one.value:g}" for one in node.parameters if one.tunable)
        tuned[node.name] = ", ".join(values) or tuned.get(node.name, "")
    total = shown.total()
    rows = [
        (name, f"{time_ns / batches / 1e3:.0f}", f"{100 * time_ns / total:.0f} %", tuned[name])
        for name, time_ns in shown.most_common()
        if time_ns >= LEAST_SHARE * total
    ]
    return tables.Table("tf.data's model", ("stage", "us a batch", "share", "tuned to"), rows)


def trace(iterator: Iterator[Any], folder: Path) -> Path:
    """Record some batches; return the file that TensorFlow wrote."""
    tf.profiler.experimental.start(str(folder))
    for step in range(TRACED_BATCHES):
        with tf.profiler.experimental.Trace("input", step_num=step, _r=1):
            next(iterator)
    tf.profiler.experimental.stop()
    return max(folder.glob("plugins/profile/*/*.xplane.pb"), key=os.path.getmtime)


def read_events(file: Path) -> list[Event]:
    """Return what the threads of a trace did."""
    # No public name; TensorBoard's plugin imports it from here, too.
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    return [
        Event(
            plane.event_metadata[event.metadata_id].name,
            f"{line.name or line.id}",
            line.timestamp_ns / 1e3 + event.offset_ps / 1e6,
            event.duration_ps / 1e6,
        )
        for plane in XSpace.FromString(file.read_bytes()).planes
        for line in plane.lines
        for event in line.events
    ]


def operations_table(events: list[Event]) -> tables.Table:
    """Return the operations of the graph, those that took longest first."""
    times: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        found = OPERATION.fullmatch(event.name)
        name = "a program of XLA" if event.name.startswith(XLA_PROGRAM) else found and found["type"]
        if name:
            times[name] += event.duration_us
            calls[name] += 1
    total = sum(times.values())
    rows = [
        (name, f"{calls[name]:,}", f"{us / calls[name]:,.1f}", f"{100 * us / total:.1f} %")
        for name, us in times.most_common()
        if us >= LEAST_SHARE * total
    ]
    header = ("operation", "calls", "us a call", "share of all operations")
    return tables.Table("Operations", header, rows)


def write_chrome_trace(events: list[Event], file: Path) -> None:
    """Write the events for https://ui.perfetto.dev and chrome://tracing."""
    threads = {name: number for number, name in enumerate(sorted({e.thread for e in events}))}
    named: list[dict[str, Any]] = [
        {"ph": "M", "pid": 0, "tid": number, "name": "thread_name", "args": {"name": name}}
        for name, number in threads.items()
    ]
    spans: list[dict[str, Any]] = [
        {
            "ph": "X",
            "pid": 0,
            "tid": threads[event.thread],
            "name": event.name,
            "ts": event.start_us,
            "dur": event.duration_us,
        }
        for event in events
    ]
    with gzip.open(file, "wt", encoding="utf-8") as stream:
        json.dump({"traceEvents": named + spans}, stream)


def main(given: list[str] | None = None) -> int:
    """Read, and print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_pipeline", description=__doc__)
    parser.add_argument("records", nargs="?", type=Path, help="a folder (default: made-up rows)")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--layout", default="compact", help="of the made-up rows: compact, int64")
    parser.add_argument("--implementation", help="which one masks, such as xla")
    parser.add_argument("--trace", type=Path, metavar="FOLDER", help="write a trace here")
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="only tell what is in a trace: *.xplane.pb"
    )
    arguments = parser.parse_args(given)
    if arguments.read:
        tables.print_table(operations_table(read_events(arguments.read)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.records or record_folder.write(
            Path(name), arguments.layout, NUM_FILES, ROWS_PER_FILE
        )
        size = arguments.batch_size
        dataset = tfshim.masked_dataset(folder, size, implementation=arguments.implementation)
        iterator = iter(dataset)
        for _ in range(WARM_UP_BATCHES):
            next(iterator)
        rate = read_for(iterator, arguments.seconds, size)
        print(f"{tables.significant(rate)} rows/s")
        tables.print_table(model_table(iterator))
        if arguments.trace:
            file = trace(iterator, arguments.trace)
            events = read_events(file)
            tables.print_table(operations_table(events))
            write_chrome_trace(events, arguments.trace / "trace.json.gz")
            print(f"\nwrote {file} and {arguments.trace / 'trace.json.gz'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
