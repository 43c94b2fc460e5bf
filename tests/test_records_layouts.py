# SPDX-License-Identifier: Apache-2.0
"""What is stored of a row: the features of each schema and layout, and that they give the row back."""

import hashlib
import io
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from records_forms import LENGTHS, MASK, SPECIAL, form, rows

import maskcore
from maskcore.config import MaskConfig
from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.layouts import smallest_type
from maskcore.records.encoding.schema import predictions_of, stored_columns

PAIR = {
    "attention_mask": [[1, 1, 1, 1, 1, 1, 1, 0]],
    "input_ids": [[2, 300, 7, 3, 8, 9, 3, 0]],
    "next_sentence_labels": [[1]],
    "row_id": [[2**62]],
    "token_type_ids": [[0, 0, 0, 0, 1, 1, 1, 0]],
    "word_ids": [[0, 1, 1, 0, 2, 3, 0, 0]],
}


def columns_of(lists):
    return {name: np.array(values, np.int64) for name, values in lists.items()}


def examples(encoder, stored):
    """Return the records as TensorFlow's messages."""
    records, stops = encoder.encode(stored)
    return [
        tf.train.Example.FromString(records[a + 12 : b - 4].tobytes())
        for a, b in pairwise([0, *stops.tolist()])
    ]


def values(example, name):
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    return kind, list(getattr(feature, kind).value)


def test_a_compact_record_by_hand():
    compact = make_encoder(form(8, layout="compact", has_labels=True))
    (example,) = examples(compact, columns_of(PAIR))
    assert {name: values(example, name) for name in example.features.feature} == {
        "input_ids": (
            "bytes_list",
            [bytes.fromhex("0200 2c01 0700 0300 0800 0900 0300 0000")],
        ),
        "next_sentence_labels": ("int64_list", [1]),
        "num_tokens": ("int64_list", [7]),
        "row_id": ("int64_list", [2**62]),
        "token_type_start": ("int64_list", [4]),
        "word_ids": ("bytes_list", [bytes.fromhex("00 01 01 00 02 03 00 00")]),
    }


def test_words_of_long_rows_by_hand():
    """A word that goes on in a block has the number 1 above the base there."""
    words = np.zeros((1, 300), np.int64)
    words[0, 1:120] = np.arange(1, 120)
    words[0, 120:130] = 120  # from the first block into the second
    words[0, 130:257] = np.arange(121, 248)
    words[0, 298] = 249  # 248 was a special token of the text
    row = {
        "attention_mask": [[1] * 300],
        "input_ids": [[2] + [9] * 298 + [3]],
        "row_id": [[1]],
        "token_type_ids": [[0] * 300],
    }
    encoder = make_encoder(form(300, layout="compact"))
    (example,) = examples(encoder, columns_of(row) | {"word_ids": words})
    kind, (bases,) = values(example, "word_bases")
    assert kind == "bytes_list"
    assert np.frombuffer(bases, "<u2").tolist() == [0, 119, 245]
    above = np.frombuffer(values(example, "word_ids")[1][0], np.uint8)
    assert above[[0, 1, 127, 128, 129, 130, 255, 256, 298, 299]].tolist() == [
        0, 1, 120, 1, 1, 2, 127, 2, 4, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("shape", ["plain", "pairs", "packed"])
@pytest.mark.parametrize("layout", ["int64", "compact"])
@pytest.mark.parametrize("seq_length", LENGTHS)
def test_rows_come_back(seq_length, layout, shape):
    chosen = {"has_labels": shape == "pairs", "pack": shape == "packed"}
    columns = rows(30, seq_length, **chosen, seed=seq_length)
    encoder = make_encoder(form(seq_length, layout=layout, mask_epochs=2, **chosen))
    stored = stored_columns(encoder.form, columns)
    decoded = encoder.decode(*encoder.encode(stored))
    assert decoded.keys() == stored.keys()
    for name, column in decoded.items():
        assert column.dtype == np.int64
        np.testing.assert_array_equal(column, stored[name], err_msg=f"{name}, seed {seq_length}")


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(65535, "uint16"), (65536, "uint16"), (65537, "int32")]
)
def test_ids_take_the_bytes_that_the_vocabulary_needs(vocab_size, dtype):
    encoder = make_encoder(form(8, layout="compact", vocab_size=vocab_size))
    assert encoder.features["input_ids"] == (8, dtype)
    columns = rows(4, 8)
    columns["input_ids"][0, 1] = vocab_size - 1
    decoded = encoder.decode(*encoder.encode(stored_columns(encoder.form, columns)))
    assert decoded["input_ids"][0, 1] == vocab_size - 1


