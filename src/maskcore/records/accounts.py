# SPDX-License-Identifier: Apache-2.0
"""The account of a build: what was read, what was written, and the proof that they agree.

Owns the names under `counts` in the manifest. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskcore.records.readers import TextBatch
from maskcore.records.rows import NUM_SPECIAL_TOKENS, PackedRows, RowPacker
from maskcore.records.schema import MASKED_LM_COUNTS, Columns
from maskcore.records.tokenise import TokenBatch

__all__ = ["Account"]


@dataclass(slots=True)
class Account:
    """Counts that grow with every batch."""

    documents: int = 0
    documents_with_rows: int = 0
    sentences: int = 0
    sentences_without_tokens: int = 0
    tokens_read: int = 0
    tokens_written: int = 0
    unknown_tokens: int = 0
    special_tokens_in_text: int = 0
    padding_tokens: int = 0
    rows: int = 0
    masked_tokens: list[int] = field(default_factory=list)
    """For each stored epoch."""

    def add_text(self, batch: TextBatch, tokens: TokenBatch, unk_id: int) -> None:
        """Count a batch as it was read."""
        self.documents += len(batch.documents) - batch.continues
        self.sentences += len(batch.sentences)
        self.sentences_without_tokens += tokens.num_empty_sentences
        self.tokens_read += tokens.ids.size
        self.unknown_tokens += int(np.count_nonzero(tokens.ids == unk_id))
        self.special_tokens_in_text += int(np.count_nonzero(tokens.is_special))

    def add_rows(self, packed: PackedRows, capacity: int) -> None:
        """Count rows of `capacity` tokens of text."""
        num_tokens = int(packed.lengths.sum())
        self.rows += len(packed.lengths)
        self.tokens_written += num_tokens
        self.padding_tokens += len(packed.lengths) * capacity - num_tokens
        self.documents_with_rows += packed.indices.count(0)

    def add_masks(self, columns: Columns) -> None:
        """Count the masks that are stored."""
        if MASKED_LM_COUNTS in columns:
            per_epoch = columns[MASKED_LM_COUNTS].sum(axis=0).tolist()
            before = self.masked_tokens or [0] * len(per_epoch)
            self.masked_tokens = [a + b for a, b in zip(before, per_epoch, strict=True)]

    def close(self, packer: RowPacker) -> dict[str, Any]:
        """Return the manifest's `counts`.

        Raises
        ------
        RuntimeError
            If a token that was read was not written.

        """
        if self.tokens_read != self.tokens_written:
            raise RuntimeError(
                f"{self.tokens_read} tokens were read and {self.tokens_written} written, which is "
                "a defect of maskcore; report it"
            )
        return {
            "documents": self.documents,
            "documents_without_tokens": self.documents - self.documents_with_rows,
            "sentences": self.sentences,
            "sentences_without_tokens": self.sentences_without_tokens,
            "sentences_cut": packer.num_cut_sentences,
            "words_cut": packer.num_cut_words,
            "tokens_read": self.tokens_read,
            "tokens_written": self.tokens_written,
            "tokens_truncated": 0,
            "unknown_tokens": self.unknown_tokens,
            "special_tokens_in_text": self.special_tokens_in_text,
            "special_tokens_added": NUM_SPECIAL_TOKENS * self.rows,
            "padding_tokens": self.padding_tokens,
            "rows": self.rows,
            "masked_tokens": self.masked_tokens,
        }
