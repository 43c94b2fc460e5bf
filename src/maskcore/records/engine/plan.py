# SPDX-License-Identifier: Apache-2.0
"""The plan of a build: everything that the records depend on, as one frozen value with a hash.

Owns the check of the options, how many shards and buckets there are, how reading is divided into tasks,
and what differs between two plans. Nothing in a plan depends on the machine or the number of workers.
Knows nothing of how a build is carried out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import maskcore
from maskcore import _checks
from maskcore.config import MaskConfig
from maskcore.errors import type_error, value_error
from maskcore.records.encoding.schema import check_choices, largest_budget
from maskcore.records.reading.documents import SENTENCE_SPLITTER_VERSION, ReadOptions
from maskcore.records.reading.inputs import InputFile
from maskcore.records.reading.model import is_sliceable
from maskcore.records.rows.row_recipe import RowRecipe

__all__ = ["BuildOptions", "Plan", "PlanInput", "ReadSlice", "ReadTask", "make_plan"]

# Raised with every change of the bits of records that masks and their version do not explain.
BUILDER_VERSION = 1

MAX_SHARDS = 99_999  # file names have five digits

# A shard of about this much text streams well, and a job that is killed repeats little.
SHARD_TEXT_BYTES = 64 << 20
# Smaller corpora are divided further, so that many cores have work and end at about the same time: up to
# so many shards of at least so much text.
SMALL_SHARDS = ((8, 1 << 20), (32, 16 << 20))
# What a worker holds at a time, on average: its text, tokens and rows take about six times as much.
BUCKET_TEXT_BYTES = 12 << 20
# What a reading task takes on: a slice of a large file, or several small files. Every task leaves a
# run, so that there should not be too many; a small corpus has less to share among workers.
SLICE_BYTES = 32 << 20
SMALL_SLICE_BYTES = 4 << 20
SMALL_CORPUS_BYTES = 256 << 20

_MASK_EPOCHS = _checks.IntegerRange(
    "mask_epochs", 0, 2**31, "in [0, 2**31)", "0 stores no masks; readers derive them"
)
_NUM_SHARDS = _checks.IntegerRange(
    "num_shards",
    1,
    MAX_SHARDS + 1,
    f"in [1, {MAX_SHARDS}]",
    "leave it out for one per 64 MiB of text",
)
_CHOICES = {
    "schema": ("maskcore", "bert"),
    "layout": ("int64", "compact"),
    "file_format": ("tfrecord", "parquet"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The options of `maskcore.records.build` that records depend on, checked and completed.

    Raises
    ------
    TypeError, ValueError
        For a value out of its range, and for options that exclude each other.

    """

    text_format: str = "auto"
    text_field: str = "text"
    id_field: str | None = None
    on_bad_text: str = "error"
    sentence_splitting: str | None = None
    word_separator: str | None = None
    vocab_size: int | None = None
    """None where a tokenizer is given."""
    seq_length: int = 128
    """The longest bin, where there are `bins`."""
    bins: tuple[int, ...] | None = None
    pairs: str = "none"
    short_seq_prob: float | None = None
    pack: bool = False
    mask: MaskConfig = MaskConfig()  # noqa: RUF009 - it is frozen
    mask_epochs: int = 0
    dupe_factor: int = 1
    schema: str = "maskcore"
    layout: str = "int64"
    file_format: str = "tfrecord"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise value_error(name, " or ".join(choices), repr(value), "spell it so")
        if not isinstance(self.mask, MaskConfig):
            raise type_error(
                "mask", "a MaskConfig", repr(self.mask), "import it from maskcore.records"
            )
        if self.bins is not None:
            if not self.bins:
                raise value_error("bins", "lengths of rows", self.bins, "pass None for one length")
            object.__setattr__(self, "seq_length", max(self.bins))
        if self.short_seq_prob is None:
            # As BERT's and ALBERT's create_pretraining_data.py.
            object.__setattr__(self, "short_seq_prob", 0.0 if self.pairs == "none" else 0.1)
        recipe = self.recipe
        mask = self.mask
        if mask.max_predictions is None:
            mask = replace(
                mask, max_predictions=largest_budget(mask.masking_ratio, recipe.capacity)
            )
        completed = {
            "seq_length": recipe.seq_length,
            "bins": recipe.bins,
            "short_seq_prob": recipe.short_seq_prob,
            "mask": mask,
            "mask_epochs": _checks.integer(_MASK_EPOCHS, self.mask_epochs),
            "dupe_factor": recipe.dupe_factor,
        }
        for name, value in completed.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen
        _ = self.read_options  # checks them
        check_choices(self)

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "bins": list(self.bins or ()), "mask": self.mask.to_json()}

    @property
    def read_options(self) -> ReadOptions:
        """What readers must know."""
        return ReadOptions(
            **{field.name: getattr(self, field.name) for field in fields(ReadOptions)}
        )

    @property
    def recipe(self) -> RowRecipe:
        """What rows are made by."""
        chosen = {
            field.name: getattr(self, field.name)
            for field in fields(RowRecipe)
            if field.name != "seed"
        }
        return RowRecipe(**chosen, seed=self.mask.seed)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BuildOptions:
        """Return what `to_json` described."""
        mask = MaskConfig.from_json(values["mask"])
        return cls(**{**values, "bins": tuple(values["bins"]), "mask": mask})


