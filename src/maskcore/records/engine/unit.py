# SPDX-License-Identifier: Apache-2.0
"""The unit of work: one shard, from its documents to its files and the commit point beside them.

    units/00017.json       the commit point of unit 17: its files, counts and statistics

Owns the order of the steps and what is held in memory: one bucket, and rows in chunks. `run_unit`
depends on the plan, the tokenizer and the runs alone, and may be done anywhere, any number of times.
Knows nothing of who calls it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from maskcore.records.encoding.encoders import Encoder, RowWriter, make_encoder
from maskcore.records.encoding.schema import row_format, stored_columns
from maskcore.records.engine.accounts import UnitCounts
from maskcore.records.engine.folder import BuildFolder, part_name, read_json, write_file, writing
from maskcore.records.engine.plan import Plan
from maskcore.records.engine.pool import Reporter
from maskcore.records.engine.spill import Bucket
from maskcore.records.manifest import ShardEntry
from maskcore.records.reporting.statistics import Statistics
from maskcore.records.rows.columns import make_columns
from maskcore.records.rows.row_order import row_order
from maskcore.records.rows.row_table import RowTable, make_row_table
from maskcore.records.tokenising.tokenise import Tokeniser
from maskcore.records.tokenising.tokenised import TokenisedDocuments

__all__ = ["UnitResult", "encoders_of", "run_unit", "unit_result"]

# Text handed to the tokenizer at a time: it holds some 100 bytes for each.
TOKENISED_BYTES = 1 << 18
# Numbers of a column of one chunk of rows; there are about six columns of 8 bytes.
CHUNK_VALUES = 1 << 18


@dataclass(slots=True)
class UnitResult:
    """What a unit gave."""

    tokenizer_sha256: str
    files: list[ShardEntry]
    counts: UnitCounts
    statistics: dict[str, Any]
    text_bytes: int

    def to_json(self) -> str:
        """Return the content of the commit point."""
        fields = {
            "tokenizer_sha256": self.tokenizer_sha256,
            "files": [file._asdict() for file in self.files],
            "counts": self.counts.to_json(),
            "statistics": self.statistics,
            "text_bytes": self.text_bytes,
        }
        return json.dumps(fields) + "\n"

    def progress(self) -> Counter[str]:
        """Return what a worker reported while it did this."""
        rows = self.counts.rows
        return Counter(
            bytes=self.text_bytes,
            documents=self.counts.documents,
            tokens=rows.tokens_read,
            rows=rows.rows,
            units=1,
        )


def unit_result(
    folder: BuildFolder, unit: int, tokenizer_sha256: str, *, is_hashed: bool = False
) -> UnitResult | None:
    """Return what a unit gave; None if it is not finished with this tokenizer, or a file is not whole.

    `is_hashed` asks for the files' hashes, too, and not their sizes alone.
    """
    content = read_json(_commit_point(folder, unit))
    if content is None:
        return None
    files = [ShardEntry(**file) for file in content["files"]]
    if content["tokenizer_sha256"] != tokenizer_sha256:
        return None
    for file in files:
        path = folder.build / file.file
        if not path.is_file() or path.stat().st_size != file.bytes:
            return None
        if is_hashed and _sha256(path) != file.sha256:
            return None
    counts = UnitCounts.from_json(content["counts"])
    return UnitResult(tokenizer_sha256, files, counts, content["statistics"], content["text_bytes"])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _commit_point(folder: BuildFolder, unit: int) -> Path:
    return folder.units / f"{unit:05d}.json"


def encoders_of(plan: Plan, tokeniser: Tokeniser) -> dict[int, Encoder]:
    """Return for each bin what stores its rows."""
    return {
        length: make_encoder(
            row_format(plan.options, length, tokeniser.vocab_size, tokeniser.special)
        )
        for length in plan.bins
    }


def run_unit(
    plan: Plan,
    unit: int,
    tokeniser: Tokeniser,
    buckets: Iterable[Bucket],
    *,
    folder: BuildFolder,
    report: Reporter,
) -> None:
    """Write the files of one shard, then its commit point.

    Parameters
    ----------
    plan : Plan
    unit : int in [0, `plan.num_shards`)
    tokeniser : Tokeniser
    buckets : iterable of Bucket
        As `spill.SpillReader` gives them; their lists are emptied.
    folder : BuildFolder
    report : Reporter

    """
    encoders = encoders_of(plan, tokeniser)
    files = [_file_name(plan, unit, length) for length in plan.bins]
    with ExitStack() as stack:
        shards = {
            length: _Shard(encoder, stack.enter_context(writing(folder.build / file)))
            for (length, encoder), file in zip(encoders.items(), files, strict=True)
        }
        builder = _UnitBuilder(plan, tokeniser, shards, report)
        for bucket in _timed(iter(buckets), report):
            builder.add(bucket)
        with report.step("writing"):
            written = [shard.writer.finish() for shard in shards.values()]
            stack.close()  # flushes them to the disk
    entries = [
        ShardEntry(file, length, *what)
        for file, length, what in zip(files, plan.bins, written, strict=True)
    ]
    result = UnitResult(
        tokeniser.sha256,
        entries,
        builder.counts,
        builder.statistics.to_json(),
        builder.text_bytes,
    )
    write_file(_commit_point(folder, unit), result.to_json())


def _file_name(plan: Plan, unit: int, bin_length: int) -> str:
    shown = bin_length if len(plan.bins) > 1 else None
    return part_name(unit, plan.num_shards, shown, plan.options.file_format)


def _timed(buckets: Iterator[Bucket], report: Reporter) -> Iterator[Bucket]:
    while True:
        with report.step("reading"):
            bucket = next(buckets, None)
        if bucket is None:
            return
        yield bucket


class _Shard:
    """A file of the unit, and what writes it."""

    def __init__(self, encoder: Encoder, stream: BinaryIO) -> None:
        self.form = encoder.form
        self.writer: RowWriter = encoder.begin(stream)


class _UnitBuilder:
    """Turns buckets into rows of the unit's files."""

    def __init__(
        self, plan: Plan, tokeniser: Tokeniser, shards: Mapping[int, _Shard], report: Reporter
    ) -> None:
        self._plan = plan
        self._tokeniser = tokeniser
        self._shards = shards
        self._report = report
        unk = tokeniser.special.get("unk")
        self._unk_id = -1 if unk is None else unk.id
        self.counts = UnitCounts()
        self.statistics = Statistics(self._unk_id)
        self.text_bytes = 0

    def add(self, bucket: Bucket) -> None:
        """Write the rows of one bucket, which is emptied on the way."""
        if not bucket.documents:
            return
        tokens = self._tokenise(bucket)
        with self._report.step("rows"):
            self.counts.add_text(tokens, self._unk_id)
            self.statistics.add_documents(tokens.sentence_lengths, tokens.sentences_per_document)
            table, counts = make_row_table(tokens, self._plan.options.recipe)
            self.counts.rows.merge(counts)
            order = row_order(table.row_id, self._plan.seed)
        for length, shard in self._shards.items():
            of_bin = order[table.bin_length[order] == length]
            rows_at_once = max(1, CHUNK_VALUES // length)
            for start in range(0, len(of_bin), rows_at_once):
                self._write(tokens, table, of_bin[start : start + rows_at_once], length, shard)

    def _tokenise(self, bucket: Bucket) -> TokenisedDocuments:
        documents, sizes = bucket
        for content in bucket:
            content.reverse()  # so that it can be let go of from the end
        parts = []
        while documents:
            batch, size = [], 0
            while documents and size < TOKENISED_BYTES:
                batch.append(documents.pop())
                size += sizes.pop()
            with self._report.step("tokenising"):
                parts.append(self._tokeniser.encode(batch))
            num_tokens = parts[-1].ids.size
            self.text_bytes += size
            tokens_read = num_tokens * self._plan.options.dupe_factor
            self._report.add(documents=len(batch), tokens=tokens_read, bytes=size)
        return _joined(parts)

    def _write(
        self,
        tokens: TokenisedDocuments,
        table: RowTable,
        rows: NDArray[np.int64],
        length: int,
        shard: _Shard,
    ) -> None:
        with self._report.step("rows"):
            columns = make_columns(tokens, table, rows, length, self._tokeniser.special)
            self.statistics.add(columns, shard.form.mask)
        with self._report.step("masks"):
            stored = stored_columns(shard.form, columns)
            self.counts.add_masks(stored)
        with self._report.step("writing"):
            shard.writer.write(stored)
        self._report.add(rows=len(rows))


def _joined(parts: list[TokenisedDocuments]) -> TokenisedDocuments:
    if len(parts) == 1:
        return parts[0]
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(TokenisedDocuments)
        if field.name not in {"keys", "num_sentences_without_tokens"}
    }
    return TokenisedDocuments(
        **arrays,
        keys=[key for part in parts for key in part.keys],
        num_sentences_without_tokens=sum(part.num_sentences_without_tokens for part in parts),
    )
