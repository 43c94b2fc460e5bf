# SPDX-License-Identifier: Apache-2.0
"""What a build would make, from a sample of the corpus; nothing is written.

Owns the sample and the scaling. The sample goes through the steps of a real unit. Knows nothing of
how figures are shown.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from maskcore.records.encoding.schema import stored_columns
from maskcore.records.engine.plan import Plan
from maskcore.records.engine.scatter import no_text
from maskcore.records.engine.unit import encoders_of
from maskcore.records.reading.documents import Document, ReadCounts, read_documents
from maskcore.records.reading.inputs import InputFile
from maskcore.records.rows.columns import make_columns
from maskcore.records.rows.row_table import make_row_table
from maskcore.records.tokenising.tokenise import Tokeniser, train_wordpiece

__all__ = ["Estimate", "estimate"]

# Enough for figures within a few percent, and done in a second or two.
SAMPLE_TEXT_BYTES = 1 << 20
# Of a small corpus, whose compressed files may hold more than they seem to.
MOST_TEXT_BYTES = 16 << 20
# Spread over the corpus, so that one odd file does not decide.
MAX_SAMPLES = 16
SAMPLED_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A plan, and about what it gives."""

    plan: Plan
    num_inputs: int
    input_bytes: int
    num_units: int
    """Shards; with bins each has a file for each bin."""
    num_files: int
    text_bytes: int
    documents: int
    tokens: int
    """Of text, each duplicate counted."""
    rows: int
    rows_per_bin: dict[int, int]
    record_bytes: int
    disk_bytes: int
    """While building: the records and the text in buckets."""
    sampled_bytes: int
    """Of text; the rest is scaled."""


def estimate(plan: Plan, inputs: Sequence[InputFile], tokeniser: Tokeniser | None) -> Estimate:
    """Build a sample in memory and scale what it gives.

    Raises
    ------
    RecordsError
        If the sample holds no text.

    """
    sample = _sample(plan, inputs)
    documents, text_bytes = sample.documents, sample.text_bytes
    if not documents:
        raise no_text([file.path for file in inputs])
    if tokeniser is None:
        sentences = [document.sentences for document in documents]
        tokeniser = train_wordpiece(sentences, plan.options.vocab_size or 0)
    stored_bytes = sum(file.size_bytes for file in inputs)
    scale = max(1.0, stored_bytes / max(sample.stored_bytes, 1))
    tokens = tokeniser.encode(documents)
    table, counts = make_row_table(tokens, plan.options.recipe)
    record_bytes = 0.0
    rows_per_bin = {}
    for length, encoder in encoders_of(plan, tokeniser).items():
        rows = np.flatnonzero(table.bin_length == length)
        rows_per_bin[length] = round(len(rows) * scale)
        if rows.size:
            shown = rows[:: max(1, len(rows) // SAMPLED_ROWS)]
            columns = make_columns(tokens, table, shown, length, tokeniser.special)
            writer = encoder.begin(stream := io.BytesIO())
            writer.write(stored_columns(encoder.form, columns))
            writer.finish()
            record_bytes += len(stream.getvalue()) / len(shown) * len(rows)
    return Estimate(
        plan=plan,
        num_inputs=len(inputs),
        input_bytes=stored_bytes,
        num_units=plan.num_shards,
        num_files=plan.num_shards * len(plan.bins),
        text_bytes=round(text_bytes * scale),
        documents=round(sample.num_documents * scale),
        tokens=round(counts.tokens_read * scale),
        rows=sum(rows_per_bin.values()),
        rows_per_bin=rows_per_bin,
        record_bytes=round(record_bytes * scale),
        disk_bytes=round((record_bytes + text_bytes) * scale),
        sampled_bytes=text_bytes,
    )


@dataclass(slots=True)
class _Sample:
    """Documents from all over the corpus, long ones in part."""

    documents: list[Document] = field(default_factory=list)
    num_documents: float = 0.0
    """Parts of documents count as such."""
    text_bytes: int = 0
    stored_bytes: int = 0
    """Of the files, that this text takes there."""

    def add(self, document: Document, begin: int = 0, room: float = math.inf) -> tuple[int, int]:
        """Take the sentences behind byte `begin` of a document, until one reaches over `room` bytes.

        Returns
        -------
        taken, size : int
            Bytes of these sentences and of all, with the line ends of a plain file.

        """
        sentences = document.sentences
        ends = [0, *accumulate(len(sentence.encode()) + 1 for sentence in sentences)]
        first = bisect_left(ends, begin, hi=len(sentences))
        stop = min(bisect_right(ends, ends[first] + room), len(sentences))
        part = document._replace(sentences=sentences[first:stop])
        if self.documents and self.documents[-1].key == document.key:
            part = part._replace(sentences=self.documents.pop().sentences + part.sentences)
        if part.sentences:
            self.documents.append(part)
        taken = ends[stop] - ends[first]
        self.num_documents += taken / ends[-1]
        self.text_bytes += taken - (stop - first)
        return taken, ends[-1]


def _sample(plan: Plan, inputs: Sequence[InputFile]) -> _Sample:
    """Return a sample from places all over the corpus; all of a corpus that is no larger."""
    sample = _Sample()
    is_whole = sum(file.estimated_text_bytes for file in inputs) <= SAMPLE_TEXT_BYTES
    chosen = inputs if is_whole else inputs[:: max(1, len(inputs) // MAX_SAMPLES)][:MAX_SAMPLES]
    room = MOST_TEXT_BYTES if is_whole else SAMPLE_TEXT_BYTES / len(chosen)
    for file in chosen:
        if file.is_sliceable and file.size_bytes > room:
            _take_parts(plan, file, MAX_SAMPLES // len(chosen), room, sample)
        else:
            _take_beginning(plan, file, room, sample)
    return sample


def _take_beginning(plan: Plan, file: InputFile, room: float, sample: _Sample) -> None:
    """Add whole documents, those at the beginning of a file."""
    counts = ReadCounts()
    for document in read_documents(file, plan.options.read_options, counts):
        room -= sample.add(document)[0]
        if room <= 0:  # the reader is ahead of what it gave
            sample.stored_bytes += min(file.size_bytes, counts.bytes_read)
            return
    sample.stored_bytes += file.size_bytes


def _take_parts(plan: Plan, file: InputFile, num_places: int, room: float, sample: _Sample) -> None:
    """Add text from several places of a large file, in the middle of documents, too."""
    options, room_there = plan.options.read_options, room / num_places
    at, open_document, open_end = 0, None, 0
    for place in range(num_places):
        at, room = max(at, file.size_bytes * place // num_places), room_there
        if open_document is not None and at < open_end:
            taken, _ = sample.add(open_document, at - open_document.offset, room)
            sample.stored_bytes += taken
            at, room = at + taken, room - taken
            if room <= 0:
                continue
            at = open_end
        taken, before = 0, None
        for document in read_documents(file, options, ReadCounts(), at):
            if before is not None:
                sample.stored_bytes += document.offset - before.offset - taken
            taken, size = sample.add(document, 0, room)
            sample.stored_bytes += taken
            room -= taken
            at, open_end = document.offset + taken, document.offset + size
            open_document = before = document
            if room <= 0:
                break
