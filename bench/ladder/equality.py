# SPDX-License-Identifier: Apache-2.0
"""What must hold of a pipeline's batches before it is timed: the bits of `maskcore.mask_tokens`, row by row.

Owns the expectation. Rows are found by their ids, since pipelines order them differently. Knows nothing of how the
batches are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import maskcore
from bench import checks
from bench.ladder import pipelines
from maskcore import records


class Expected:
    """The rows of a folder with their masks."""

    def __init__(self, folder: Path) -> None:
        opened = records.open(folder)
        parts = list(opened.batches(pipelines.BATCH_SIZE))
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(columns["row_id"][:, 0])
        self._ids, self._words, self._row_ids = (
            columns[name][order] for name in ("input_ids", "word_ids", "row_id")
        )
        self._arguments = pipelines.mask_arguments(opened.manifest)
        self.batches_per_epoch = len(order) // pipelines.BATCH_SIZE

    def check_epoch(self, iterator: Iterator[Any]) -> None:
        """Take the batches of epoch 0 and the first of epoch 1; each must be masked by its epoch."""
        for number in range(self.batches_per_epoch + 1):
            batch = _as_numpy(next(iterator))
            places = self._places(batch)
            words = self._words[places]
            expected = maskcore.mask_tokens(
                self._ids[places],
                words,
                word_ids=words - 1,
                row_ids=self._row_ids[places, 0],
                epoch=number // self.batches_per_epoch,
                **self._arguments,
            )
            np.testing.assert_array_equal(batch["input_ids"], expected.input_ids)
            np.testing.assert_array_equal(batch["labels"], expected.labels)

    def check_budgets(self, iterator: Iterator[Any]) -> None:
        """Take as many batches; each row must have its budget of masked tokens."""
        for _ in range(self.batches_per_epoch + 1):
            batch = _as_numpy(next(iterator))
            maskable = (self._words[self._places(batch)] > 0).astype(np.uint8)
            budgets = np.minimum(pipelines.BUDGET, maskable.sum(axis=1, dtype=np.int64))
            checks.exact_mask(batch["mask"], maskable, budgets)

    def _places(self, batch: dict[str, Any]) -> Any:
        places = np.searchsorted(self._row_ids[:, 0], batch["row_id"])
        np.testing.assert_array_equal(self._row_ids[places, 0], batch["row_id"])
        return places


def _as_numpy(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: column.numpy() for name, column in batch.items()}
