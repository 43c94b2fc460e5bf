# SPDX-License-Identifier: Apache-2.0
"""TFRecord files without TensorFlow: the bytes are TensorFlow's, and damage is found."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from maskcore.records import RecordsError
from maskcore.records.example import ExampleLayout, decode_varints, encode_varints
from maskcore.records.tfrecord import ShardWriter, frame, read_messages

# Where a varint grows by a byte, and the ends of the range.
VARINT_EDGES = [0, 1, *(2 ** (7 * k) + d for k in range(1, 9) for d in (-1, 0, 1)), 2**63 - 1]


def example_bytes(columns, row):
    """Return the message that TensorFlow makes of a row."""
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=column[row]))
        for name, column in columns.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def columns_of(rng, num_rows, lengths):
    columns = {}
    for name, length in lengths.items():
        bits = rng.integers(0, 64, (num_rows, length))
        values = rng.integers(0, 2**63, (num_rows, length), dtype=np.int64, endpoint=False)
        columns[name] = values >> np.minimum(63, bits)
    return columns


def test_a_message_by_hand():
    """Drawn from the protocol buffer encoding, field by field."""
    layout = ExampleLayout({"b": 2, "a": 1})
    encoded, stops = layout.encode({"a": np.array([[300]]), "b": np.array([[1, 0]])})
    entry_a = b"\x0a\x0b" + b"\x0a\x01a" + b"\x12\x06" + b"\x1a\x04" + b"\x0a\x02" + b"\xac\x02"
    entry_b = b"\x0a\x0b" + b"\x0a\x01b" + b"\x12\x06" + b"\x1a\x04" + b"\x0a\x02" + b"\x01\x00"
    assert encoded.tobytes() == b"\x0a\x1a" + entry_a + entry_b
    assert stops.tolist() == [28]


def test_a_record_by_hand():
    """What `tf.io.TFRecordWriter` of TensorFlow 2.21 writes for `abc`."""
    record = frame(np.frombuffer(b"abc", np.uint8), np.array([3]))[0]
    assert record.hex() == "0300000000000000" + "b099490e" + "616263" + "6e57f121"


@pytest.mark.parametrize(
    "lengths",
    [
        {"x": 1},
        {"input_ids": 128, "row_id": 1, "word_ids": 128},
        {"a": 1, "k" * 127: 3, "l" * 128: 3, "m" * 300: 2},
        {"long": 3000, "row_id": 1},
    ],
    ids=["one", "rows", "long names", "long lists"],
)
def test_messages_are_those_of_tensorflow(lengths):
    rng = np.random.default_rng(5)
    columns = columns_of(rng, 40, lengths)
    layout = ExampleLayout(lengths)
    encoded, stops = layout.encode(columns)
    messages = [encoded[a:b].tobytes() for a, b in zip([0, *stops[:-1]], stops, strict=True)]
    assert messages == [example_bytes(columns, row) for row in range(40)]
    decoded = layout.decode(encoded, stops)
    assert decoded.keys() == lengths.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(decoded[name], column)


@given(st.lists(st.one_of(st.sampled_from(VARINT_EDGES), st.integers(0, 2**63 - 1)), min_size=1))
def test_varints_come_back(numbers):
    encoded, sizes = encode_varints(np.array(numbers, np.int64))
    values, stops = decode_varints(encoded)
    assert values.tolist() == numbers
    assert np.diff(stops, prepend=0).tolist() == sizes.tolist()
    assert sizes.tolist() == [max(1, -(-number.bit_length() // 7)) for number in numbers]


def test_negative_values_are_refused():
    with pytest.raises(ValueError, match="must be >= 0"):
        ExampleLayout({"a": 1}).encode({"a": np.array([[-1]])})


@pytest.fixture
def shard(tmp_path):
    """A file of 50 rows, its layout and its columns."""
    layout = ExampleLayout({"a": 20, "b": 1})
    columns = columns_of(np.random.default_rng(6), 50, layout.lengths)
    writer = ShardWriter(tmp_path / "shard")
    writer.write(frame(*layout.encode(columns)))
    entry = writer.close()
    assert (entry.records, entry.bytes) == (50, (tmp_path / "shard").stat().st_size)
    return tmp_path / "shard", layout, columns


def test_tensorflow_reads_what_we_write(shard, tmp_path):
    path, _, columns = shard
    expected = [example_bytes(columns, row) for row in range(50)]
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == expected
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for message in expected:
            writer.write(message)
    assert (tmp_path / "theirs").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_we_read_what_we_write(shard, batch_size):
    path, layout, columns = shard
    firsts, rows = [], []
    for messages, stops, first in read_messages(path, batch_size):
        firsts.append(first)
        rows.append(layout.decode(messages, stops)["a"])
    np.testing.assert_array_equal(np.concatenate(rows), columns["a"])
    assert firsts == list(range(0, 50, batch_size))


def test_every_damaged_byte_is_found(tmp_path):
    layout = ExampleLayout({"a": 3})
    writer = ShardWriter(tmp_path / "shard")
    writer.write(frame(*layout.encode({"a": np.array([[1, 2, 300], [4, 5, 6]])})))
    writer.close()
    content = (tmp_path / "shard").read_bytes()
    first = 16 + 17  # the frame, and a message of 17 bytes
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        (tmp_path / "shard").write_bytes(damaged)
        record, start = (0, 0) if place < first else (1, first)
        with pytest.raises(
            RecordsError, match=rf"shard: record {record} at byte {start}: the checksum"
        ):
            list(read_messages(tmp_path / "shard", 10))


def test_truncations_are_found(shard):
    path, _, _ = shard
    content = path.read_bytes()
    _, stops, _ = next(read_messages(path, 2))
    start = 16 + int(stops[0])  # of the second record
    end = 32 + int(stops[1])
    for size in (start + 1, start + 11, start + 12, start + 13, end - 1):
        path.write_bytes(content[:size])
        expected = f"record 1 at byte {start} ends after {size - start} bytes"
        with pytest.raises(RecordsError, match=expected):
            list(read_messages(path, 1000))
    path.write_bytes(content[:end])
    assert len(next(read_messages(path, 1000))[1]) == 2


def test_records_of_another_layout_are_refused():
    ours = ExampleLayout({"a": 3, "b": 1})
    columns = {"a": np.array([[1, 2, 3]] * 2), "b": np.array([[4]] * 2)}
    encoded, stops = ours.encode(columns)
    for other in ({"a": 2, "b": 2}, {"a": 3, "c": 1}, {"a": 3}, {"a": 4}, {"a": 3, "b": 1, "c": 1}):
        with pytest.raises(
            RecordsError, match="record 0 does not hold the features of the manifest"
        ):
            ExampleLayout(other).decode(encoded, stops)
