# SPDX-License-Identifier: Apache-2.0
"""Rows as Parquet: the same bytes each time, the types that readers like, and damage that is found."""

import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from records_forms import form, rows

from maskcore.records import RecordsError
from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.schema import stored_columns


def written(encoder, stored, step):
    """Return the file that a writer makes of rows that come `step` at a time."""
    stream = io.BytesIO()
    writer = encoder.begin(stream)
    num_rows = len(stored["input_ids"])
    for start in range(0, num_rows, step):
        writer.write({name: column[start : start + step] for name, column in stored.items()})
    said = writer.finish()
    content = stream.getvalue()
    assert (said.records, said.bytes) == (num_rows, len(content))
    assert said.sha256 == hashlib.sha256(content).hexdigest()
    return content


@pytest.fixture
def encoder():
    """Pairs of rows of 16 with two stored epochs, of which eight make a row group."""
    encoder = make_encoder(form(16, file_format="parquet", has_labels=True, mask_epochs=2))
    encoder.group_rows = 8
    return encoder


@pytest.fixture
def stored(encoder):
    """Thirty rows: four row groups, the last one not full."""
    return stored_columns(encoder.form, rows(30, 16, has_labels=True))


def test_bytes_do_not_depend_on_how_rows_come(encoder, stored):
    once = written(encoder, stored, 30)
    assert [written(encoder, stored, step) for step in (1, 7, 8, 16, 30)] == [once] * 5
    metadata = pq.ParquetFile(io.BytesIO(once)).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [8, 8, 8, 6]


def test_rows_of_a_group_are_bounded():
    """A row group holds about 4 million numbers, so that a reader needs some 20 MB for it."""
    assert make_encoder(form(128, file_format="parquet")).group_rows == (1 << 22) // 513
    assert make_encoder(form(1 << 22, file_format="parquet")).group_rows == 1


def test_types_and_facts(encoder, stored, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, stored, 30))
    schema = pq.read_schema(path)
    assert [(field.name, str(field.type), field.nullable) for field in schema] == [
        ("attention_mask", "fixed_size_list<element: int32 not null>[16]", False),
        ("input_ids", "fixed_size_list<element: int32 not null>[16]", False),
        ("masked_lm_counts", "fixed_size_list<element: int32 not null>[2]", False),
        ("masked_lm_positions", "fixed_size_list<element: int32 not null>[8]", False),
        ("next_sentence_labels", "int32", False),
        ("row_id", "int64", False),
        ("token_type_ids", "fixed_size_list<element: int32 not null>[16]", False),
        ("word_ids", "fixed_size_list<element: int32 not null>[16]", False),
    ]
    facts = json.loads(schema.metadata[b"maskcore"])
    assert facts["seq_length"] == 16
    assert facts["mask_epochs"] == 2
    assert facts["mask"]["seed"] == 3
    assert facts["special_tokens"]["mask"] == {"id": 4, "token": "[MASK]"}


def test_pyarrow_reads_the_values(encoder, stored, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, stored, 30))
    table = pq.read_table(path)
    for name, column in stored.items():
        expected = column.reshape(-1) if name in ("row_id", "next_sentence_labels") else column
        assert table[name].to_pylist() == expected.tolist()


def test_schema_bert_has_float_weights(tmp_path):
    encoder = make_encoder(form(16, schema="bert", file_format="parquet"))
    stored = stored_columns(encoder.form, rows(5, 16))
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, stored, 5))
    assert pq.read_schema(path).field("masked_lm_weights").type.value_type == pa.float32()
    ((columns, _),) = encoder.read(path, 10)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, stored[name])
        assert column.dtype == (np.float32 if name == "masked_lm_weights" else np.int64)


@pytest.mark.parametrize("batch_size", [1, 7, 8, 9, 30, 100])
def test_rows_come_back_in_batches_across_row_groups(encoder, stored, tmp_path, batch_size):
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, stored, 30))
    digest = hashlib.sha256()
    batches = list(encoder.read(path, batch_size, digest))
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [first for _, first in batches] == list(range(0, 30, batch_size))
    for name, column in stored.items():
        read = np.concatenate([columns[name] for columns, _ in batches])
        assert read.dtype == np.int64
        np.testing.assert_array_equal(read, column)


def test_a_file_without_rows(encoder, stored, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, {name: c[:0] for name, c in stored.items()}, 1))
    assert list(encoder.read(path, 10)) == []


def test_flipped_bits_are_found(encoder, stored, tmp_path):
    """Pages have checksums; what is outside of them pyarrow cannot read, or it is no value of a row."""
    path = tmp_path / "rows.parquet"
    content = written(encoder, stored, 30)
    groups = pq.ParquetFile(io.BytesIO(content)).metadata
    starts = [groups.row_group(i).column(0).data_page_offset for i in range(4)]
    for group, start in enumerate(starts):
        damaged = bytearray(content)
        damaged[start + 60] ^= 1
        path.write_bytes(damaged)
        expected = f"records from {8 * group} on, at byte {start}, cannot be read .*CRC checksum"
        with pytest.raises(RecordsError, match=rf"rows\.parquet: {expected}"):
            list(encoder.read(path, 5))


def test_truncations_are_found(encoder, stored, tmp_path):
    path = tmp_path / "rows.parquet"
    content = written(encoder, stored, 30)
    for size in (0, 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(
            RecordsError, match=r"rows\.parquet: records from 0 on, at byte 0, cannot"
        ):
            list(encoder.read(path, 5))


def test_other_columns_are_refused(encoder, stored, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(encoder, stored, 30))
    other = make_encoder(form(16, file_format="parquet"))
    with pytest.raises(
        RecordsError, match="does not hold the columns of the manifest, but attention"
    ):
        list(other.read(path, 5))
    with pytest.raises(FileNotFoundError):
        list(encoder.read(tmp_path / "none.parquet", 5))
