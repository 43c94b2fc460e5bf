# SPDX-License-Identifier: Apache-2.0
"""Rows as arrays: special tokens, padding, numbered words and segments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_helpers import DOCUMENTS, SPECIAL, key_of, slices_of, tokens_of

from maskcore.records.rows.columns import make_columns
from maskcore.records.rows.row_identity import row_id_of
from maskcore.records.rows.row_table import RowRecipe, make_row_table

DOCUMENT = [[[10, 11], [12]], [[3], [14]]]


def columns_of(documents, length=None, rows=None, **recipe):
    tokens = tokens_of(documents)
    table, _ = make_row_table(tokens, RowRecipe(**recipe))
    chosen = np.arange(table.num_rows) if rows is None else np.array(rows, np.int64)
    length = recipe["seq_length"] if length is None else length
    return make_columns(tokens, table, chosen, length, SPECIAL)


def test_rows_without_pairs():
    columns = columns_of([DOCUMENT, [[[15, 16, 17]]]], seq_length=8)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "input_ids": [[1, 10, 11, 12, 3, 14, 2, 0], [1, 15, 16, 17, 2, 0, 0, 0]],
        "attention_mask": [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0, 0]],
        # 3 is [MASK], which the text gave: it is no word.
        "word_ids": [[0, 1, 1, 2, 0, 4, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0]],
        "token_type_ids": [[0] * 8] * 2,
        "row_id": [[row_id_of(key_of(0), 0)], [row_id_of(key_of(1), 0)]],
    }
    assert {name: column.dtype for name, column in columns.items()} == {
        "input_ids": np.int32,
        "attention_mask": np.int32,
        "word_ids": np.int32,
        "token_type_ids": np.int32,
        "row_id": np.int64,
    }


def test_a_pair_in_order_and_swapped():
    found = {}
    for seed in range(12):
        columns = columns_of([DOCUMENT], seq_length=10, pairs="sop", seed=seed)
        assert columns["next_sentence_labels"].shape == (1, 1)
        assert columns["next_sentence_labels"].dtype == np.int32
        label = int(columns.pop("next_sentence_labels")[0, 0])
        del columns["row_id"]
        found[label] = {name: column[0].tolist() for name, column in columns.items()}
    assert found == {
        0: {
            "input_ids": [1, 10, 11, 12, 2, 3, 14, 2, 0, 0],
            "attention_mask": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
            "token_type_ids": [0, 0, 0, 0, 0, 1, 1, 1, 0, 0],
            "word_ids": [0, 1, 1, 2, 0, 0, 4, 0, 0, 0],
        },
        1: {
            "input_ids": [1, 3, 14, 2, 10, 11, 12, 2, 0, 0],
            "attention_mask": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
            "token_type_ids": [0, 0, 0, 0, 1, 1, 1, 1, 0, 0],
            "word_ids": [0, 0, 2, 0, 3, 3, 4, 0, 0, 0],
        },
    }


def test_a_packed_row():
    columns = columns_of([[[[20, 21, 22, 23]]], [[[10], [11]]]], seq_length=12, pack=True)
    del columns["row_id"]
    assert {name: column.tolist() for name, column in columns.items()} == {
        "input_ids": [[1, 20, 21, 22, 23, 2, 1, 10, 11, 2, 0, 0]],
        "attention_mask": [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]],
        "token_type_ids": [[0] * 12],
        "word_ids": [[0, 1, 1, 1, 1, 0, 0, 2, 3, 0, 0, 0]],
        "segment_ids": [[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]],
    }


def test_a_word_that_is_cut_begins_anew_in_the_next_slice():
    columns = columns_of([[[[10, 11, 12, 13]]]], seq_length=7, pairs="sop", seed=1)
    words = columns["word_ids"][0]
    assert sorted(set(words.tolist())) == [0, 1, 2]
    columns = columns_of([[[[10, 11, 12, 13]]]], seq_length=5)
    assert columns["word_ids"].tolist() == [[0, 1, 1, 1, 0], [0, 1, 0, 0, 0]]


def test_rows_of_one_bin_in_any_order():
    documents = [[[[10]]], [[[11, 12, 13]]], [[[14, 15]]], [[[16, 17, 18, 19]]]]
    recipe = {"seq_length": 8, "bins": (4, 8)}
    short = columns_of(documents, 4, [2, 0], **recipe)
    assert short["input_ids"].tolist() == [[1, 14, 15, 2], [1, 10, 2, 0]]
    assert short["row_id"].tolist() == [[row_id_of(key_of(2), 0)], [row_id_of(key_of(0), 0)]]
    with pytest.raises(ValueError, match=r"rows must be of at most seq_length = 4 .* row 1 of 5;"):
        columns_of(documents, 4, [0, 1], **recipe)


@pytest.mark.parametrize("recipe", [{}, {"pairs": "sop"}, {"pack": True}])
def test_no_rows(recipe):
    columns = columns_of([DOCUMENT], rows=[], seq_length=8, **recipe)
    names = {"input_ids", "attention_mask", "token_type_ids", "word_ids", "row_id"}
    names |= {"next_sentence_labels"} if "pairs" in recipe else set()
    names |= {"segment_ids"} if "pack" in recipe else set()
    assert set(columns) == names
    assert columns["input_ids"].shape == (0, 8)
    assert columns["row_id"].shape == (0, 1)


def columns_plainly(slices, begins, is_pair, length):
    """Build one row token by token: the oracle. `begins` says which ids begin a word."""
    ids, types, words, segments = [], [], [], []
    word = 0
    for number, part in enumerate(slices):
        if number == 0 or not is_pair:
            ids, words = [*ids, 1], [*words, 0]
        for at, token in enumerate(part):
            word += begins[token] or at == 0
            ids, words = [*ids, token], [*words, word if token > 3 else 0]
        ids, words = [*ids, 2], [*words, 0]
        types += [number if is_pair else 0] * (len(ids) - len(types))
        segments += [number + 1] * (len(ids) - len(segments))
    used = len(ids)
    return [column + [0] * (length - used) for column in (ids, [1] * used, types, words, segments)]


@settings(max_examples=100, deadline=None)
@given(
    DOCUMENTS,
    st.sampled_from([{}, {"pairs": "sop"}, {"pairs": "nsp"}, {"pack": True}]),
    st.integers(5, 24),
    st.integers(0, 5),
)
def test_columns_are_those_built_token_by_token(documents, recipe, length, seed):
    """Every token gets an id of its own, except that those of 10 are [MASK]."""
    next_id = 100
    for sentences in documents:
        for sentence in sentences:
            for word in sentence:
                for at, token in enumerate(word):
                    word[at] = 3 if token == 10 else next_id
                    next_id += 1
    tokens = tokens_of(documents)
    begins = dict(zip(tokens.ids.tolist(), tokens.starts_word.tolist(), strict=True))
    # [MASK] stands in several places: it begins a word in all of them, or in none.
    tokens.starts_word[tokens.ids == 3] = True
    begins[3] = True
    table, _ = make_row_table(
        tokens, RowRecipe(seq_length=length, short_seq_prob=0.2, seed=seed, **recipe)
    )
    rows = np.random.default_rng(seed).permutation(table.num_rows)
    columns = make_columns(tokens, table, rows, length, SPECIAL)
    slices = slices_of(tokens, table)
    names = ["input_ids", "attention_mask", "token_type_ids", "word_ids"]
    names += ["segment_ids"] if "pack" in recipe else []
    for place, row in enumerate(rows.tolist()):
        expected = columns_plainly(slices[row], begins, "pairs" in recipe, length)
        for name, values in zip(names, expected, strict=False):
            assert columns[name][place].tolist() == values, name
    assert columns["row_id"][:, 0].tolist() == table.row_id[rows].tolist()
    if "pairs" in recipe:
        assert columns["next_sentence_labels"][:, 0].tolist() == table.label[rows].tolist()
