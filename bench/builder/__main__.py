# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.builder`: builds beside their tokeniser alone and beside BERT's script, and the targets.

Owns the questions, the order of the runs and the table. Works are done in turn, round after round,
so that a machine that slows down slows all of them; figures are medians.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import libraries, machine, tables
from bench.builder import corpus, timing
from maskcore import records

SEQ_LENGTH = 128
VOCAB_SIZE = 30_522
BERT_STYLE_BYTES = 400_000  # its cost grows with the text, and it is slow
NUM_EPOCHS = 10
# A worker takes half a second to start and to meet its first words, whatever follows: of 100 MB that is
# a quarter of its time, and two workers over one tell of that.
LARGE_BYTES = 1_000_000_000
KINDS = {"wordpiece": 1.0, "byte-bpe": 1.3, "unigram": 1.3}


@dataclass(frozen=True)
class Work:
    """One thing that is timed."""

    name: str
    what: str
    num_cores: int
    arguments: dict[str, Any]
    num_bytes: int
    """Of its text."""


@dataclass
class Figures:
    """What the rounds gave."""

    works: dict[str, Work]
    costs: dict[str, list[timing.Cost]] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """Return the median of a work's rounds."""
        return statistics.median(cost.seconds for cost in self.costs[name])

    def megabytes_per_core_second(self, name: str) -> float:
        """Return how much text a core gets through."""
        work = self.works[name]
        return work.num_bytes / 1e6 / (self.seconds(name) * work.num_cores)


def train(text: Path, out: Path, kind: str) -> None:
    """Train a tokenizer.json; a unigram by Hugging Face, since ours is a SentencePiece model."""
    if kind != "unigram":
        records.train_tokenizer(text, out, kind=kind, vocab_size=VOCAB_SIZE)
        return
    tokenizers = importlib.import_module("tokenizers")
    special = ["<unk>", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.normalizer = tokenizers.normalizers.NFKC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=special, unk_token=special[0], show_progress=False
    )
    tokenizer.train([str(text)], trainer)
    tokenizer.save(str(out))


def make_works(text: Path, folder: Path) -> list[Work]:
    """Train a tokeniser of each kind on the text, and say what is to be timed."""
    size = text.stat().st_size
    works = []
    options = {"seq_length": SEQ_LENGTH, "pairs": "sop"}
    for kind in KINDS:
        tokenizer = folder / f"{kind}.json"
        train(text, tokenizer, kind)
        named = {"corpus": str(text), "tokenizer": str(tokenizer)}
        for cores in (1, 2) if kind == "wordpiece" else (1,):
            works.append(Work(f"{kind} alone, {cores}", "encode_batch_fast", cores, named, size))
            out = {"out": str(folder / f"{kind}-{cores}"), "workers": cores}
            works.append(
                Work(f"{kind} build, {cores}", "build", cores, named | options | out, size)
            )
    large = folder / "large.txt"
    corpus.repeat_text(text, large, LARGE_BYTES)
    named = {"corpus": str(large), "tokenizer": str(folder / "wordpiece.json")}
    for cores in (1, 2):
        out = {"out": str(folder / f"large-{cores}"), "workers": cores}
        works.append(
            Work(f"large build, {cores}", "build", cores, named | options | out, LARGE_BYTES)
        )
    part = folder / "part.txt"
    part.write_bytes(text.read_bytes()[:BERT_STYLE_BYTES].rsplit(b"\n", 1)[0] + b"\n")
    named = {"corpus": str(part), "tokenizer": str(folder / "wordpiece.json")}
    script = named | {"out": str(folder / "script.tfrecord"), "dupe_factor": NUM_EPOCHS}
    works.append(Work("script", "bert_style", 1, script, part.stat().st_size))
    epochs = {
        "corpus": str(text),
        "tokenizer": str(folder / "wordpiece.json"),
        "out": str(folder / "epochs"),
        "seq_length": SEQ_LENGTH,
        "pairs": "nsp",
        "workers": 1,
        "mask_epochs": NUM_EPOCHS,
    }
    works.append(Work("build of 10 epochs", "build", 1, epochs, size))
    return works


def targets(figures: Figures) -> list[tuple[str, float, float, bool]]:
    """Return label, limit, what was measured, and whether the limit is a ceiling."""
    seconds = figures.seconds
    lines = [
        (
            f"text to verified records over `encode_batch_fast` alone, {kind}, one core",
            limit,
            seconds(f"{kind} build, 1") / seconds(f"{kind} alone, 1"),
            True,
        )
        for kind, limit in KINDS.items()
    ]
    lines += [
        (
            "the same, wordpiece, two cores",
            1.0,
            seconds("wordpiece build, 2") / seconds("wordpiece alone, 2"),
            True,
        ),
        (
            f"two workers over one, {LARGE_BYTES / 1e6:.0f} MB",
            1.7,
            seconds("large build, 1") / seconds("large build, 2"),
            False,
        ),
        (
            "text per core-second, 10 mask epochs over the script at dupe factor 10",
            25.0,
            figures.megabytes_per_core_second("build of 10 epochs")
            / figures.megabytes_per_core_second("script"),
            False,
        ),
    ]
    return lines


