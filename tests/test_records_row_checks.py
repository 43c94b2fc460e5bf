# SPDX-License-Identifier: Apache-2.0
"""What `verify` asks of each row, and of row ids: every rule is kept by rows and broken by one wrong value."""

import tracemalloc

import numpy as np
import pytest
from records_forms import form, rows

from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.schema import stored_columns
from maskcore.records.verifying.row_checks import row_problem
from maskcore.records.verifying.row_id_set import MAX_HELD, RowIdSet


@pytest.mark.parametrize(
    ("shape", "name", "place", "value", "problem"),
    [
        (
            "plain",
            "attention_mask",
            3,
            0,
            "attention_mask[3] must be 1 up to the padding and 0 in it",
        ),
        ("plain", "input_ids", 3, -1, "input_ids[3] must be in [0, 1000), got -1"),
        ("plain", "input_ids", 3, 1000, "input_ids[3] must be in [0, 1000), got 1000"),
        ("plain", "input_ids", 0, 9, "input_ids[0] must be [CLS], 2, got 9"),
        ("plain", "input_ids", 31, 9, "input_ids[31] must be [SEP], 3, got 9"),
        ("plain", "token_type_ids", 4, 1, "token_type_ids[4] must be 0, got 1; rows are no pairs"),
        ("plain", "word_ids", 0, 1, "word_ids[0] must be 0, got 1; no word is there"),
        ("plain", "word_ids", 31, 1, "word_ids[31] must be 0, got 1"),
        ("plain", "word_ids", 1, 9, "must be 0 or numbers that rise from 1"),
        ("plain", "word_ids", 20, -1, "word_ids[20] must be 0 or numbers that rise from 1, got -1"),
        ("plain", "row_id", 0, -1, "row_id[0] must be in [0, 2**63), got -1"),
        ("plain", "masked_lm_counts", 1, 5, "masked_lm_counts[1] must be in [0, 4], got 5"),
        (
            "plain",
            "masked_lm_positions",
            2,
            32,
            "masked_lm_positions[2] must be in [0, 32), got 32",
        ),
        ("plain", "masked_lm_positions", 0, 31, "masked_lm_positions[0] must be as derived"),
        ("pairs", "token_type_ids", 1, 1, "token_type_ids"),
        ("pairs", "next_sentence_labels", 0, 2, "next_sentence_labels[0] must be 0 or 1, got 2"),
        ("packed", "segment_ids", 9, 7, "segment_ids"),
        ("packed", "segment_ids", 0, 0, "segment_ids"),
        ("bert", "input_mask", 3, 0, "input_mask[3] must be 1 up to the padding"),
        ("bert", "next_sentence_labels", 0, 1, "next_sentence_labels[0] must be 0, got 1"),
        ("bert", "masked_lm_weights", 0, 0.5, "masked_lm_weights[0] must be 1 for predictions"),
        ("bert", "masked_lm_positions", 0, 31, "must be rising positions of text, then 0"),
        ("bert", "masked_lm_positions", 0, 0, "masked_lm_positions[0] must be rising positions"),
        (
            "bert",
            "masked_lm_ids",
            0,
            1000,
            "masked_lm_ids[0] must be in [0, 1000), then 0, got 1000",
        ),
    ],
)
def test_every_rule_of_a_row(shape, name, place, value, problem):
    """Rows of the tests' own making keep all rules; one wrong value breaks one."""
    chosen = {"has_labels": shape == "pairs", "pack": shape == "packed"}
    options = {"schema": "bert"} if shape == "bert" else {"mask_epochs": 2}
    encoder = make_encoder(form(32, **chosen, **options))
    stored = stored_columns(encoder.form, rows(40, 32, **chosen))
    columns = encoder.decode(*encoder.encode(stored))
    assert row_problem(encoder.form, columns, derive_masks=True) is None
    columns[name][3, place] = value  # a full row: every third is
    found = row_problem(encoder.form, columns, derive_masks=True)
    assert found.row == 3
    assert problem in found.text


@pytest.mark.parametrize("name", ["input_ids", "token_type_ids", "word_ids"])
def test_padding_holds_nothing(name):
    encoder = make_encoder(form(32, mask_epochs=0))
    columns = {n: np.array(c) for n, c in stored_columns(encoder.form, rows(40, 32)).items()}
    row = int(np.argmin(columns["attention_mask"].sum(axis=1)))
    columns[name][row, 31] = 1
    found = row_problem(encoder.form, columns, derive_masks=True)
    assert found.row == row
    assert found.text.startswith(f"{name}[")


@pytest.mark.parametrize("max_held", [1, 10, 10_000])
def test_repeated_numbers_are_found_with_little_memory(max_held):
    """Whether they fit in memory or go to files."""
    random = np.random.default_rng(8)
    ids = random.permutation(random.integers(0, 2**63, 1000))
    repeated = np.sort(ids[[5, 500, 999]])
    with RowIdSet(max_held) as found:
        for part in np.array_split(np.concatenate([ids, repeated, repeated[:1]]), 7):
            found.add(part)
        assert found.duplicates(10).tolist() == repeated.tolist()
    with RowIdSet(max_held) as found:
        found.add(ids)
        assert found.duplicates(10).tolist() == []
        found.add(np.array([0, 2**63 - 1]))
        found.add(np.array([2**63 - 1, 0]))
        assert found.duplicates(10).tolist() == [0, 2**63 - 1]
        assert found.duplicates(1).tolist() == [0]
    with RowIdSet(max_held) as found:
        assert found.duplicates(10).tolist() == []


@pytest.mark.parametrize("num_added", [1 << 18, 3 << 18])
def test_row_ids_take_twice_the_memory_of_those_that_are_held(num_added):
    """With 2**25 ids that was more than the 400 MB that `verify` documents."""
    random = np.random.default_rng(9)
    parts = [random.integers(0, 2**63, 1 << 12) for _ in range(num_added >> 12)]
    with RowIdSet(1 << 18) as found:
        tracemalloc.start()
        for part in parts:
            found.add(part.copy())
        assert found.duplicates(10).size == 0
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2.3 * 8 * (1 << 18)
    interpreter_bytes = 60 << 20
    assert 2.3 * 8 * MAX_HELD + interpreter_bytes < 400e6
