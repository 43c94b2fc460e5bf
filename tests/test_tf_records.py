# SPDX-License-Identifier: Apache-2.0
"""Records as tensors: the same values as numpy reads, in `tf.data`, for every layout."""

from pydoc_data.topics import topics

import numpy as np
import pytest
import tensorflow as tf
from records_forms import LENGTHS, form, rows

import tfshim
from maskcore import records
from maskcore.records import MaskConfig
from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.schema import stored_columns

# What run_pretraining.py of google-research/bert (commit eedf571) and of google-research/albert
# (`masked_lm_budget` 0, its default) parse.
BERT_MAX_SEQ_LENGTH, BERT_MAX_PREDICTIONS_PER_SEQ = 64, 20
BERT_NAME_TO_FEATURES = {
    "input_ids": tf.io.FixedLenFeature([64], tf.int64),
    "input_mask": tf.io.FixedLenFeature([64], tf.int64),
    "segment_ids": tf.io.FixedLenFeature([64], tf.int64),
    "masked_lm_positions": tf.io.FixedLenFeature([20], tf.int64),
    "masked_lm_ids": tf.io.FixedLenFeature([20], tf.int64),
    "masked_lm_weights": tf.io.FixedLenFeature([20], tf.float32),
    "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
}


def write(path, encoder, columns):
    with path.open("wb") as stream:
        writer = encoder.begin(stream)
        writer.write(stored_columns(encoder.form, columns))
        writer.finish()
    return str(path)


def assert_equal(tensors, columns):
    assert list(tensors) == sorted(columns)
    for name, column in columns.items():
        wide = {"row_id": tf.int64, "masked_lm_weights": tf.float32}
        assert tensors[name].dtype == wide.get(name, tf.int32)
        np.testing.assert_array_equal(tensors[name].numpy(), column, err_msg=name)


@pytest.mark.parametrize("shape", ["plain", "pairs", "packed"])
@pytest.mark.parametrize("layout", ["int64", "compact"])
@pytest.mark.parametrize("seq_length", LENGTHS)
def test_tensors_are_what_numpy_reads(tmp_path, seq_length, layout, shape):
    chosen = {"has_labels": shape == "pairs", "pack": shape == "packed"}
    encoder = make_encoder(form(seq_length, layout=layout, mask_epochs=2, **chosen))
    path = write(tmp_path / "rows", encoder, rows(20, seq_length, **chosen, seed=seq_length))
    dataset = tf.data.TFRecordDataset(path).batch(8)
    parsed = dataset.map(lambda batch: tfshim.parse_records(batch, encoder.features))
    lengths = {name: tensor.shape[1] for name, tensor in parsed.element_spec.items()}
    read = list(encoder.read(tmp_path / "rows", 8))
    assert lengths == {name: column.shape[1] for name, column in read[0][0].items()}
    for tensors, (columns, _) in zip(parsed, read, strict=True):
        assert_equal(tensors, columns)


def test_large_vocabularies(tmp_path):
    encoder = make_encoder(form(40, layout="compact", vocab_size=250_000))
    path = write(tmp_path / "rows", encoder, rows(20, 40, vocab_size=250_000))
    ((columns, _),) = encoder.read(tmp_path / "rows", 20)
    assert columns["input_ids"].max() > 65535
    (tensors,) = (
        tf.data.TFRecordDataset(path)
        .batch(20)
        .map(lambda batch: tfshim.parse_records(batch, encoder.features))
    )
    assert_equal(tensors, columns)


@pytest.mark.parametrize("layout", ["int64", "compact"])
def test_shapes_are_static(tmp_path, layout):
    encoder = make_encoder(form(300, layout=layout, has_labels=True))
    path = write(tmp_path / "rows", encoder, rows(9, 300, has_labels=True))

    def shapes(*, drop_remainder):
        batches = tf.data.TFRecordDataset(path).batch(4, drop_remainder=drop_remainder)
        parsed = batches.map(lambda batch: tfshim.parse_records(batch, encoder.features))
        return {name: tuple(spec.shape) for name, spec in parsed.element_spec.items()}

    columns = ("attention_mask", "input_ids", "token_type_ids", "word_ids")
    for batch, drop_remainder in ((None, False), (4, True)):
        expected = dict.fromkeys(columns, (batch, 300))
        expected |= {"next_sentence_labels": (batch, 1), "row_id": (batch, 1)}
        assert shapes(drop_remainder=drop_remainder) == expected


@pytest.mark.parametrize("layout", ["int64", "compact"])
def test_a_batch_without_records(layout):
    encoder = make_encoder(form(300, layout=layout, has_labels=True, mask_epochs=1))
    tensors = tfshim.parse_records(tf.constant([], tf.string), encoder.features)
    assert tensors["word_ids"].shape == (0, 300)
    assert tensors["row_id"].shape == (0, 1)


