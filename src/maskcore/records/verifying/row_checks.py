# SPDX-License-Identifier: Apache-2.0
"""What must hold of every stored row, checked whole batches at once.

Owns the rules of docs/records.md that can be seen in the rows alone. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import message
from maskcore.records.encoding.schema import (
    MASKED_LM_COUNTS,
    MASKED_LM_IDS,
    MASKED_LM_POSITIONS,
    MASKED_LM_WEIGHTS,
    NEXT_SENTENCE_LABELS,
    SEGMENT_IDS,
    Columns,
    RowFormat,
    mask_columns,
)

__all__ = ["RowProblem", "row_problem"]

Bools = NDArray[np.bool_]

FIRST_PLACE_OF_B = 3  # behind [CLS] a [SEP]


class RowProblem(NamedTuple):
    """A row that is not what it must be."""

    row: int
    """Its number in the batch."""
    text: str


class _Rule(NamedTuple):
    column: str
    constraint: str
    is_broken: Bools
    """Shape (rows, places)."""


def row_problem(form: RowFormat, columns: Columns, *, derive_masks: bool) -> RowProblem | None:
    """Return the first rule that a batch breaks, and its first row that does; None if all hold.

    Parameters
    ----------
    form : RowFormat
    columns : name -> array, shape (rows, values)
        What `Encoder.read` yields.
    derive_masks : bool
        Whether stored masks must be the derived ones: only where this maskcore has the algorithm
        that they were drawn by.

    Examples
    --------
    >>> import numpy as np
    >>> from maskcore.records import MaskConfig
    >>> from maskcore.records.tokenising.tokenise import SpecialToken
    >>> form = RowFormat(
    ...     schema="maskcore",
    ...     layout="int64",
    ...     file_format="tfrecord",
    ...     seq_length=4,
    ...     has_labels=False,
    ...     pack=False,
    ...     mask=MaskConfig(),
    ...     mask_epochs=0,
    ...     vocab_size=9,
    ...     special_tokens={
    ...         role: SpecialToken(role, id) for id, role in enumerate(("pad", "cls", "sep"))
    ...     },
    ... )
    >>> row = {"attention_mask": [1, 1, 1, 0], "input_ids": [1, 9, 2, 0], "row_id": [5]}
    >>> row |= {"token_type_ids": [0, 0, 0, 0], "word_ids": [0, 1, 0, 0]}
    >>> columns = {name: np.array([values]) for name, values in row.items()}
    >>> row_problem(form, columns, derive_masks=True).text
    'input_ids[1] must be in [0, 9), got 9; it is the vocabulary'

    """
    rules = _bert_rules if form.schema == "bert" else _maskcore_rules
    for rule in rules(form, columns, derive_masks):
        if rule.is_broken.any():
            row, place = np.argwhere(rule.is_broken)[0].tolist()
            constraint, _, reason = rule.constraint.partition("; ")
            value = columns[rule.column][row, place]
            text = message(f"{rule.column}[{place}]", constraint, value, reason)
            return RowProblem(row, text.removesuffix("; "))
    return None


class _Rows:
    """What the rules of both schemas look at."""

    def __init__(self, form: RowFormat, columns: Columns, used: str, types: str) -> None:
        self.place = np.arange(form.seq_length)
        self.num_tokens = columns[used].sum(axis=1)[:, None]
        self.is_used = self.place < self.num_tokens
        self.is_last = self.place == self.num_tokens - 1
        """Where a text ends: there is a [SEP]."""
        type_starts = self.num_tokens - columns[types].sum(axis=1)[:, None]
        self.is_second = self.is_used & (self.place >= type_starts)
        if form.has_labels:
            self.is_last |= self.place == type_starts - 1
        if form.pack:
            segments = columns[SEGMENT_IDS]
            self.is_last[:, :-1] |= self.is_used[:, :-1] & (segments[:, :-1] != segments[:, 1:])


def _shape_rules(
    form: RowFormat, columns: Columns, rows: _Rows, used: str, types: str
) -> Iterator[_Rule]:
    """Yield what both schemas have: padding, texts, special tokens, the label."""
    ids = columns["input_ids"]
    special = {role: token.id for role, token in form.special_tokens.items()}
    yield _Rule(used, "1 up to the padding and 0 in it", columns[used] != rows.is_used)
    if form.has_labels:
        both = "0 for one text and 1 for the next"
        yield _Rule(types, both, columns[types] != rows.is_second)
        # [CLS] a [SEP] b [SEP], each text of one token at least.
        is_wrong = rows.is_second & (rows.place < FIRST_PLACE_OF_B)
        is_wrong |= rows.is_used & ~rows.is_second & (rows.place >= rows.num_tokens - 2)
        yield _Rule(types, both, is_wrong)
    else:
        yield _Rule(types, "0; rows are no pairs", columns[types] != 0)
    if form.pack:
        yield from _segment_rules(columns[SEGMENT_IDS], rows)
    in_vocabulary = f"in [0, {form.vocab_size}); it is the vocabulary"
    yield _Rule("input_ids", in_vocabulary, (ids < 0) | (ids >= form.vocab_size))
    is_first = rows.place == 0
    yield _Rule("input_ids", f"[CLS], {special['cls']}", is_first & (ids != special["cls"]))
    yield _Rule("input_ids", f"[SEP], {special['sep']}", rows.is_last & (ids != special["sep"]))
    yield _Rule("input_ids", f"[PAD], {special['pad']}", ~rows.is_used & (ids != special["pad"]))
    if NEXT_SENTENCE_LABELS in columns:
        labels = columns[NEXT_SENTENCE_LABELS]
        largest = 1 if form.has_labels else 0
        allowed = "0 or 1" if form.has_labels else "0; rows are no pairs"
        yield _Rule(NEXT_SENTENCE_LABELS, allowed, (labels < 0) | (labels > largest))


def _maskcore_rules(form: RowFormat, columns: Columns, derive_masks: bool) -> Iterator[_Rule]:
    rows = _Rows(form, columns, "attention_mask", "token_type_ids")
    yield from _shape_rules(form, columns, rows, "attention_mask", "token_type_ids")
    words = columns["word_ids"]
    has_no_word = ~rows.is_used | rows.is_last | (rows.place == 0)
    yield _Rule("word_ids", "0; no word is there", has_no_word & (words != 0))
    rising = np.maximum.accumulate(words, axis=1)
    is_wrong = (words < 0) | ((words != 0) & (words != rising)) | (words > rows.place)
    yield _Rule("word_ids", "0 or numbers that rise from 1", is_wrong)
    yield _Rule("row_id", "in [0, 2**63)", columns["row_id"] < 0)
    if form.mask_epochs:
        yield from _mask_rules(form, columns, derive_masks)


def _segment_rules(segments: NDArray[Any], rows: _Rows) -> Iterator[_Rule]:
    steps = np.diff(segments, axis=1, prepend=0)
    is_step = (steps == 0) | (steps == 1)
    is_wrong = rows.is_used & (~is_step | (segments < 1))
    constraint = "the number of a text, from 1 on, and 0 in the padding"
    yield _Rule(SEGMENT_IDS, constraint, is_wrong | (~rows.is_used & (segments != 0)))


def _mask_rules(form: RowFormat, columns: Columns, derive_masks: bool) -> Iterator[_Rule]:
    cap = form.max_predictions
    counts = columns[MASKED_LM_COUNTS]
    yield _Rule(MASKED_LM_COUNTS, f"in [0, {cap}]", (counts < 0) | (counts > cap))
    positions = columns[MASKED_LM_POSITIONS]
    out_of_row = (positions < 0) | (positions >= form.seq_length)
    yield _Rule(MASKED_LM_POSITIONS, f"in [0, {form.seq_length})", out_of_row)
    if derive_masks:
        for name, derived in mask_columns(form.mask, columns, form.mask_epochs).items():
            constraint = "as derived from the seed, the epoch and the row's id"
            yield _Rule(name, constraint, columns[name] != derived)


def _bert_rules(form: RowFormat, columns: Columns, derive_masks: bool) -> Iterator[_Rule]:
    rows = _Rows(form, columns, "input_mask", SEGMENT_IDS)
    yield from _shape_rules(form, columns, rows, "input_mask", SEGMENT_IDS)
    weights, positions = columns[MASKED_LM_WEIGHTS], columns[MASKED_LM_POSITIONS]
    num_masked = np.count_nonzero(weights, axis=1)[:, None]
    is_masked = np.arange(form.max_predictions) < num_masked
    yield _Rule(MASKED_LM_WEIGHTS, "1 for predictions, then 0", weights != is_masked)
    steps = np.diff(positions, axis=1, prepend=0)
    is_wrong = np.where(
        is_masked, (steps <= 0) | (positions >= rows.num_tokens - 1), positions != 0
    )
    yield _Rule(MASKED_LM_POSITIONS, "rising positions of text, then 0", is_wrong)
    ids = columns[MASKED_LM_IDS]
    is_wrong = (ids < 0) | (ids >= form.vocab_size) | (~is_masked & (ids != 0))
    yield _Rule(MASKED_LM_IDS, f"in [0, {form.vocab_size}), then 0", is_wrong)
