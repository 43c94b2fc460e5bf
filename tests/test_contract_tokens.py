# SPDX-License-Identifier: Apache-2.0
"""What `mask_tokens` promises, on every backend: ids, labels, special tokens, the table of random ids.

Owns replacement, checked against the choice of `mask_indices`; its chances are in test_statistics_tokens.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import Backend, assert_identical, random_maskable
from numpy.typing import NDArray

import maskcore

MASK, CLS, SEP, PAD = 103, 101, 102, 0
SPECIAL = [PAD, CLS, SEP, MASK]
TABLE = np.array([1000, 1007, 2000], np.int32)


def ids_of(num_rows: int, length: int) -> NDArray[np.int32]:
    """Return different ids at different places, so that what is moved is seen."""
    return np.arange(3000, 3000 + num_rows * length, dtype=np.int32).reshape(num_rows, length)


def test_labels_are_the_ids_where_masked(backend: Backend) -> None:
    ids, maskable = ids_of(6, 80), random_maskable(1, 6, 80)
    mask = maskcore.mask_positions(maskable, 20, seed=5)
    tokens = maskcore.mask_tokens(ids, maskable, 20, mask_id=MASK, random_ids=TABLE, seed=5)
    assert_identical(tokens.labels, np.where(mask == 1, ids, -100).astype(np.int32))
    assert_identical(tokens.input_ids[mask == 0], ids[mask == 0])


def test_positions_are_those_of_mask_indices(backend: Backend) -> None:
    ids, maskable = ids_of(6, 80), random_maskable(2, 6, 80)
    keywords: dict[str, Any] = {"masking_ratio": 0.2, "max_predictions": 18, "seed": 5}
    positions, weights = maskcore.mask_indices(maskable, **keywords)
    tokens = maskcore.mask_tokens(
        ids, maskable, mask_id=MASK, random_ids=TABLE, output="positions", **keywords
    )
    assert_identical(tokens.masked_lm_positions, positions)
    assert_identical(tokens.masked_lm_weights, weights)
    originals = np.take_along_axis(ids, positions, axis=1) * weights.astype(np.int32)
    assert_identical(tokens.masked_lm_ids, originals)
    both = maskcore.mask_tokens(ids, maskable, mask_id=MASK, random_ids=TABLE, **keywords)
    assert_identical(tokens.input_ids, both.input_ids)


@pytest.mark.parametrize(
    ("replacement", "written"), [((1, 0, 0), {MASK}), ((0, 1, 0), {1000, 1007, 2000})]
)
def test_one_outcome_only(
    replacement: tuple[float, ...], written: set[int], backend: Backend
) -> None:
    """Every id of the table is drawn, and no other; `random_ids` may be left out without a random share."""
    ids = ids_of(9, 80)
    tokens = maskcore.mask_tokens(
        ids,
        np.ones_like(ids),
        40,
        mask_id=MASK,
        random_ids=TABLE if replacement[1] else None,
        replacement=replacement,
        seed=1,
    )
    assert set(tokens.input_ids[tokens.labels != -100].tolist()) == written


def test_all_kept(backend: Backend) -> None:
    ids = ids_of(2, 30)
    tokens = maskcore.mask_tokens(
        ids, np.ones_like(ids), 30, mask_id=MASK, replacement=(0, 0, 1), seed=1
    )
    assert_identical(tokens.input_ids, ids)
    assert_identical(tokens.labels, ids)


def test_a_masked_token_has_one_of_three_fates(backend: Backend) -> None:
    """With words too, where transformers has no 80/10/10; each is decided on its own."""
    ids = ids_of(20, 80)
    words = np.tile(np.arange(80) // 4, (20, 1))
    tokens = maskcore.mask_tokens(
        ids, np.ones_like(ids), 40, mask_id=MASK, random_ids=TABLE, word_ids=words, seed=1,
        replacement=(0.4, 0.3, 0.3),
    )  # fmt: skip
    masked = tokens.labels != -100
    is_mask, is_random = tokens.input_ids == MASK, np.isin(tokens.input_ids, TABLE)
    is_kept = tokens.input_ids == ids
    assert (is_mask.astype(int) + is_random + is_kept == 1).all()
    assert (is_kept | masked).all()
    assert all((fate & masked).any() for fate in (is_mask, is_random, is_kept))
    fates = np.where(is_mask, 0, np.where(is_random, 1, 2)).reshape(20, 20, 4)
    whole = fates[masked.reshape(20, 20, 4).all(axis=2)]
    assert any(len(set(word.tolist())) > 1 for word in whole)


def test_a_tokens_fate_is_addressed_by_its_position(backend: Backend) -> None:
    """What is written at a position does not depend on which other positions are masked."""
    ids = ids_of(5, 80)
    keywords: dict[str, Any] = {"mask_id": MASK, "random_ids": TABLE, "seed": 3}
    all_masked = maskcore.mask_tokens(ids, np.ones_like(ids), 80, **keywords)
    few = maskcore.mask_tokens(ids, random_maskable(4, 5, 80), 9, max_n=1, **keywords)
    masked = few.labels != -100
    assert masked.sum() == 45
    assert_identical(few.input_ids[masked], all_masked.input_ids[masked])


# Special tokens.


def test_special_ids_are_never_masked_nor_written(backend: Backend) -> None:
    """ModernBERT and fairseq mask special tokens; BERT and ALBERT draw them as random ids."""
    row = [CLS, *range(2000, 2040), SEP, *range(2040, 2070), SEP, PAD, PAD, PAD]
    ids = np.tile(np.array(row, np.int32), (30, 1))
    table = maskcore.allowed_ids(200, special_ids=SPECIAL)
    tokens = maskcore.mask_tokens(
        ids, masking_ratio=1.0, mask_id=MASK, random_ids=table, special_ids=SPECIAL, seed=1,
        replacement=(0, 1, 0),
    )  # fmt: skip
    is_special = np.isin(ids, SPECIAL)
    assert_identical(tokens.labels != -100, ~is_special)
    assert_identical(tokens.input_ids[is_special], ids[is_special])
    assert not np.isin(tokens.input_ids[~is_special], SPECIAL).any()


def test_special_ids_and_maskable_positions_must_both_allow(backend: Backend) -> None:
    tokens = maskcore.mask_tokens(
        [[5, 7, 5, 7]], [[1, 1, 0, 0]], 4, mask_id=9, special_ids=[7], replacement=(1, 0, 0), seed=1
    )
    assert_identical(tokens.labels, np.array([[5, -100, -100, -100]]))


def test_special_tokens_part_spans_and_words(backend: Backend) -> None:
    """A special id inside a word keeps the whole word from being masked."""
    tokens = maskcore.mask_tokens(
        [[5, 7, 5, 6]], None, 4, mask_id=9, special_ids=[7], word_ids=[[0, 0, 1, 1]],
        replacement=(1, 0, 0), seed=1,
    )  # fmt: skip
    assert_identical(tokens.input_ids, np.array([[5, 7, 9, 9]]))


@pytest.mark.parametrize(
    "special_ids",
    [[2, 3, 4, 9], [9, 4, 4, 3, 2], (2, 3, 4, 9), {9, 2, 3, 4}, np.array([2, 3, 4, 9], np.uint8)],
    ids=["sorted", "with doubles", "tuple", "set", "array"],
)
def test_special_ids_are_a_set(special_ids: Any, backend: Backend) -> None:
    ids = np.array([1, 2, 3, 4, 5, 8, 9, 10], np.int64)
    tokens = maskcore.mask_tokens(
        ids, None, 8, mask_id=0, special_ids=special_ids, replacement=(1, 0, 0), seed=1
    )
    assert_identical(tokens.input_ids, np.array([0, 2, 3, 4, 0, 0, 9, 0]))


class ChangingIds:
    """Ids that hash and compare by identity, as tensors do."""

    def __init__(self, *ids: int) -> None:
        self.ids = ids

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids)


def test_special_ids_that_have_changed(backend: Backend) -> None:
    """What the first call made of an object was used after the object had changed."""
    special = ChangingIds(2)
    keywords: dict[str, Any] = {"mask_id": 0, "special_ids": special, "replacement": (1, 0, 0)}
    ids = np.array([1, 2, 3], np.int32)
    assert maskcore.mask_tokens(ids, None, 3, **keywords).input_ids.tolist() == [0, 2, 0]
    special.ids = (3,)
    assert maskcore.mask_tokens(ids, None, 3, **keywords).input_ids.tolist() == [0, 0, 3]


# The table.


@pytest.mark.parametrize(
    "random_ids",
    [[5, 6, 9], (5, 6, 9), np.array([5, 6, 9], np.uint16), [range(5, 7), range(9, 10)], [(5, 7), (9, 10)]],
    ids=["list", "tuple", "array", "ranges", "pairs"],
)  # fmt: skip
def test_forms_of_the_table(random_ids: Any, backend: Backend) -> None:
    ids = ids_of(4, 64)
    keywords: dict[str, Any] = {"mask_id": 1, "replacement": (0, 1, 0), "seed": 2}
    expected = maskcore.mask_tokens(
        ids, np.ones_like(ids), 64, random_ids=np.array([5, 6, 9], np.int32), **keywords
    )
    given = maskcore.mask_tokens(ids, np.ones_like(ids), 64, random_ids=random_ids, **keywords)
    assert_identical(given, expected)
    assert set(given.input_ids.ravel().tolist()) == {5, 6, 9}


def test_the_order_of_the_table_is_kept(backend: Backend) -> None:
    """A table given as ranges is their concatenation in the order given."""
    ids = ids_of(1, 64)
    keywords: dict[str, Any] = {"mask_id": 1, "replacement": (0, 1, 0), "seed": 2}
    up = maskcore.mask_tokens(ids, np.ones_like(ids), 64, random_ids=[(5, 7), (9, 10)], **keywords)
    down = maskcore.mask_tokens(
        ids, np.ones_like(ids), 64, random_ids=[(9, 10), (5, 7)], **keywords
    )
    names = {5: 9, 6: 5, 9: 6}
    assert [names[token] for token in up.input_ids[0].tolist()] == down.input_ids[0].tolist()


def test_a_table_of_one(backend: Backend) -> None:
    ids = ids_of(2, 40)
    tokens = maskcore.mask_tokens(
        ids, np.ones_like(ids), 40, mask_id=1, random_ids=[2**31 - 1], replacement=(0, 1, 0), seed=2
    )
    assert set(tokens.input_ids.ravel().tolist()) == {2**31 - 1}


def test_allowed_ids() -> None:
    table = maskcore.allowed_ids(8, special_ids=[0, 5, 99, 5])
    assert_identical(table, np.array([1, 2, 3, 4, 6, 7], np.int32))


# Dtypes, and where it is written.


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_the_outputs_have_the_ids_dtype(dtype: str, backend: Backend) -> None:
    ids = np.array([[5, 6, 7]], dtype)
    keywords: dict[str, Any] = {"mask_id": 9, "replacement": (1, 0, 0), "seed": 1}
    tokens = maskcore.mask_tokens(ids, [[1, 0, 1]], 2, **keywords)
    assert_identical(tokens.input_ids, np.array([[9, 6, 9]], dtype))
    assert_identical(tokens.labels, np.array([[5, -100, 7]], dtype))
    fixed = maskcore.mask_tokens(
        ids, [[1, 0, 1]], 2, output="positions", max_predictions=3, **keywords
    )
    assert_identical(fixed.masked_lm_ids, np.array([[5, 7, 0]], dtype))


@pytest.mark.parametrize("ignore_index", [-(2**15) - 1, 2**15, -(2**31), 2**31 - 1])
def test_labels_are_int32_where_ignore_index_does_not_fit(
    ignore_index: int, backend: Backend
) -> None:
    tokens = maskcore.mask_tokens(
        np.array([5, -6, 7], np.int16), [0, 1, 0], 2, mask_id=9, replacement=(1, 0, 0), seed=1,
        ignore_index=ignore_index,
    )  # fmt: skip
    assert_identical(tokens.labels, np.array([ignore_index, -6, ignore_index], np.int32))
    assert_identical(tokens.input_ids, np.array([5, 9, 7], np.int16))


def test_in_place(backend: Backend) -> None:
    ids, maskable = ids_of(4, 50), random_maskable(3, 4, 50)
    keywords: dict[str, Any] = {"mask_id": MASK, "random_ids": TABLE, "seed": 1}
    expected = maskcore.mask_tokens(ids, maskable, 9, **keywords)
    given = ids.copy()
    tokens = maskcore.mask_tokens(given, maskable, 9, out=given, **keywords)
    assert tokens.input_ids is given
    assert_identical(tokens, expected)
    given = ids.copy()
    fixed = maskcore.mask_tokens(given, maskable, 9, out=given, output="positions", **keywords)
    assert_identical(fixed.input_ids, expected.input_ids)
    assert_identical(fixed.masked_lm_ids[0], ids[0, fixed.masked_lm_positions[0]])
    other = np.zeros_like(ids)
    assert maskcore.mask_tokens(ids, maskable, 9, out=other, **keywords).input_ids is other
    assert_identical(other, expected.input_ids)


def test_ids_are_not_changed_unless_in_place(backend: Backend) -> None:
    ids = ids_of(2, 20)
    maskcore.mask_tokens(ids, np.ones_like(ids), 20, mask_id=MASK, replacement=(1, 0, 0), seed=1)
    assert_identical(ids, ids_of(2, 20))


def test_out_that_overlaps_an_input(backend: Backend) -> None:
    """Inputs are read as they were given, wherever the output lies."""
    memory = np.arange(101, dtype=np.int32)
    ids, shifted = memory[:100].reshape(2, 50), memory[1:].reshape(2, 50)
    maskable = random_maskable(5, 2, 50).astype(np.int32)
    keywords: dict[str, Any] = {"mask_id": 7, "replacement": (1, 0, 0), "seed": 1}
    expected = maskcore.mask_tokens(ids.copy(), maskable, 9, **keywords)
    tokens = maskcore.mask_tokens(ids, maskable, 9, out=shifted, **keywords)
    assert_identical(tokens, expected)
    ids = ids_of(2, 50)
    expected = maskcore.mask_tokens(ids, maskable, 9, segment_ids=maskable, **keywords)
    out = maskable.copy()
    tokens = maskcore.mask_tokens(ids, out, 9, segment_ids=maskable, out=out, **keywords)
    assert_identical(tokens, expected)
    out = maskable.copy()
    tokens = maskcore.mask_tokens(ids, maskable, 9, segment_ids=out, out=out, **keywords)
    assert_identical(tokens, expected)
    memory = np.zeros(101, np.int32)
    memory[:100] = maskable.ravel()
    given, out = memory[:100].reshape(2, 50), memory[1:].reshape(2, 50)
    tokens = maskcore.mask_tokens(ids, given, 9, segment_ids=given, out=out, **keywords)
    assert_identical(tokens, expected)


@pytest.mark.parametrize("shape", [(0,), (0, 0), (3, 0), (0, 5)])
def test_empty_rows_and_batches(shape: tuple[int, ...], backend: Backend) -> None:
    ids = np.zeros(shape, np.int16)
    keywords: dict[str, Any] = {"mask_id": 9, "special_ids": [0], "replacement": (1, 0, 0)}
    tokens = maskcore.mask_tokens(ids, None, 3, seed=1, **keywords)
    assert_identical(tokens, maskcore.MaskedTokens(ids, ids))
    fixed = maskcore.mask_tokens(
        ids, None, 3, seed=1, output="positions", max_predictions=4, **keywords
    )
    assert_identical(fixed.masked_lm_ids, np.zeros((*shape[:-1], 4), np.int16))


def test_rows_do_not_depend_on_batch_or_threads(backend: Backend) -> None:
    ids, maskable = ids_of(9, 60), random_maskable(6, 9, 60)
    keywords: dict[str, Any] = {"mask_id": MASK, "random_ids": TABLE, "seed": 1}
    row_ids = np.arange(50, 59)
    whole = maskcore.mask_tokens(ids, maskable, 9, row_ids=row_ids, **keywords)
    threaded = maskcore.mask_tokens(ids, maskable, 9, row_ids=row_ids, num_threads=4, **keywords)
    assert_identical(threaded, whole)
    for rows in (slice(0, 4), slice(None, None, -1)):
        part = maskcore.mask_tokens(ids[rows], maskable[rows], 9, row_ids=row_ids[rows], **keywords)
        assert_identical(part, maskcore.MaskedTokens(*(array[rows] for array in whole)))