def test_the_smallest_type():
    sizes = [0, 255, 256, 65535, 65536, 2**26]
    types = ["uint8", "uint8", "uint16", "uint16", "int32", "int32"]
    assert [smallest_type(size) for size in sizes] == types


@pytest.mark.parametrize(
    ("name", "place", "value", "problem"),
    [
        ("attention_mask", 2, 0, r"attention_mask\[0, 2\] must be 1 up to the padding, got 0"),
        ("attention_mask", 7, 2, "attention_mask.* must be 1 up to the padding"),
        ("token_type_ids", 5, 0, r"token_type_ids\[0, \d\] must be 0 and then 1 up to the padding"),
        ("token_type_ids", 7, 1, "token_type_ids"),
        ("word_ids", 1, 256, r"word_ids\[0, 1\] must be in \[0, 255\], got 256"),
        ("input_ids", 1, 65536, r"input_ids\[0, 1\] must be in \[0, 65535\], got 65536"),
        ("input_ids", 1, -1, r"input_ids\[0, 1\] must be in \[0, 65535\], got -1"),
    ],
)
def test_what_compact_would_not_give_back_is_refused(name, place, value, problem):
    columns = columns_of(PAIR)
    columns[name][0, place] = value
    encoder = make_encoder(form(8, layout="compact", has_labels=True))
    with pytest.raises(ValueError, match=problem):
        encoder.encode(columns)


def test_words_that_fall_are_refused():
    columns = rows(1, 300)
    columns["word_ids"][0, 1:] = 0
    columns["word_ids"][0, [127, 128]] = 9, 1
    encoder = make_encoder(form(300, layout="compact"))
    with pytest.raises(ValueError, match=r"word_ids\[0, 128\] must be rising.* got 1; use layout"):
        encoder.encode(columns)


def test_rows_that_are_no_pairs_have_one_type():
    columns = columns_of(PAIR)
    del columns["next_sentence_labels"]
    encoder = make_encoder(form(8, layout="compact"))
    with pytest.raises(ValueError, match="must be 0 in rows that are no pairs, got 1"):
        encoder.encode(columns)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"layout": "compact", "file_format": "parquet"},
            "layout must be int64 with file_format 'parquet', got compact",
        ),
        (
            {"schema": "bert", "layout": "compact"},
            "layout must be int64 with schema 'bert', got compact; existing trainers parse",
        ),
        (
            {"schema": "bert", "mask_epochs": 3},
            "mask_epochs must be 0 with schema 'bert', got 3; its rows hold one mask each; dupe_factor",
        ),
        ({"schema": "bert", "pack": True}, "pack must be False with schema 'bert', got True"),
    ],
)
def test_choices_that_exclude_each_other(options, problem):
    with pytest.raises(ValueError, match=problem):
        form(8, **options)


def test_features_of_each_form():
    def described(**options):
        entries = make_encoder(form(300, **options)).features
        return {name: f"{dtype} {length}" for name, (length, dtype) in entries.items()}

    ints = dict.fromkeys(("attention_mask", "input_ids", "token_type_ids"), "int64 300")
    assert described(mask_epochs=3, pack=True) == ints | {
        "masked_lm_counts": "int64 3",
        "masked_lm_positions": "int64 12",
        "row_id": "int64 1",
        "segment_ids": "int64 300",
        "word_ids": "int64 300",
    }
    assert described(layout="compact", mask_epochs=3, pack=True) == {
        "input_ids": "uint16 300",
        "masked_lm_counts": "uint16 3",
        "masked_lm_positions": "uint16 12",
        "num_tokens": "int64 1",
        "row_id": "int64 1",
        "segment_ids": "uint16 300",
        "word_bases": "uint16 3",
        "word_ids": "uint8 300",
    }
    assert described(schema="bert") == {
        "input_ids": "int64 300",
        "input_mask": "int64 300",
        "masked_lm_ids": "int64 4",
        "masked_lm_positions": "int64 4",
        "masked_lm_weights": "float32 4",
        "next_sentence_labels": "int64 1",
        "segment_ids": "int64 300",
    }


