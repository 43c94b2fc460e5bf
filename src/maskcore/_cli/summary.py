# SPDX-License-Identifier: Apache-2.0
"""What `maskcore build` says at its end: what was written, where, and what to type next.

Owns the wording of counts. Knows nothing of how records are made.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maskcore._cli.console import make_console
from maskcore._numbers import count_of, duration, percent, plural, short_count, size
from maskcore.records import Manifest
from maskcore.records._errors import require
from maskcore.records.engine.estimate import Estimate
from maskcore.records.engine.plan import BuildOptions
from maskcore.records.reporting.hints import hints

__all__ = ["print_facts", "print_plan", "print_summary"]

Fact = tuple[str, str]

# Count of the manifest -> of what, and what a user should know if it is not 0.
_NOTES = {
    "documents_skipped": ("document", "skipped for bad text"),
    "bytes_skipped": ("byte", "skipped for bad text"),
    "characters_replaced": ("character", "replaced for bad text"),
    "documents_cut": ("document", "cut into parts, being long"),
    "lines_cut": ("line", "cut, being long"),
    "documents_without_tokens": ("document", "without a token"),
    "sentences_without_tokens": ("sentence", "without a token"),
    "sentences_cut": ("sentence", "cut at a word, for want of room in a row"),
    "words_cut": ("word", "cut between two tokens, for want of room in a row"),
    "special_tokens_in_text": ("special token", "in the text, never masked"),
    "pairs_without_partner": ("row", "of real neighbours, as no other document was at hand"),
}
_STAGES = {"read": "reading", "train": "vocabulary", "build": "rows", "verify": "checking"}


def print_facts(title: str, facts: list[Fact]) -> None:
    """Print named facts, one a line."""
    console = make_console()
    text = require("rich.text").Text
    console.print(text(title, style="bold"), soft_wrap=True)
    table = require("rich.table").Table.grid(padding=(0, 1))
    table.add_column(width=11, no_wrap=True)
    table.add_column()
    for name, fact in facts:
        style = {"note": "bold red", "hint": "bold yellow"}.get(name, "dim")
        if console.is_terminal:
            table.add_row(text(f"  {name}", style=style), text(fact))
        else:
            console.print(text(f"  {name:<11}{fact}"), soft_wrap=True)
    if table.row_count:
        console.print(table)


def print_plan(estimate: Estimate, out: Path) -> None:
    """Print what a build would make."""
    options = estimate.plan.options
    bins = ", ".join(f"{rows:,} of {length}" for length, rows in estimate.rows_per_bin.items())
    facts = [
        (
            "text",
            f"{count_of(estimate.num_inputs, 'file')}, {size(estimate.input_bytes)}: about "
            f"{short_count(estimate.documents)} documents, {size(estimate.text_bytes)} of text",
        ),
        ("tokens", f"about {short_count(estimate.tokens)}"),
        ("rows", f"about {bins} tokens"),
        (
            "files",
            f"{count_of(estimate.num_files, 'shard')} ({_form(options)}), about "
            f"{size(estimate.record_bytes)}",
        ),
        ("disk", f"about {size(estimate.disk_bytes)} while building"),
        ("plan", estimate.plan.sha256),
        ("estimated", f"from {size(estimate.sampled_bytes)} of the text; nothing was written"),
    ]
    print_facts(str(out), facts)


def print_summary(
    manifest: Manifest,
    out: Path,
    *,
    is_trained: bool,
    seconds: float,
    stages: Mapping[str, float],
    tokens_done: int,
) -> None:
    """Print what a build made.

    Parameters
    ----------
    manifest : Manifest
    out : Path
    is_trained : bool
        Whether the tokenizer was trained on the corpus.
    seconds : float
        Of the whole command.
    stages : stage -> seconds
    tokens_done : int
        In this run, what an interrupted one did before left out.

    """
    facts = [
        *_text(manifest),
        *_rows(manifest),
        *_tokens(manifest),
        ("tokenizer", _tokenizer(manifest, is_trained)),
        ("masks", _masks(manifest)),
        ("files", _files(manifest)),
        ("time", _time(seconds, stages, tokens_done)),
        *_notes(manifest.counts),
        *(("hint", hint) for hint in hints(manifest.counts, _hint_options(manifest))),
        ("next", f"maskcore show {shlex.quote(str(out))}"),
        ("", f"open {shlex.quote(str(out / 'report.html'))} in a browser"),
    ]
    print_facts(str(out), facts)


def _text(manifest: Manifest) -> Iterator[Fact]:
    counts = manifest.counts
    num_bytes = sum(entry.bytes for entry in manifest.inputs)
    yield (
        "text",
        f"{count_of(counts['documents'], 'document')}, {count_of(counts['sentences'], 'sentence')}, "
        f"{size(num_bytes)} in {count_of(len(manifest.inputs), 'file')}",
    )


def _rows(manifest: Manifest) -> Iterator[Fact]:
    rows: dict[int, int] = dict.fromkeys(manifest.bins, 0)
    for shard in manifest.shards:
        rows[shard.bin_length] += shard.records
    yield (
        "rows",
        ", ".join(f"{number:,} of {length}" for length, number in rows.items()) + " tokens",
    )
    labels = manifest.counts.get("labels")
    if labels:
        meaning = {"sop": "swapped", "nsp": "with another document's text"}[manifest.pairs]
        share = percent(labels.get("1", 0), sum(labels.values()))
        yield "pairs", f"{manifest.pairs}, {share} {meaning}"
    places = sum(length * number for length, number in rows.items())
    yield "padding", f"{percent(manifest.counts['padding_tokens'], places)} of the places"


def _tokens(manifest: Manifest) -> Iterator[Fact]:
    counts = manifest.counts
    fact = f"{counts['tokens_written']:,} written of {counts['tokens_read']:,} read"
    for name in ("truncated", "skipped"):
        if counts.get(f"tokens_{name}"):
            reasons = counts.get(name) or {}
            why = ", ".join(reason.replace("_", " ") for reason in reasons)
            fact += f", {counts[f'tokens_{name}']:,} {name}" + (f" ({why})" if why else "")
    if counts.get("tokens_borrowed"):
        fact += f"; {counts['tokens_borrowed']:,} more borrowed as partners"
    yield "tokens", fact
    tokens = max(counts["tokens_read"] // manifest.dupe_factor, 1)
    yield "unknown", f"{percent(counts['unknown_tokens'], tokens, 2)} of the tokens"


def _tokenizer(manifest: Manifest, is_trained: bool) -> str:
    entry = manifest.tokenizer
    trained = ", trained on this corpus" if is_trained else ""
    return f"{entry.word_rule}, {entry.vocab_size:,} entries{trained}"


def _masks(manifest: Manifest) -> str:
    mask, stored = manifest.mask, "none stored"
    if manifest.mask_epochs:
        stored = f"{count_of(manifest.mask_epochs, 'epoch')} stored"
    elif manifest.schema == "bert":
        stored = "stored in the rows"
    unit = plural(mask.mask_unit, mask.max_n)
    return (
        f"{100 * mask.masking_ratio:.4g}% of the tokens, spans of up to {mask.max_n} {unit}, "
        f"seed {mask.seed}, {stored}"
    )


def _files(manifest: Manifest) -> str:
    num_bytes = sum(shard.bytes for shard in manifest.shards)
    return f"{count_of(len(manifest.shards), 'shard')} ({_form(manifest)}), {size(num_bytes)}"


def _form(options: Manifest | BuildOptions) -> str:
    schema = "" if options.schema == "maskcore" else f", schema {options.schema}"
    layout = "" if options.layout == "int64" else f", {options.layout}"
    return f"{options.file_format}{layout}{schema}"


def _time(seconds: float, stages: Mapping[str, float], tokens_done: int) -> str:
    parts = [f"{_STAGES[name]} {duration(taken)}" for name, taken in stages.items()]
    text = duration(seconds) + (f" ({', '.join(parts)})" if parts else "")
    if tokens_done:
        text += f", {short_count(tokens_done / max(seconds, 1e-3))} tokens/s"
    return text


def _hint_options(manifest: Manifest) -> dict[str, Any]:
    return {
        name: getattr(manifest, name) for name in ("bins", "pairs", "pack", "schema", "dupe_factor")
    }


def _notes(counts: Mapping[str, Any]) -> Iterator[Fact]:
    for name, (noun, meaning) in _NOTES.items():
        if counts.get(name):
            yield "note", f"{count_of(counts[name], noun)} {meaning}"