def _table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> tables.Table:
    return tables.Table(title, header, rows)


def figures_table(figures: Figures) -> tables.Table:
    """Return every work with its seconds, rate and memory."""
    rows = []
    for name in figures.works:
        costs = figures.costs[name]
        peak = max(cost.peak_bytes for cost in costs) / 1e6
        rate = figures.megabytes_per_core_second(name)
        rows.append(
            (
                name,
                tables.significant(figures.seconds(name)),
                tables.significant(rate),
                f"{costs[0].items:,}",
                f"{peak:,.0f}",
            )
        )
    header = ("work, cores", "seconds", "MB of text a core-second", "tokens or rows", "peak MB")
    return _table("Builds", header, rows)


def targets_table(figures: Figures) -> tables.Table:
    """Return every target with what was measured."""
    rows = []
    for label, limit, measured, is_ceiling in targets(figures):
        met = measured <= limit if is_ceiling else measured >= limit
        bound = "at most" if is_ceiling else "at least"
        rows.append(
            (
                label,
                f"{bound} {limit:g}",
                tables.significant(measured),
                tables.significant(measured / limit),
                "met" if met else "missed",
            )
        )
    header = ("target", "limit", "measured", "measured / limit", "")
    return _table("Targets", header, rows)


def machine_line(text: Path, rounds: int) -> str:
    """Return what the figures depend on."""
    versions = [f"{name} {libraries.version(name)}" for name in ("tokenizers", "numpy")]
    return (
        f"{machine.processor()}, Python {platform.python_version()}, {', '.join(versions)}; "
        f"{text.stat().st_size / 1e6:.1f} MB of text, rows of {SEQ_LENGTH}; medians of {rounds} rounds."
    )


def memory_rows(text: Path, folder: Path, sizes_mb: list[int]) -> list[tuple[str, ...]]:
    """Build texts of several sizes with two workers; return size, peak memory and seconds."""
    rows = []
    for megabytes in sizes_mb:
        large = folder / "large.txt"
        corpus.repeat_text(text, large, megabytes * 1_000_000)
        out = folder / "large"
        cost = timing.run(
            "build",
            num_cores=2,
            corpus=str(large),
            out=str(out),
            tokenizer=str(folder / "wordpiece.json"),
            seq_length=SEQ_LENGTH,
            pairs="sop",
            workers=2,
        )
        rate = large.stat().st_size / 1e6 / cost.seconds
        rows.append(
            (
                f"{megabytes:,} MB",
                f"{cost.peak_bytes / 1e6:,.0f}",
                tables.significant(cost.seconds),
                tables.significant(rate),
            )
        )
    return rows


def main(given: list[str] | None = None) -> int:
    """Measure, print, and fill the blocks of files."""
    parser = argparse.ArgumentParser(prog="python -m bench.builder", description=__doc__)
    parser.add_argument(
        "--corpus", type=Path, help="a text file or a folder of HTML pages (default: the demo's)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory", type=int, nargs="*", metavar="MB", help="build texts of these sizes instead"
    )
    parser.add_argument("--json", type=Path, help="write every cost here")
    parser.add_argument(
        "--update", type=Path, nargs="+", default=[], metavar="FILE", help="fill their blocks"
    )
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "corpus.txt"
        corpus.write_text(arguments.corpus, text)
        if arguments.memory is not None:
            records.train_tokenizer(text, folder / "wordpiece.json", kind="wordpiece")
            rows = memory_rows(text, folder, arguments.memory)
            header = ("text", "peak MB, two workers", "seconds", "MB/s")
            tables.print_table(_table("Memory", header, rows))
            return 0
        figures = _measure(make_works(text, folder), arguments.rounds)
        measured_on = machine_line(text, arguments.rounds)
    print(measured_on)
    shown: list[Callable[[Figures], tables.Table]] = [figures_table, targets_table]
    for table in shown:
        tables.print_table(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures.costs, indent=1))
    body = "\n\n".join([measured_on, *(tables.to_markdown(table(figures)) for table in shown)])
    for path in arguments.update:
        text_before = path.read_text(encoding="utf-8")
        filled = tables.fill_block(text_before, "builder-bench", body)
        path.write_text(filled, encoding="utf-8")
    return 0


def _measure(works: list[Work], rounds: int) -> Figures:
    figures = Figures({work.name: work for work in works})
    for _ in range(rounds):
        for work in works:
            cost = timing.run(work.what, num_cores=work.num_cores, **work.arguments)
            figures.costs.setdefault(work.name, []).append(cost)
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
