# SPDX-License-Identifier: Apache-2.0
"""Which values a stored row has, and how masks follow from them.

Owns the names of docs/records.md, the two schemas "maskcore" and "bert", and the one derivation of
masks from rows, which builder, reader and reports share. Knows nothing of bytes or files: layouts.py
and parquet.py hold those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskcore.config import MaskConfig
from maskcore.errors import value_error
from maskcore.masking import MaskedIndices, mask_indices, mask_positions, mask_spans
from maskcore.records.tokenising.tokenise import SpecialToken
from maskcore.tokens import MaskedTokens, PredictionTokens, allowed_ids, mask_tokens

__all__ = [
    "MASKED_LM_COUNTS",
    "MASKED_LM_POSITIONS",
    "RowFormat",
    "column_lengths",
    "derive_indices",
    "derive_spans",
    "derive_tokens",
    "largest_budget",
    "mask_columns",
    "predictions_of",
    "row_format",
    "stored_columns",
]

MASKED_LM_POSITIONS = "masked_lm_positions"
MASKED_LM_COUNTS = "masked_lm_counts"
MASKED_LM_IDS = "masked_lm_ids"
MASKED_LM_WEIGHTS = "masked_lm_weights"
NEXT_SENTENCE_LABELS = "next_sentence_labels"
SEGMENT_IDS = "segment_ids"

Columns = Mapping[str, NDArray[Any]]

# Epoch of the masks of schema "bert": each duplicate of a document has row ids of its own, and so
# masks of its own.
STATIC_EPOCH = 0


class Described(Protocol):
    """What a plan, its options and a manifest have in common."""

    @property
    def schema(self) -> str: ...
    @property
    def layout(self) -> str: ...
    @property
    def file_format(self) -> str: ...
    @property
    def seq_length(self) -> int: ...
    @property
    def pairs(self) -> str: ...
    @property
    def pack(self) -> bool: ...
    @property
    def mask(self) -> MaskConfig: ...
    @property
    def mask_epochs(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """Everything that the stored form of the rows of one bin depends on.

    Raises
    ------
    ValueError
        For choices that exclude each other; the text says why.

    """

    schema: str
    """"maskcore" or "bert"."""
    layout: str
    """"int64" or "compact"; of TFRecord files."""
    file_format: str
    """"tfrecord" or "parquet"."""
    seq_length: int
    """Of the rows of this bin."""
    has_labels: bool
    """Whether rows are pairs, with `next_sentence_labels`."""
    pack: bool
    """Whether rows hold several documents, kept apart by `segment_ids`."""
    mask: MaskConfig
    """`max_predictions` is that of this bin."""
    mask_epochs: int
    vocab_size: int
    special_tokens: Mapping[str, SpecialToken]

    def __post_init__(self) -> None:
        check_choices(self)

    @property
    def max_predictions(self) -> int:
        """P: room for masked positions in a row."""
        return self.mask.max_predictions or 0


def check_choices(chosen: Any) -> None:
    """Raise for a schema, layout and file format that do not go together.

    Parameters
    ----------
    chosen : value with the attributes schema, layout, file_format, mask_epochs and pack

    Raises
    ------
    ValueError
        The text says which to change.

    """
    if chosen.layout == "compact" and chosen.file_format != "tfrecord":
        raise value_error(
            "layout",
            f"int64 with file_format {chosen.file_format!r}",
            "compact",
            "compact is a form of TFRecord files; Parquet files are compressed as they are",
        )
    if chosen.schema != "bert":
        return
    if chosen.layout != "int64":
        raise value_error(
            "layout",
            "int64 with schema 'bert'",
            chosen.layout,
            "existing trainers parse int64 lists",
        )
    if chosen.mask_epochs:
        raise value_error(
            "mask_epochs",
            "0 with schema 'bert'",
            chosen.mask_epochs,
            "its rows hold one mask each; dupe_factor writes every row with several",
        )
    if chosen.pack:
        raise value_error(
            "pack",
            "False with schema 'bert'",
            chosen.pack,
            "its trainers cannot keep several documents in a row apart",
        )


def row_format(
    described: Described,
    bin_length: int,
    vocab_size: int,
    special_tokens: Mapping[str, SpecialToken],
) -> RowFormat:
    """Return the form of the rows of a bin, from the options of a build or its manifest.

    Parameters
    ----------
    described : a manifest, a plan's options, or anything with their attributes
    bin_length : int
        Tokens in a row of the bin.
    vocab_size, special_tokens : of the tokenizer

    """
    has_labels = described.pairs != "none"
    limit = predictions_of(described.mask, bin_length, described.seq_length, 3 if has_labels else 2)
    return RowFormat(
        schema=described.schema,
        layout=described.layout,
        file_format=described.file_format,
        seq_length=bin_length,
        has_labels=has_labels,
        pack=described.pack,
        mask=replace(described.mask, max_predictions=limit),
        mask_epochs=described.mask_epochs,
        vocab_size=vocab_size,
        special_tokens=special_tokens,
    )


def predictions_of(mask: MaskConfig, bin_length: int, seq_length: int, num_special: int) -> int:
    """Return P of a bin: that of `mask` in the longest bin, and what a full row needs in others.

    The masks are the same for any P that is not below what a row needs.

    >>> predictions_of(MaskConfig(max_predictions=80), 128, 512, 2)
    19
    """
    if mask.max_predictions is None:
        return largest_budget(mask.masking_ratio, bin_length - num_special)
    if bin_length == seq_length:
        return mask.max_predictions
    return min(mask.max_predictions, largest_budget(mask.masking_ratio, bin_length - num_special))


def column_lengths(form: RowFormat) -> dict[str, int]:
    """Return the values in a row of every column that `stored_columns` gives, sorted by name."""
    length, cap = form.seq_length, form.max_predictions
    if form.schema == "bert":
        lengths = {
            "input_ids": length,
            "input_mask": length,
            MASKED_LM_IDS: cap,
            MASKED_LM_POSITIONS: cap,
            MASKED_LM_WEIGHTS: cap,
            NEXT_SENTENCE_LABELS: 1,
            SEGMENT_IDS: length,
        }
        return dict(sorted(lengths.items()))
    lengths = dict.fromkeys(("attention_mask", "input_ids", "token_type_ids", "word_ids"), length)
    lengths["row_id"] = 1
    if form.has_labels:
        lengths[NEXT_SENTENCE_LABELS] = 1
    if form.pack:
        lengths[SEGMENT_IDS] = length
    if form.mask_epochs:
        lengths[MASKED_LM_COUNTS] = form.mask_epochs
        lengths[MASKED_LM_POSITIONS] = form.mask_epochs * cap
    return dict(sorted(lengths.items()))


@lru_cache(maxsize=64)
def largest_budget(masking_ratio: float, num_maskable: int) -> int:
    """Return how many tokens `masking_ratio` masks in a row of `num_maskable`.

    >>> largest_budget(0.15, 126)
    19
    """
    row = np.ones(num_maskable, np.uint8)
    return int(mask_positions(row, masking_ratio=masking_ratio, seed=0).sum())


def _arguments(mask: MaskConfig, columns: Columns) -> dict[str, Any]:
    words = columns["word_ids"]
    return {
        "maskable_positions": words > 0,
        "word_ids": words - 1 if mask.mask_unit == "word" else None,
        "row_ids": columns["row_id"].reshape(len(words)),
        **mask.arguments(),
    }


def derive_indices(mask: MaskConfig, columns: Columns, epoch: ArrayLike) -> MaskedIndices:
    """Return the masks of rows in an epoch; tokens whose `word_ids` are 0 are never masked."""
    return mask_indices(epoch=epoch, **_arguments(mask, columns))


def derive_spans(mask: MaskConfig, columns: Columns, epoch: ArrayLike) -> NDArray[np.int32]:
    """Return the same masks as span numbers."""
    return mask_spans(epoch=epoch, **_arguments(mask, columns))


def derive_tokens(
    form: RowFormat, columns: Columns, epoch: ArrayLike, **options: Any
) -> MaskedTokens | PredictionTokens:
    """Return masked ids by the same masks; `options` are those of `mask_tokens` that no row knows, or another seed."""
    special_ids = tuple(sorted({token.id for token in form.special_tokens.values()}))
    return mask_tokens(
        columns["input_ids"],
        mask_id=form.special_tokens["mask"].id,
        random_ids=_random_ids(form.vocab_size, special_ids),
        epoch=epoch,
        **(_arguments(form.mask, columns) | options),
    )


def mask_columns(
    mask: MaskConfig, columns: Columns, mask_epochs: int
) -> dict[str, NDArray[np.int32]]:
    """Return the features that store the masks of epochs 0 .. `mask_epochs` - 1."""
    if mask_epochs == 0:
        return {}
    arguments = _arguments(mask, columns)
    counts, positions = [], []
    for epoch in range(mask_epochs):
        chosen = mask_indices(epoch=epoch, **arguments)
        counts.append(chosen.weights.sum(axis=1, dtype=np.int32))
        positions.append(chosen.positions)
    return {
        MASKED_LM_COUNTS: np.stack(counts, axis=1),
        MASKED_LM_POSITIONS: np.concatenate(positions, axis=1),
    }


@lru_cache(maxsize=4)
def _random_ids(vocab_size: int, special_ids: tuple[int, ...]) -> NDArray[np.int32]:
    return allowed_ids(vocab_size, special_ids)


def _bert_columns(form: RowFormat, columns: Columns) -> dict[str, NDArray[Any]]:
    """Return the features of create_pretraining_data.py in google-research/bert, commit eedf571.

    `masked_lm_weights` are 1.0 for predictions and 0.0 for padding; the labels are 0 where rows are
    no pairs.
    """
    input_ids = np.ascontiguousarray(columns["input_ids"], np.int32)
    masked = cast(
        "PredictionTokens",
        derive_tokens(form, {**columns, "input_ids": input_ids}, STATIC_EPOCH, output="positions"),
    )
    labels = columns.get(NEXT_SENTENCE_LABELS)
    return {
        "input_ids": masked.input_ids,
        "input_mask": columns["attention_mask"],
        MASKED_LM_IDS: masked.masked_lm_ids,
        MASKED_LM_POSITIONS: masked.masked_lm_positions,
        MASKED_LM_WEIGHTS: masked.masked_lm_weights,
        NEXT_SENTENCE_LABELS: np.zeros((len(input_ids), 1), np.int64) if labels is None else labels,
        SEGMENT_IDS: columns["token_type_ids"],
    }


def stored_columns(form: RowFormat, columns: Columns) -> dict[str, NDArray[Any]]:
    """Return what the records hold of rows: the rows and their stored masks, or BERT's features.

    Parameters
    ----------
    form : RowFormat
    columns : feature name -> integer array, shape (rows, values)
        `input_ids`, `attention_mask`, `token_type_ids`, `word_ids`, `row_id`; with pairs
        `next_sentence_labels`, with packed rows `segment_ids`.

    Returns
    -------
    dict of arrays

    """
    if form.schema == "bert":
        return _bert_columns(form, columns)
    return {**columns, **mask_columns(form.mask, columns, form.mask_epochs)}