def test_in_a_function(tmp_path):
    encoder = make_encoder(form(16, layout="compact"))
    path = write(tmp_path / "rows", encoder, rows(3, 16))
    (batch,) = tf.data.TFRecordDataset(path).batch(3)
    parse = tf.function(lambda batch: tfshim.parse_records(batch, encoder.features))
    ((columns, _),) = encoder.read(tmp_path / "rows", 3)
    assert_equal(parse(batch), columns)


def test_a_manifest_says_what_its_bins_hold(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(topics[name] for name in sorted(topics)[:4]))
    records.build(
        tmp_path / "a.txt",
        tmp_path / "r",
        vocab_size=600,
        bins=(32, 64),
        pairs="sop",
        layout="compact",
        mask=MaskConfig(seed=9),
        workers=1,
    )
    opened = records.open(tmp_path / "r")
    for seq_length in (32, 64):
        dataset = tf.data.TFRecordDataset(opened.files(seq_length)).batch(10_000)
        (tensors,) = dataset.map(
            lambda batch, seq_length=seq_length: tfshim.parse_records(
                batch, opened.manifest, seq_length
            )
        )
        found = list(opened.batches(10_000, seq_length))
        assert_equal(tensors, {name: np.concatenate([c[name] for c in found]) for name in found[0]})
    batch = tf.constant([""])
    with pytest.raises(
        ValueError, match="seq_length must be one of 32, 64, got None; a call takes"
    ):
        tfshim.parse_records(batch, opened.manifest)
    with pytest.raises(ValueError, match="seq_length must be one of 32, 64, got 128"):
        tfshim.parse_records(batch, opened.manifest, 128)


def test_arguments_of_another_kind_are_refused():
    features = {"input_ids": (2, "int64")}
    with pytest.raises(
        ValueError, match=r"serialized must be a batch, of shape \(batch,\), got shape"
    ):
        tfshim.parse_records(tf.constant("one record"), features)
    with pytest.raises(
        TypeError, match=r"manifest must be a maskcore\.records\.Manifest.*, got str"
    ):
        tfshim.parse_records(tf.constant(["a"]), "records/")
    with pytest.raises(ValueError, match=r"dtype of a feature must be one of .*, got 'uint4'"):
        tfshim.parse_records(tf.constant(["a"]), {"input_ids": (2, "uint4")})


@pytest.mark.parametrize("layout", ["int64", "compact"])
def test_records_of_another_length_are_refused(tmp_path, layout):
    encoder = make_encoder(form(16, layout=layout))
    path = write(tmp_path / "rows", encoder, rows(3, 16))
    (batch,) = tf.data.TFRecordDataset(path).batch(3)
    longer = make_encoder(form(17, layout=layout)).features
    with pytest.raises(tf.errors.InvalidArgumentError):
        tfshim.parse_records(batch, longer)


def test_schema_bert_parses_as_its_trainers_do(tmp_path):
    """The files of BERT's and ALBERT's own reader, and the tensors of ours."""
    bert = form(
        BERT_MAX_SEQ_LENGTH,
        schema="bert",
        max_predictions=BERT_MAX_PREDICTIONS_PER_SEQ,
        has_labels=True,
    )
    encoder = make_encoder(bert)
    given = rows(30, BERT_MAX_SEQ_LENGTH, has_labels=True)
    path = write(tmp_path / "rows", encoder, given)
    dataset = tf.data.TFRecordDataset(path)
    theirs = [tf.io.parse_single_example(record, BERT_NAME_TO_FEATURES) for record in dataset]
    (ours,) = dataset.batch(30).map(lambda batch: tfshim.parse_records(batch, encoder.features))
    assert ours.keys() == BERT_NAME_TO_FEATURES.keys()
    for name, tensor in ours.items():
        np.testing.assert_array_equal(tensor.numpy(), [example[name] for example in theirs])
    example = tf.train.Example.FromString(next(iter(dataset)).numpy())
    assert set(example.features.feature) == set(BERT_NAME_TO_FEATURES)
    restored = np.array([example["input_ids"] for example in theirs])
    weights = np.array([example["masked_lm_weights"] for example in theirs])
    row, slot = np.nonzero(weights)
    places = np.array([example["masked_lm_positions"] for example in theirs])[row, slot]
    restored[row, places] = np.array([example["masked_lm_ids"] for example in theirs])[row, slot]
    np.testing.assert_array_equal(restored, given["input_ids"])
    assert weights.sum(axis=1).min() >= 1
