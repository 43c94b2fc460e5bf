# SPDX-License-Identifier: Apache-2.0
"""TFRecord files without TensorFlow: the bytes are TensorFlow's, on both codecs, and damage is found."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from records_helpers import example_bytes, random_columns, use_codec

from maskcore.records import RecordsError
from maskcore.records.encoding import _codec, tfrecord
from maskcore.records.encoding._varints import decode_varints, encode_varints
from maskcore.records.encoding.example import ExampleLayout, Feature
from maskcore.records.encoding.hashing_stream import HashingStream
from maskcore.records.encoding.tfrecord import (
    decode_records,
    encode_records,
    frame,
    read_records,
)

# Where a varint grows by a byte, and the ends of the range.
VARINT_EDGES = [0, 1, *(2 ** (7 * k) + d for k in range(1, 9) for d in (-1, 0, 1)), 2**63 - 1]

SPECS = {
    "int64": lambda n: tf.io.FixedLenFeature([n], tf.int64),
    "float": lambda n: tf.io.FixedLenFeature([n], tf.float32),
    "bytes": lambda n: tf.io.FixedLenFeature([], tf.string),
}
ALL_KINDS = {"ids": Feature("bytes", 300), "row_id": 1, "weights": Feature("float", 20), "words": 7}


@pytest.fixture(params=["native", "numpy"], autouse=True)
def codec(request, monkeypatch):
    """Every test runs on both codecs."""
    use_codec(monkeypatch, request.param)
    assert _codec.codec().__name__ == f"maskcore.records.encoding._codec_{request.param}"
    return request.param


def parts(content, stops):
    return [content[a:b].tobytes() for a, b in zip([0, *stops[:-1]], stops, strict=True)]


def test_a_message_by_hand():
    """Drawn from the protocol buffer encoding, field by field."""
    layout = ExampleLayout({"b": 2, "a": 1})
    encoded, stops = layout.encode({"a": np.array([[300]]), "b": np.array([[1, 0]])})
    entry_a = b"\x0a\x0b" + b"\x0a\x01a" + b"\x12\x06" + b"\x1a\x04" + b"\x0a\x02" + b"\xac\x02"
    entry_b = b"\x0a\x0b" + b"\x0a\x01b" + b"\x12\x06" + b"\x1a\x04" + b"\x0a\x02" + b"\x01\x00"
    assert encoded.tobytes() == b"\x0a\x1a" + entry_a + entry_b
    assert stops.tolist() == [28]


def test_bytes_and_floats_by_hand():
    layout = ExampleLayout({"b": Feature("bytes", 2), "f": Feature("float", 1)})
    columns = {"b": np.array([[0x80, 0]], np.uint8), "f": np.array([[1.0]], np.float32)}
    encoded, stops = layout.encode(columns)
    entry_b = b"\x0a\x0b" + b"\x0a\x01b" + b"\x12\x06" + b"\x0a\x04" + b"\x0a\x02" + b"\x80\x00"
    one = b"\x00\x00\x80\x3f"  # 1.0 in IEEE 754, little-endian
    entry_f = b"\x0a\x0d" + b"\x0a\x01f" + b"\x12\x08" + b"\x12\x06" + b"\x0a\x04" + one
    assert encoded.tobytes() == b"\x0a\x1c" + entry_b + entry_f
    assert stops.tolist() == [30]


def test_a_record_by_hand():
    """What `tf.io.TFRecordWriter` of TensorFlow 2.21 writes for `abc`, and for no byte at all."""
    records, stops = frame(np.frombuffer(b"abc", np.uint8), np.array([3, 3]))
    assert records.tobytes()[:19].hex() == "0300000000000000" + "b099490e" + "616263" + "6e57f121"
    assert records.tobytes()[19:].hex() == "0000000000000000" + "29039807" + "d8ea82a2"
    assert stops.tolist() == [19, 35]


@pytest.mark.parametrize(
    "features",
    [
        {"x": 1},
        {"input_ids": 128, "row_id": 1, "word_ids": 128},
        {"a": 1, "k" * 127: 3, "l" * 128: 3, "m" * 300: 2},
        {"long": 3000, "row_id": 1},
        ALL_KINDS,
        {f"{n:0{n}}": Feature("bytes", n) for n in (3, 118, 119, 120, 121, 127, 128, 129)},
        {f"f{n}": Feature("float", n) for n in (1, 31, 32, 33)},
    ],
    ids=["one", "rows", "long names", "long lists", "kinds", "bytes", "floats"],
)
def test_messages_are_those_of_tensorflow(features):
    """No name begins another: protobuf's upb, which Python uses, puts the longer one first then."""
    layout = ExampleLayout(features)
    columns = random_columns(np.random.default_rng(5), layout, 40)
    messages, stops = layout.encode(columns)
    assert parts(messages, stops) == [example_bytes(columns, row) for row in range(40)]
    decoded = layout.decode(messages, stops)
    assert decoded.keys() == features.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(decoded[name], column, strict=True)
    records, record_stops = encode_records(layout, columns)
    framed, framed_stops = frame(messages, stops)
    np.testing.assert_array_equal(records, framed)
    np.testing.assert_array_equal(record_stops, framed_stops)


