# SPDX-License-Identifier: Apache-2.0
"""What a build would make, from a sample of the corpus; nothing is written.

Owns the sample and the scaling. The sample goes through the steps of a real unit. Knows nothing of
how figures are shown.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

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
# Spread over the corpus, so that one odd file does not decide.
MAX_SAMPLED_FILES = 16
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
    documents, read_bytes = _sample(plan, inputs)
    text_bytes = sum(len(sentence.encode()) for d in documents for sentence in d.sentences)
    if text_bytes == 0:
        raise no_text([file.path for file in inputs])
    if tokeniser is None:
        sentences = [document.sentences for document in documents]
        tokeniser = train_wordpiece(sentences, plan.options.vocab_size or 0)
    stored_bytes = sum(file.size_bytes for file in inputs)
    scale = max(1.0, stored_bytes / max(read_bytes, 1))
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
        documents=round(len(documents) * scale),
        tokens=round(counts.tokens_read * scale),
        rows=sum(rows_per_bin.values()),
        rows_per_bin=rows_per_bin,
        record_bytes=round(record_bytes * scale),
        disk_bytes=round((record_bytes + text_bytes) * scale),
        sampled_bytes=text_bytes,
    )


def _sample(plan: Plan, inputs: Sequence[InputFile]) -> tuple[list[Document], int]:
    """Return documents from files all over the corpus, and the bytes of the files that they took."""
    step = max(1, len(inputs) // MAX_SAMPLED_FILES)
    chosen = inputs[::step][:MAX_SAMPLED_FILES]
    documents: list[Document] = []
    read_bytes = 0
    for number, file in enumerate(chosen, 1):
        counts = ReadCounts()
        taken = 0
        is_whole = True
        limit = SAMPLE_TEXT_BYTES * number // len(chosen)
        so_far = sum(len(s) for d in documents for s in d.sentences)
        for document in read_documents(file, plan.options.read_options, counts):
            documents.append(document)
            taken += sum(map(len, document.sentences))
            if so_far + taken >= limit:
                is_whole = False
                break
        # Readers are ahead of what they gave: of plain text it is known how far.
        if is_whole:
            read_bytes += file.size_bytes
        elif file.is_sliceable:
            read_bytes += documents[-1].offset + sum(
                len(s.encode()) + 1 for s in documents[-1].sentences
            )
        else:
            read_bytes += min(file.size_bytes, counts.bytes_read)
    return documents, read_bytes