def test_room_for_positions_in_each_bin():
    """The longest bin keeps what was asked for, which trainers of schema bert must be told."""
    mask = MaskConfig(max_predictions=20)
    assert predictions_of(mask, 128, 128, 2) == 20
    assert predictions_of(mask, 64, 128, 2) == 9  # 62 tokens, 0.15
    assert predictions_of(mask, 512, 512, 2) == 20
    assert predictions_of(MaskConfig(max_predictions=5), 64, 128, 3) == 5


def test_masks_do_not_depend_on_the_room():
    columns = rows(50, 64)
    tight = stored_columns(form(64, max_predictions=9, mask_epochs=2), columns)
    wide = stored_columns(form(64, max_predictions=77, mask_epochs=2), columns)
    np.testing.assert_array_equal(tight["masked_lm_counts"], wide["masked_lm_counts"])
    of_epochs = wide["masked_lm_positions"].reshape(50, 2, 77)
    assert not of_epochs[..., 9:].any()
    np.testing.assert_array_equal(tight["masked_lm_positions"], of_epochs[..., :9].reshape(50, 18))


def test_rows_of_schema_bert():
    """The masks are those of epoch 0; what is put there is the mask, any id but a special one, or the id."""
    columns = rows(400, 64, has_labels=True, seed=4)
    bert = form(64, schema="bert", max_predictions=12, has_labels=True)
    stored = stored_columns(bert, columns)
    positions, weights = stored["masked_lm_positions"], stored["masked_lm_weights"]
    expected = maskcore.mask_indices(
        columns["word_ids"] > 0,
        word_ids=columns["word_ids"] - 1,
        row_ids=columns["row_id"][:, 0],
        epoch=0,
        seed=3,
        masking_ratio=0.15,
        max_predictions=12,
    )
    np.testing.assert_array_equal(positions, expected.positions)
    np.testing.assert_array_equal(weights, expected.weights)
    row, slot = np.nonzero(weights)
    place = positions[row, slot]
    before = columns["input_ids"]
    np.testing.assert_array_equal(stored["masked_lm_ids"][row, slot], before[row, place])
    restored = stored["input_ids"].copy()
    restored[row, place] = stored["masked_lm_ids"][row, slot]
    np.testing.assert_array_equal(restored, before)
    now = stored["input_ids"][row, place]
    assert set(now[now < 5]) == {MASK}
    is_mask, is_kept = now == MASK, now == before[row, place]
    assert 0.7 < is_mask.mean() < 0.9
    assert 0.05 < is_kept.mean() < 0.16
    assert (~is_mask & ~is_kept).any()
    assert not stored["masked_lm_ids"][weights == 0].any()
    np.testing.assert_array_equal(stored["segment_ids"], columns["token_type_ids"])
    np.testing.assert_array_equal(stored["next_sentence_labels"], columns["next_sentence_labels"])


def test_rows_of_schema_bert_without_pairs_are_labelled_0():
    stored = stored_columns(form(16, schema="bert"), rows(5, 16))
    assert stored["next_sentence_labels"].tolist() == [[0]] * 5


@pytest.mark.parametrize("layout", ["int64", "compact"])
def test_a_writer_describes_its_file(layout):
    encoder = make_encoder(form(32, layout=layout))
    stored = stored_columns(encoder.form, rows(20, 32))
    stream = io.BytesIO()
    writer = encoder.begin(stream)
    for start in range(0, 20, 7):
        writer.write({name: column[start : start + 7] for name, column in stored.items()})
    written = writer.finish()
    content = stream.getvalue()
    assert content == encoder.encode(stored)[0].tobytes()
    assert (written.records, written.bytes) == (20, len(content))
    assert written.sha256 == hashlib.sha256(content).hexdigest()


def test_special_tokens_of_the_tests_are_those_of_the_forms():
    assert [SPECIAL[role].id for role in ("pad", "unk", "cls", "sep", "mask")] == [0, 1, 2, 3, 4]
