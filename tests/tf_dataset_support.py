# SPDX-License-Identifier: Apache-2.0
"""What the tests of `masked_dataset` share: folders of every form, and batches made in numpy.

Owns the oracle: records read by numpy, masked by `maskcore.mask_tokens`, row by row. Never calls tfshim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

import maskcore
from maskcore import records
from maskcore.records import MaskConfig

SEED = 41

FORMS: dict[str, dict[str, Any]] = {
    "int64": {"seq_length": 64},
    "compact": {"seq_length": 64, "layout": "compact"},
    "long": {"seq_length": 288, "layout": "compact"},  # word_bases
    "sop": {"seq_length": 64, "pairs": "sop"},
    "nsp-compact": {"seq_length": 64, "pairs": "nsp", "layout": "compact"},
    "packed": {"seq_length": 96, "pack": True},
    "packed-compact": {"seq_length": 96, "pack": True, "layout": "compact"},
    "tokens": {"seq_length": 64, "mask": MaskConfig(seed=SEED, max_n=1, mask_unit="token")},
    "stored": {"seq_length": 64, "mask_epochs": 2},
    "stored-compact": {"seq_length": 64, "mask_epochs": 2, "layout": "compact"},
    "bins": {"bins": (32, 64, 128), "pairs": "sop"},
    "bert": {"seq_length": 64, "schema": "bert"},
    "bert-pairs": {"seq_length": 64, "schema": "bert", "pairs": "nsp"},
    "parquet": {"seq_length": 64, "file_format": "parquet"},
}
LAYOUTS_AND_SCHEMAS = (
    "int64", "compact", "long", "sop", "nsp-compact", "packed", "packed-compact", "tokens", "stored", "stored-compact"
)  # fmt: skip
NUM_SHARDS = 3
SHUFFLED = {"shuffle_buffer_size": 50}  # several pools an epoch


def build_folder(parent: Path, form: str, num_topics: int = 12) -> Path:
    """Build a folder of one of FORMS."""
    corpus = parent / "corpus.txt"
    names = sorted(topics)[:num_topics]
    corpus.write_text("\n\n".join(topics[name] for name in names), encoding="utf-8")
    options = {"mask": MaskConfig(seed=SEED), "num_shards": NUM_SHARDS} | FORMS[form]
    folder = parent / form
    records.build(corpus, folder, vocab_size=600, workers=1, **options)
    return folder


def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what builds the folder of a form once; for a fixture of a module."""
    made: dict[str, Path] = {}

    def folder(form: str) -> Path:
        if form not in made:
            made[form] = build_folder(tmp_path_factory.mktemp("records"), form)
        return made[form]

    return folder


class Oracle:
    """The masked rows of a folder, made in numpy."""

    def __init__(self, folder: Path) -> None:
        self.opened = records.open(folder)
        self.manifest = self.opened.manifest

    @cache  # noqa: B019  # one for each test
    def row_ids(self, length: int | None = None) -> list[int]:
        """Return the ids of all rows in the order of the folder."""
        found = [columns["row_id"][:, 0] for columns in self.opened.batches(1000, length)]
        return [int(row_id) for row_id in np.concatenate(found)]

    def epoch(
        self,
        epoch: int,
        length: int | None = None,
        *,
        mask: dict[str, Any] | None = None,
        output: str = "labels",
        **options: Any,
    ) -> dict[int, dict[str, Any]]:
        """Return row id -> name -> values of all rows, masked in an epoch."""
        tokens = self.manifest.tokenizer
        special = {token.id for token in tokens.special_tokens.values()}
        config = replace(self.manifest.mask, **(mask or {}))
        rows: dict[int, dict[str, Any]] = {}
        for columns in self.opened.batches(1000, length):
            arguments = config.arguments()
            # Enough for every row, as a manifest's default is.
            arguments["max_predictions"] = self.num_predictions(columns, config)
            words = columns["word_ids"]
            masked = maskcore.mask_tokens(
                columns["input_ids"].astype(np.int32),
                words > 0,
                word_ids=words - 1 if config.mask_unit == "word" else None,
                row_ids=columns["row_id"][:, 0],
                epoch=epoch,
                mask_id=tokens.special_tokens["mask"].id,
                random_ids=maskcore.allowed_ids(tokens.vocab_size, special),
                output=output,
                **arguments,
                **options,
            )
            made = {
                name: columns[name]
                for name in (
                    "attention_mask",
                    "token_type_ids",
                    "segment_ids",
                    "next_sentence_labels",
                )
                if name in columns
            } | masked._asdict()
            for number, row_id in enumerate(columns["row_id"][:, 0]):
                rows[int(row_id)] = {name: values[number] for name, values in made.items()}
        return rows

    def num_predictions(self, columns: Any, config: MaskConfig) -> int:
        """Return P: the budget of a full row, told plainly."""
        pairs = self.manifest.pairs != "none"
        room = columns["input_ids"].shape[1] - (3 if pairs else 2)
        return max(1, int(config.masking_ratio * room + 0.5))


def assert_rows(batch: dict[str, Any], expected: dict[int, dict[int, dict[str, Any]]]) -> None:
    """Hold a batch with row ids against epoch -> row id -> row."""
    batch = {name: np.asarray(tensor) for name, tensor in batch.items()}
    row_ids, epochs = batch.pop("row_id"), batch.pop("epoch")
    assert row_ids.dtype == np.int64 and epochs.dtype == np.int32
    for number, (row_id, epoch) in enumerate(zip(row_ids.tolist(), epochs.tolist(), strict=True)):
        row = expected[epoch][row_id]
        assert batch.keys() == row.keys()
        for name, values in row.items():
            got = batch[name][number]
            assert got.dtype == (np.float32 if name == "masked_lm_weights" else np.int32), name
            np.testing.assert_array_equal(got, values, err_msg=f"{name} of {row_id} in {epoch}")


def take(dataset: Any, num_batches: int) -> list[dict[str, Any]]:
    """Return the first batches as numpy."""
    return list(islice(dataset.as_numpy_iterator(), num_batches))


def addresses(batches: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return (epoch, row id) of all rows, in order."""
    return [
        (int(epoch), int(row_id))
        for batch in batches
        for epoch, row_id in zip(batch["epoch"], batch["row_id"], strict=True)
    ]


def assert_equal_batches(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
