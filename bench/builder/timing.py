# SPDX-License-Identifier: Apache-2.0
"""How a build and its peers are timed: in processes of their own, with as many cores as they are given.

Owns the processes. Run as `python -m bench.builder.timing WHAT JSON`, it does one piece of work and
prints its seconds and the peak of its memory, children included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

BATCH_SENTENCES = 1000  # what `datasets.map(batched=True)` hands to a tokenizer


class Cost(NamedTuple):
    """What a piece of work took."""

    seconds: float
    peak_bytes: int
    """Resident memory of all its processes together, at its highest."""
    items: int
    """What it made: tokens, or rows."""


def run(what: str, *, num_cores: int, **arguments: Any) -> Cost:
    """Do a piece of work in a fresh process that may use `num_cores`."""
    cores = sorted(os.sched_getaffinity(0))[:num_cores]
    environment = os.environ | {
        "RAYON_NUM_THREADS": str(num_cores),
        "TOKENIZERS_PARALLELISM": "true" if num_cores > 1 else "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    process = subprocess.run(
        [sys.executable, "-m", "bench.builder.timing", what, json.dumps(arguments)],
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        stdout=subprocess.PIPE,
        check=True,
    )
    return Cost(*json.loads(process.stdout.splitlines()[-1]))


class _PeakMemory(threading.Thread):
    """Looks at the memory of this process and its children twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._stopped = threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self._stopped.wait(0.05):
            total = 0
            for member in (process, *process.children(recursive=True)):
                try:
                    total += member.memory_info().rss
                except psutil.NoSuchProcess:
                    continue  # it ended between the two calls
            self.peak_bytes = max(self.peak_bytes, total)

    def stop(self) -> int:
        self._stopped.set()
        self.join()
        return self.peak_bytes


def encode_batch_fast(corpus: str, tokenizer: str) -> tuple[float, int]:
    """Tokenise the lines of a text with Hugging Face tokenizers, and nothing else."""
    from tokenizers import Tokenizer

    lines = [line for line in Path(corpus).read_text(encoding="utf-8").split("\n") if line.strip()]
    encoder = Tokenizer.from_file(tokenizer)
    batches = [lines[i : i + BATCH_SENTENCES] for i in range(0, len(lines), BATCH_SENTENCES)]
    start = time.perf_counter()
    tokens = 0
    for batch in batches:
        tokens += sum(map(len, encoder.encode_batch_fast(batch, add_special_tokens=False)))
    return time.perf_counter() - start, tokens


def build(corpus: str, out: str, **options: Any) -> tuple[float, int]:
    """Make records of a text and verify them."""
    from maskcore import records

    start = time.perf_counter()
    manifest = records.build(corpus, out, verify=True, overwrite=True, **options)
    return time.perf_counter() - start, manifest.num_rows


def bert_style(corpus: str, out: str, tokenizer: str, **options: Any) -> tuple[float, int]:
    """Make records of a text with the published script's algorithm."""
    import tensorflow  # noqa: F401  # not what is measured
    from tokenizers import Tokenizer

    from bench.peers import bert_style as peer

    by_token = Tokenizer.from_file(tokenizer).get_vocab()
    vocabulary = dict(sorted(by_token.items(), key=lambda entry: entry[1]))
    start = time.perf_counter()
    rows = peer.build(Path(corpus), Path(out), vocabulary, **options)
    return time.perf_counter() - start, rows


WORKS = {work.__name__: work for work in (encode_batch_fast, build, bert_style)}

if __name__ == "__main__":
    memory = _PeakMemory()
    memory.start()
    seconds, items = WORKS[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps([seconds, memory.stop(), items]))
