# SPDX-License-Identifier: Apache-2.0
"""The figures of a run: their names, their labels, and how they are read from the JSON.

Owns the list of figures, so that one that is not there is told as missing. Knows nothing of
limits, tables or terminals.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import IN_TURN, MEASURES, ROWS_PER_CALL

ROW_LENGTHS = (64, 128, 512, 4096, 65_536)


@dataclass(frozen=True)
class Figure:
    """One thing that is timed."""

    name: str
    label: str
    packages: tuple[str, ...] = ()
    """Import names of what it needs; see `bench.libraries.DISTRIBUTIONS`."""


OURS = (
    Figure("native-avx512", "`mask_positions`, native, AVX-512"),
    Figure("native-avx2", "`mask_positions`, native, AVX2"),
    Figure("native-scalar", "`mask_positions`, native, scalar"),
    Figure("native-out", "`mask_positions`, native, into a given array"),
    Figure("native-words", "`mask_positions`, native, whole words"),
    Figure("mask-tokens-range", "`mask_tokens`, native, int32 ids, random ids as a range"),
    Figure("mask-tokens-table", "`mask_tokens`, native, int32 ids, random ids as a table"),
    Figure("mask-tokens-positions", "`mask_tokens`, native, positions of fixed size"),
    Figure("numba", "`mask_positions`, Numba", ("numba",)),
    Figure("reference", "`mask_positions`, reference in plain Python"),
    Figure("single-call", "`mask_positions`, one call with one row"),
    Figure("single-call-tokens", "`mask_tokens`, one call with one row"),
)
PEERS = (
    Figure(
        "torch-mask-tokens-4096",
        "transformers `torch_mask_tokens`, batch 4,096",
        ("torch", "transformers"),
    ),
    Figure(
        "torch-mask-tokens-256",
        "transformers `torch_mask_tokens`, batch 256",
        ("torch", "transformers"),
    ),
    Figure("collator-np", "transformers collator, NumPy, batch 64", ("torch", "transformers")),
    Figure("collator-pt", "transformers collator, PyTorch, batch 64", ("torch", "transformers")),
    Figure(
        "tensorflow-text",
        "tensorflow-text `mask_language_model`, `tf.function`, batch 64",
        ("tensorflow", "tensorflow_text"),
    ),
    Figure(
        "keras-hub",
        "keras-hub `MaskedLMMaskGenerator`, `tf.function`, batch 64",
        ("tensorflow", "tensorflow_text", "keras_hub"),
    ),
    Figure("albert-style-numpy", "ALBERT-style Python, n-grams of words, as published"),
    Figure("albert-style-stdlib", "the same with cheaper draws of lengths"),
    Figure("while-loop-function", "n-grams by `tf.while_loop`, `tf.function`", ("tensorflow",)),
    Figure("while-loop-eager", "n-grams by `tf.while_loop`, eager", ("tensorflow",)),
)
LENGTHS = tuple(Figure(f"row-length-{n}", f"rows of {n:,} tokens") for n in ROW_LENGTHS)
THREADS = (
    Figure("threads-1", "(65,536, 128), one thread"),
    Figure("threads-2", "(65,536, 128), two threads"),
)
TENSORFLOW = (
    Figure("identity-eager", "raw Identity, eager, one row", ("tensorflow",)),
    Figure("classic-op-eager", "raw GetMaskingPosition, eager, one row", ("tensorflow",)),
    Figure("map-identity", "tf.data map of Identity over (256, 128)", ("tensorflow",)),
    Figure("map-masked", "tf.data map of the op over (256, 128)", ("tensorflow",)),
    Figure("map-kernel", "the kernel alone on (256, 128)"),
    Figure("map-identities", "tf.data map of two Identity over int32 (256, 128)", ("tensorflow",)),
    Figure("map-tokens", "tf.data map of `mask_tokens` over int32 (256, 128)", ("tensorflow",)),
    Figure("tokens-op-eager", "raw MaskTokens, eager, int32 (256, 128)", ("tensorflow",)),
    Figure("map-tokens-kernel", "`maskcore.mask_tokens` alone on int32 (256, 128)"),
)
_RECORD_WORKS = (
    ("records-written", "written to a file, with its SHA-256", ()),
    ("records-encoded", "encoded and framed in memory", ()),
    ("records-sha256", "its part in the SHA-256", ()),
    ("records-read", "read, verified and decoded", ()),
    ("records-written-numpy", "written by the numpy codec", ()),
    ("records-written-tensorflow", "written by TensorFlow, no SHA-256", ("tensorflow",)),
)
RECORDS = tuple(
    Figure(f"{name}-{length}", f"a record of {length} tokens {label}", packages)
    for name, label, packages in _RECORD_WORKS
    for length in (128, 512)
)
_PARSE_WORKS = (
    ("parse", "read and parsed in tf.data"),
    ("parse-alone", "parsed alone, in batches"),
    ("parse-single", "read and parsed in tf.data one at a time"),
)
PARSING = tuple(
    Figure(
        f"{name}-{layout}-{length}",
        f"a record of {length} tokens, {layout}, {label}",
        ("tensorflow",),
    )
    for name, label in _PARSE_WORKS
    for layout in ("int64", "compact")
    for length in (128, 512)
)
_TOKENISER_KINDS = (
    ("wordpiece", "WordPiece", ("tokenizers",)),
    ("byte-bpe", "byte-level BPE", ("tokenizers",)),
    ("unigram", "unigram as tokenizer.json", ("tokenizers", "sentencepiece")),
    ("sentencepiece", "SentencePiece unigram", ("tokenizers", "sentencepiece")),
)
TOKENISING = tuple(
    Figure(f"tokens-{kind}{suffix}", f"a token, {label}, {who}", packages)
    for kind, label, packages in _TOKENISER_KINDS
    for suffix, who in (("", "our tokeniser"), ("-peer", "`encode_batch_fast` alone"))
)
XLA = (
    Figure("xla-positions-128", "XLA, (256, 128), 20 masked", ("tensorflow",)),
    Figure("xla-words-128", "XLA, (256, 128), 20 masked, whole words", ("tensorflow",)),
    Figure("xla-tokens-128", "XLA, `mask_tokens`, (256, 128), 20 masked", ("tensorflow",)),
    Figure("xla-positions-512", "XLA, (256, 512), 77 masked", ("tensorflow",)),
    Figure("xla-words-512", "XLA, (256, 512), 77 masked, whole words", ("tensorflow",)),
    Figure("xla-tokens-512", "XLA, `mask_tokens`, (256, 512), 77 masked", ("tensorflow",)),
    Figure("xla-op-by-op", "the same operations without XLA, (256, 128)", ("tensorflow",)),
)
PIPELINES = tuple(
    Figure(f"pipeline-{name}-{layout}", f"a row, {layout}, {label}", ("tensorflow",))
    for name, label in (
        ("all-cores-masked", "`masked_dataset`, labels, all cores"),
        ("all-cores-unmasked", "`masked_dataset` without its masks, all cores"),
        ("masked", "`masked_dataset`, labels"),
        ("positions", "`masked_dataset`, positions"),
        ("numpy-function", "`masked_dataset` by numpy_function"),
        ("unmasked", "`masked_dataset` without its masks"),
        ("per-record", "masked, but parsed one record at a time"),
        ("while-loop", "masked by `tf.while_loop`"),
    )
    for layout in ("int64", "compact")
)
FIGURES = (
    OURS + PEERS + LENGTHS + THREADS + TENSORFLOW + RECORDS + PARSING + XLA + PIPELINES + TOKENISING
)


@dataclass(frozen=True)
class Timing:
    """Seconds for one row: the median of the rounds and their quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float
    rounds: int

    @property
    def spread(self) -> float:
        """Interquartile range over median."""
        return (self.upper_quartile - self.lower_quartile) / self.median


