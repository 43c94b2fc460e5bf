# SPDX-License-Identifier: Apache-2.0
"""Rows of schema "bert" as rows that can be counted and shown: unmasked, with their masked spans.

Owns what can be told from such rows, which hold no words and no ids of rows. Knows nothing of files
or of how rows look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records.encoding.schema import (
    MASKED_LM_IDS,
    MASKED_LM_POSITIONS,
    MASKED_LM_WEIGHTS,
    NEXT_SENTENCE_LABELS,
    SEGMENT_IDS,
    Columns,
)
from maskcore.records.tokenising.tokenise import SpecialToken

__all__ = ["unmasked_rows"]

# Multipliers of a hash of rows: words of Philox4x32-10 of a counter and key of zero, made odd
# (tests/kat/philox4x32_10.json begins with them).
_PLACE_MULTIPLIER = np.uint64(0x6627E8D5E169C58D)
_MIX_MULTIPLIER = np.uint64(0xBC57AC4C9B00DBD9)


def unmasked_rows(
    columns: Columns, special: Mapping[str, SpecialToken], has_labels: bool
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    """Return the rows as they were before they were masked, and the spans that are masked.

    Parameters
    ----------
    columns : name -> array, shape (rows, values)
        The features of schema "bert".
    special : role -> SpecialToken
        Of the tokenizer.
    has_labels : bool
        Whether rows are pairs; else their labels say nothing.

    Returns
    -------
    columns : dict of int arrays
        `input_ids`, `attention_mask`, `token_type_ids`, `word_ids` (each token that may be masked is
        a word, as words are not known), `row_id` (a hash of the row's content), and the labels.
    spans : int32 array, shape (rows, seq_length)
        Masked tokens side by side have the number of their run, from 1 on; others 0.

    """
    input_ids = columns["input_ids"].astype(np.int64)
    rows, slots = np.nonzero(columns[MASKED_LM_WEIGHTS])
    places = columns[MASKED_LM_POSITIONS][rows, slots]
    input_ids[rows, places] = columns[MASKED_LM_IDS][rows, slots]
    is_masked = np.zeros(input_ids.shape, bool)
    is_masked[rows, places] = True
    begins = is_masked.copy()
    begins[:, 1:] &= ~is_masked[:, :-1]
    spans = np.where(is_masked, np.cumsum(begins, axis=1), 0).astype(np.int32)

    used = columns["input_mask"].astype(np.int64)
    never = np.array([token.id for role, token in special.items() if role != "unk"])
    is_maskable = (used > 0) & ~np.isin(input_ids, never)
    unmasked = {
        "attention_mask": used,
        "input_ids": input_ids,
        "row_id": _content_hash(input_ids)[:, None],
        "token_type_ids": columns[SEGMENT_IDS].astype(np.int64),
        "word_ids": np.where(is_maskable, np.arange(1, input_ids.shape[1] + 1), 0),
    }
    if has_labels:
        unmasked[NEXT_SENTENCE_LABELS] = columns[NEXT_SENTENCE_LABELS]
    return unmasked, spans


def _content_hash(input_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number in [0, 2**63) for each row: a polynomial of its ids, mixed."""
    powers = np.full(input_ids.shape[1], _PLACE_MULTIPLIER)
    sums = (input_ids.astype(np.uint64) @ np.multiply.accumulate(powers)).astype(np.uint64)
    for shift in (np.uint64(32), np.uint64(29)):  # wraps modulo 2**64, as it should
        sums = (sums ^ (sums >> shift)) * _MIX_MULTIPLIER
    return ((sums ^ (sums >> np.uint64(32))) >> np.uint64(1)).astype(np.int64)