def test_tensorflow_parses_every_kind(tmp_path):
    layout = ExampleLayout(ALL_KINDS)
    columns = random_columns(np.random.default_rng(7), layout, 33)
    (tmp_path / "shard").write_bytes(encode_records(layout, columns)[0])
    specs = {name: SPECS[kind](length) for name, (kind, length) in layout.features.items()}
    (batch,) = tf.data.TFRecordDataset(str(tmp_path / "shard")).batch(100)
    parsed = tf.io.parse_example(batch, specs)
    np.testing.assert_array_equal(tf.io.decode_raw(parsed.pop("ids"), tf.uint8), columns["ids"])
    for name, column in parsed.items():
        np.testing.assert_array_equal(column, columns[name])


@pytest.mark.parametrize("num_rows", [0, 1, 2])
def test_few_rows(num_rows, tmp_path):
    layout = ExampleLayout(ALL_KINDS)
    columns = random_columns(np.random.default_rng(8), layout, num_rows)
    records, stops = encode_records(layout, columns)
    assert (records.dtype, stops.dtype, stops.shape) == (np.uint8, np.int64, (num_rows,))
    assert records.tobytes() == b"".join(
        frame(np.frombuffer(message, np.uint8), np.array([len(message)]))[0].tobytes()
        for message in (example_bytes(columns, row) for row in range(num_rows))
    )
    decoded = decode_records(layout, records, stops)
    for name, column in columns.items():
        np.testing.assert_array_equal(decoded[name], column, strict=True)