@dataclass(frozen=True)
class Run:
    """One run of the bench."""

    machine_info: dict[str, Any]
    date: str
    commit: str
    timings: dict[str, Timing]

    def why_missing(self, figure: Figure) -> str:
        """Return why a figure is not in the run."""
        versions = self.machine_info.get("packages", {})
        absent = [package for package in figure.packages if versions.get(package) is None]
        if absent:
            return f"missing: {', '.join(absent)} not installed"
        level = figure.name.removeprefix("native-")
        levels = self.machine_info.get("maskcore", {}).get("simd_levels", [])
        if level in ("avx512", "avx2", "scalar") and level not in levels:
            return "missing: the machine has no such level"
        return "missing: not in this run"


def read_run(path: Path) -> Run:
    """Read what `pytest bench --benchmark-json=PATH` wrote."""
    report = json.loads(path.read_text(encoding="utf-8"))
    timings = {}
    for benchmark in report["benchmarks"]:
        info, stats = benchmark["extra_info"], benchmark["stats"]
        if MEASURES not in info:
            continue
        rows = info[ROWS_PER_CALL]
        timings[info[MEASURES]] = Timing(
            stats["median"] / rows, stats["q1"] / rows, stats["q3"] / rows, stats["rounds"]
        )
        for name, seconds in info.get(IN_TURN, {}).items():
            low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
            timings[name] = Timing(median / rows, low / rows, high / rows, len(seconds))
    commit = report["commit_info"]
    return Run(
        report["machine_info"],
        report["datetime"][:16].replace("T", " "),
        f"{str(commit.get('id'))[:10]}{' and changes' if commit.get('dirty') else ''}",
        timings,
    )