class PlanInput(NamedTuple):
    """One file of the corpus, as the plan knows it."""

    name: str
    bytes: int
    format: str
    compression: str | None


class ReadSlice(NamedTuple):
    """A part of one file: the documents that begin in [start, stop)."""

    input: int
    """Index in `Plan.inputs`."""
    start: int
    stop: int | None
    """None: to the end."""


class ReadTask(NamedTuple):
    """What one worker reads at a time."""

    number: int
    slices: tuple[ReadSlice, ...]
    bytes: int
    """Of the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that the records depend on, but the content of the inputs."""

    options: BuildOptions
    inputs: tuple[PlanInput, ...]
    """Sorted by name."""
    tokenizer_sha256: str | None
    """None: one is trained on the corpus."""
    num_shards: int
    buckets_per_shard: int
    slice_bytes: int
    """Read at a time; of larger files of plain text slices are hashed by themselves."""
    sentence_splitter_version: int | None
    """None where sentences are not split."""
    builder_version: int = BUILDER_VERSION
    algorithm_version: int = maskcore.ALGORITHM_VERSION

    @property
    def num_buckets(self) -> int:
        """How many parts documents are divided into; shard s owns `buckets_per_shard` of them."""
        return self.num_shards * self.buckets_per_shard

    @property
    def bins(self) -> tuple[int, ...]:
        """Lengths of rows, ascending."""
        return self.options.bins or ()

    @property
    def seed(self) -> int:
        """The seed of masks, buckets, rows and their order."""
        return self.options.mask.seed

    def buckets_of(self, shard: int) -> range:
        """Return the buckets of a shard."""
        first = shard * self.buckets_per_shard
        return range(first, first + self.buckets_per_shard)

    def read_tasks(self) -> Iterator[ReadTask]:
        """Yield what is read at a time: slices of large files of plain text, small files together."""
        number = size = 0
        slices: list[ReadSlice] = []
        for index, file in enumerate(self.inputs):
            is_sliced = is_sliceable(file.format, file.compression)
            starts = range(0, max(file.bytes, 1), self.slice_bytes) if is_sliced else range(1)
            for start in starts:
                end = start + self.slice_bytes
                stop = end if is_sliced and end < file.bytes else None
                of_slice = (file.bytes if stop is None else stop) - start
                if slices and size + of_slice > self.slice_bytes:
                    yield ReadTask(number, tuple(slices), size)
                    number, size, slices = number + 1, 0, []
                slices.append(ReadSlice(index, start, stop))
                size += of_slice
        if slices:
            yield ReadTask(number, tuple(slices), size)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "builder_version": self.builder_version,
            "algorithm_version": self.algorithm_version,
            "options": self.options.to_json(),
            "tokenizer_sha256": self.tokenizer_sha256,
            "num_shards": self.num_shards,
            "buckets_per_shard": self.buckets_per_shard,
            "slice_bytes": self.slice_bytes,
            "sentence_splitter_version": self.sentence_splitter_version,
            "inputs": [entry._asdict() for entry in self.inputs],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Plan:
        """Return what `to_json` described."""
        return cls(
            **{
                **values,
                "options": BuildOptions.from_json(values["options"]),
                "inputs": tuple(PlanInput(**entry) for entry in values["inputs"]),
            }
        )

    @property
    def sha256(self) -> str:
        """The plan's identity."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def differences(self, other: Plan) -> list[str]:
        """Say what is otherwise in `other`, one text for each difference."""
        before, now = self.to_json(), other.to_json()
        names = {"tokenizer_sha256": "the tokenizer's sha256", "builder_version": "the builder's version",
                 "algorithm_version": "the version of the masks"}  # fmt: skip
        found = _differing_inputs(self.inputs, other.inputs)
        for values in (before, now):
            values.update(values.pop("options"))
            values.update({f"mask.{name}": value for name, value in values.pop("mask").items()})
            del values["inputs"]
            # Both follow from the inputs unless they were asked for.
            if found:
                del values["buckets_per_shard"], values["num_shards"], values["slice_bytes"]
        return found + [
            f"{names.get(name, name)} was {_shown(before.get(name))}, is {_shown(value)}"
            for name, value in now.items()
            if before.get(name) != value
        ]


def _shown(value: object) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12] + "…"
    return "none" if value is None else str(value)


def _differing_inputs(before: Sequence[PlanInput], now: Sequence[PlanInput]) -> list[str]:
    old = {entry.name: entry for entry in before}
    new = {entry.name: entry for entry in now}
    found = [f"input {name} is gone" for name in sorted(old.keys() - new.keys())]
    found += [f"input {name} is new" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        a, b = old[name], new[name]
        if a.bytes != b.bytes:
            found.append(f"input {name} had {a.bytes} bytes, has {b.bytes}")
        elif a != b:
            found.append(f"input {name} was read as {a.format}, is {b.format}")
    return found


def default_num_shards(text_bytes: int) -> int:
    """Return how many shards a corpus has when nobody says."""
    small = [min(most, -(-text_bytes // size)) for most, size in SMALL_SHARDS]
    return min(MAX_SHARDS, max(1, *small, -(-text_bytes // SHARD_TEXT_BYTES)))


def make_plan(
    inputs: Sequence[InputFile],
    options: BuildOptions,
    *,
    tokenizer_sha256: str | None,
    num_shards: int | None = None,
) -> Plan:
    """Divide a corpus into shards and buckets."""
    entries = tuple(
        PlanInput(file.name, file.size_bytes, file.format, file.compression) for file in inputs
    )
    text_bytes = sum(file.estimated_text_bytes for file in inputs)
    is_small = sum(file.size_bytes for file in inputs) <= SMALL_CORPUS_BYTES
    if num_shards is None:
        num_shards = default_num_shards(text_bytes)
    num_shards = _checks.integer(_NUM_SHARDS, num_shards)
    return Plan(
        options=options,
        inputs=entries,
        tokenizer_sha256=tokenizer_sha256,
        num_shards=num_shards,
        buckets_per_shard=max(1, -(-text_bytes // (num_shards * BUCKET_TEXT_BYTES))),
        slice_bytes=SMALL_SLICE_BYTES if is_small else SLICE_BYTES,
        sentence_splitter_version=SENTENCE_SPLITTER_VERSION if options.sentence_splitting else None,
    )