@pytest.mark.parametrize("dtype", "?bhilqBHILQ")
def test_integers_of_every_type(dtype):
    """Also in another byte order, and not contiguous."""
    layout = ExampleLayout({"a": 4})
    largest = 1 if dtype == "?" else min(np.iinfo(dtype).max, 2**63 - 1)
    expected = np.array([[0, 1, largest, largest // 2]] * 3, np.int64)
    column = expected.astype(dtype)
    for same in (column, column.astype(column.dtype.newbyteorder()), np.asfortranarray(column)):
        messages, stops = layout.encode({"a": same})
        assert parts(messages, stops) == [example_bytes({"a": expected}, row) for row in range(3)]


@given(st.lists(st.one_of(st.sampled_from(VARINT_EDGES), st.integers(0, 2**63 - 1)), min_size=1))
def test_varints_come_back(numbers):
    encoded, sizes = encode_varints(np.array(numbers, np.int64))
    values, value_sizes = decode_varints(encoded)
    assert values.tolist() == numbers
    assert value_sizes.tolist() == sizes.tolist()
    assert sizes.tolist() == [max(1, -(-number.bit_length() // 7)) for number in numbers]


def test_negative_values_are_refused():
    columns = {"a": np.ones((3, 2), np.int16), "b": np.ones((3, 1), np.int64)}
    columns["a"][2, 1], columns["b"][1, 0] = -5, -(2**63)
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the text is compared as a whole
        encode_records(ExampleLayout({"a": 2, "b": 1}), columns)
    assert str(raised.value) == (
        "columns['b'][1] must be >= 0, got -9223372036854775808; shift the values before they are "
        "stored"
    )


@pytest.mark.parametrize(
    ("features", "column", "text"),
    [
        (2, np.zeros((3, 1), np.int8), "integers of shape (3, 2), got int8 of shape (3, 1)"),
        (2, np.zeros(3, np.int64), "integers of shape (3, 2), got int64 of shape (3,)"),
        (1, np.zeros((3, 1)), "integers of shape (3, 1), got float64 of shape (3, 1)"),
        (Feature("float", 1), np.zeros((3, 1)), "float32 of shape (3, 1), got float64"),
        (Feature("bytes", 1), np.zeros((3, 1), np.int8), "uint8 of shape (3, 1), got int8"),
        (1, np.full((3, 1), 2**63, np.uint64), "below 2**63, got 9223372036854775808"),
    ],
)
def test_columns_of_another_form_are_refused(features, column, text):
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the text is compared below
        encode_records(ExampleLayout({"a": features}), {"a": column})
    assert str(raised.value).startswith(f"columns['a'] must be {text}")


def test_columns_of_other_names_are_refused():
    layout = ExampleLayout({"a": 1, "b": 1})
    column = np.zeros((2, 1), np.int64)
    for columns in (
        {"a": column},
        {"a": column, "c": column},
        {"a": column, "b": column, "c": column},
    ):
        with pytest.raises(ValueError, match="columns must be those of a, b, got a"):
            encode_records(layout, columns)


@pytest.mark.parametrize(
    ("features", "text"),
    [
        ({}, "features must be 1 to 64, got 0"),
        ({f"f{i}": 1 for i in range(65)}, "features must be 1 to 64, got 65"),
        ({"a": 0}, "the length of 'a' must be in [1, 67108864], got 0"),
        ({"a": Feature("bytes", 2**26 + 1)}, "in [1, 67108864], got 67108865"),
        ({"a": Feature("int32", 1)}, "the kind of 'a' must be one of int64, bytes, float, got 'int32'"),
        ({"é": 1}, "a feature's name must be 1 to 1024 letters of ASCII, got 'é'"),
        ({"": 1}, "a feature's name must be 1 to 1024 letters of ASCII, got ''"),
        ({"a" * 1025: 1}, "a feature's name must be 1 to 1024 letters of ASCII"),
    ],
)  # fmt: skip
def test_features_that_cannot_be_stored_are_refused(features, text):
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the text is compared below
        ExampleLayout(features)
    assert text in str(raised.value)


def test_sixty_four_features():
    layout = ExampleLayout({f"f{i:02}": 1 for i in range(64)})
    columns = random_columns(np.random.default_rng(9), layout, 3)
    messages, stops = layout.encode(columns)
    assert parts(messages, stops) == [example_bytes(columns, row) for row in range(3)]
    decoded = layout.decode(messages, stops)
    assert all(np.array_equal(decoded[name], column) for name, column in columns.items())


@pytest.fixture
def shard(tmp_path):
    """A file of 50 rows, its layout and its columns."""
    layout = ExampleLayout({"a": 20, "b": 1})
    columns = random_columns(np.random.default_rng(6), layout, 50)
    with (tmp_path / "shard").open("xb") as file:
        stream = HashingStream(file)
        for first in (0, 30):
            of_part = {name: column[first:][:30] for name, column in columns.items()}
            stream.write(encode_records(layout, of_part)[0].data)
        written = stream.written(50)
    content = (tmp_path / "shard").read_bytes()
    assert written == (50, len(content), hashlib.sha256(content).hexdigest())
    return tmp_path / "shard", layout, columns


def test_tensorflow_reads_what_we_write(shard, tmp_path):
    path, _, columns = shard
    expected = [example_bytes(columns, row) for row in range(50)]
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == expected
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for message in expected:
            writer.write(message)
    assert (tmp_path / "theirs").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("chunk_bytes", [1, 16, 1000, 4 << 20])
@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_we_read_what_we_write(shard, batch_size, chunk_bytes, monkeypatch):
    """However the file is cut into chunks."""
    monkeypatch.setattr(tfrecord, "CHUNK_BYTES", chunk_bytes)
    path, layout, columns = shard
    firsts, rows, sizes = [], [], []
    digest = hashlib.sha256()
    for records, stops, first in read_records(path, batch_size, digest):
        firsts.append(first)
        sizes.append(len(stops))
        rows.append(decode_records(layout, records, stops)["a"])
    np.testing.assert_array_equal(np.concatenate(rows), columns["a"])
    assert firsts == list(range(0, 50, batch_size))
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_file_holds_no_records(tmp_path):
    (tmp_path / "shard").touch()
    assert list(read_records(tmp_path / "shard", 10)) == []


def test_every_damaged_bit_is_found(tmp_path):
    path = tmp_path / "shard"
    columns = {"a": np.array([[1, 2, 300], [4, 5, 6]])}
    content = encode_records(ExampleLayout({"a": 3}), columns)[0].tobytes()
    first = 16 + 17  # the frame, and a message of 17 bytes
    for bit in range(8 * len(content)):
        place = bit // 8
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit % 8
        path.write_bytes(damaged)
        record, start = (0, 0) if place < first else (1, first)
        part = "length" if place - start < 12 else "content"
        with pytest.raises(RecordsError) as raised:
            list(read_records(path, 10))
        assert str(raised.value) == (
            f"{path}: record {record} at byte {start}: the checksum of its {part} does not match; "
            "the file is damaged; build the records again"
        )


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "shard"
    columns = {"a": np.array([[1, 2, 300], [4, 5, 6]])}
    content = encode_records(ExampleLayout({"a": 3}), columns)[0].tobytes()
    first = 16 + 17
    for size in range(len(content)):
        path.write_bytes(content[:size])
        if size in (0, first):
            assert sum(len(stops) for _, stops, _ in read_records(path, 10)) == size // first
            continue
        record, start = (0, 0) if size < first else (1, first)
        with pytest.raises(RecordsError) as raised:
            list(read_records(path, 10))
        assert str(raised.value) == (
            f"{path}: record {record} at byte {start} ends after {size - start} bytes; the file is "
            "damaged; build the records again"
        )


def test_damage_is_told_where_it_is_after_whole_batches(shard, monkeypatch):
    monkeypatch.setattr(tfrecord, "CHUNK_BYTES", 500)
    path, layout, columns = shard
    stops = encode_records(layout, columns)[1]
    damaged = bytearray(path.read_bytes())
    damaged[int(stops[36]) + 20] ^= 1
    path.write_bytes(damaged)
    reading = read_records(path, 10)
    assert [next(reading)[2] for _ in range(3)] == [0, 10, 20]
    with pytest.raises(
        RecordsError, match=rf"record 37 at byte {stops[36]}: the checksum of its c"
    ):
        next(reading)


def test_a_length_beyond_every_file_is_a_truncation(tmp_path):
    """Its checksum is right, so that only the end of the file can show that it is wrong."""
    for length in (2**63 - 1, 2**64 - 1, 1000):
        header = length.to_bytes(8, "little")
        crc = tfrecord.masked_crc(header).to_bytes(4, "little")
        (tmp_path / "shard").write_bytes(header + crc + b"abcdef")
        with pytest.raises(RecordsError, match="record 0 at byte 0 ends after 18 bytes"):
            list(read_records(tmp_path / "shard", 10))


def test_records_of_another_layout_are_refused():
    ours = ExampleLayout({"a": 3, "b": 1})
    columns = {"a": np.array([[1, 2, 3]] * 2), "b": np.array([[4]] * 2)}
    encoded, stops = ours.encode(columns)
    for other in (
        {"a": 2, "b": 2},
        {"a": 3, "c": 1},
        {"a": 3},
        {"a": 4},
        {"a": 3, "b": 1, "c": 1},
        {"a": 3, "b": Feature("bytes", 1)},
        {"a": 3, "bb": 1},
    ):
        with pytest.raises(
            RecordsError, match="record 0 does not hold the features of the manifest: a int64"
        ):
            ExampleLayout(other).decode(encoded, stops)


def test_the_first_record_of_another_layout_is_named():
    layout = ExampleLayout({"a": 1})
    messages, stops = layout.encode({"a": np.array([[1], [2], [300], [4]])})
    messages[stops[2] - 1] |= 0x80  # the number goes on behind the end of the message
    with pytest.raises(RecordsError, match="record 2 does not hold the features"):
        layout.decode(messages, stops)


@pytest.mark.parametrize("stops", [[5], [29], [20, 10, 28], [28, 28], [-1, 28]])
def test_stops_that_do_not_fill_the_bytes_are_refused(stops):
    layout = ExampleLayout({"a": 1})
    records, _ = encode_records(layout, {"a": np.array([[1]])})
    assert len(records) == 30
    with pytest.raises(ValueError, match="stops must be ascending up to 30"):
        decode_records(layout, records, np.array(stops))
    with pytest.raises(ValueError, match="stops must be ascending up to 30"):
        frame(records, np.array(stops))
