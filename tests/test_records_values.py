# SPDX-License-Identifier: Apache-2.0
"""JSONL and Parquet: a value is a document, and whatever is wrong is named with file, place and field."""

import json

import pyarrow
import pytest
from pyarrow import parquet
from records_reading import counts_of, file_of, read

from maskcore.records import RecordsError
from maskcore.records.reading.model import ReadLimits

SMALL = ReadLimits(line_bytes=8, document_bytes=20, value_bytes=1 << 20, block_bytes=5)


def jsonl_of(folder, *records, end=b"\n"):
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return file_of(folder, "a.jsonl", end.join(lines) + end)


def parquet_of(folder, columns, **kwargs):
    path = folder / "a.parquet"
    parquet.write_table(pyarrow.table(columns), path, **kwargs)
    return file_of(folder, "a.parquet", path.read_bytes())


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\n  \n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("block_bytes", [1, 16, 1 << 20])
def test_a_line_is_a_document(tmp_path, end, mark, block_bytes):
    """Blank lines within a value end nothing, and only a line feed separates sentences."""
    first = mark + b'{"text": "a\\n\\n \\r\\nb\\r", "more": 1}'
    file = file_of(tmp_path, "a.jsonl", end.join([first, b'{"text": "c\\fd\\u2028e"}', b""]))
    documents = read(file, limits=ReadLimits(block_bytes=block_bytes))
    assert [d.sentences for d in documents] == [["a", "b"], ["c\x0cd\u2028e"]]
    assert [d.offset for d in documents] == [len(mark), len(first) + len(end)]
    second = (len(first) + len(end)).to_bytes(8, "little")
    assert documents[1].key == b"path\0a.jsonl\0" + second


def test_empty_values_are_counted(tmp_path):
    documents, counts = counts_of(jsonl_of(tmp_path, {"text": ""}, {"text": " \n "}, {"text": "a"}))
    assert [document.sentences for document in documents] == [["a"]]
    assert (counts.documents, counts.documents_empty, counts.sentences) == (1, 2, 1)
    assert counts.bytes_read == 13 + 17 + 14


def test_fields_may_be_nested(tmp_path):
    records = (
        {"meta": {"id": 7, "body": {"text": "a"}}},
        {"meta.body.text": "b", "meta": {"id": "x"}},
    )
    file = jsonl_of(tmp_path, *records)
    documents = read(file, text_field="meta.body.text", id_field="meta.id")
    assert [(d.key, d.sentences) for d in documents] == [(b"id\x007", ["a"]), (b"id\0x", ["b"])]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', "line 2 is no JSON (Expecting ',' delimiter at character 12); JSONL holds"),
        (b'["a"]', "line 2 holds a list and no object, as each line of JSONL does; turn a JSON array"),
        (b"3", "line 2 holds a int and no object"),
        (b'{"body": "a", "n": 1}', "line 2: no text field 'text' (there are the fields 'body', 'n'); name"),
        (b"{}", "line 2: no text field 'text' (there are no fields); name the field with text_field"),
        (b'{"text": null}', "line 2: text field 'text' is null; leave such records out"),
        (b'{"text": ["a"]}', "line 2: text field 'text' is ['a'], no str"),
        (b'{"text": "a\xff"}', "invalid UTF-8 (0xff) at byte 28 (line 2); convert it"),
        (b'{"text": "a\0"}', "NUL at byte 28 (line 2); convert it"),
        (b'{"text": "a\\u0000"}', "NUL at character 1 of field 'text' (line 2); convert it"),
        (b'{"text": "\\ud800"}', r"half a surrogate pair (\ud800) at character 0 of field 'text' (line 2)"),
        (b"[" * 100_000, "line 2 cannot be parsed (maximum recursion depth"),
    ],
)  # fmt: skip
def test_bad_lines_are_named(tmp_path, line, message):
    file = file_of(tmp_path, "a.jsonl", b'{"text": "fine"}' + b"\n" + line + b"\n")
    with pytest.raises(RecordsError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file.path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("user_id", [None, "", "a\0b", "\ud800", 1.5, True, ["a"], ...])
def test_bad_ids_are_named(tmp_path, user_id):
    record = {"text": "a"} if user_id is ... else {"text": "a", "id": user_id}
    with pytest.raises(
        RecordsError, match=r"line 1: id field 'id' .* name another field with id_field"
    ):
        read(jsonl_of(tmp_path, record), id_field="id")


def test_a_line_of_json_has_a_limit(tmp_path):
    file = jsonl_of(tmp_path, {"text": "a"}, {"text": "b" * 60})
    with pytest.raises(RecordsError, match="line 2 is longer than 64 bytes"):
        read(file, limits=ReadLimits(value_bytes=64, block_bytes=10))
    assert len(read(file, limits=ReadLimits(value_bytes=72, block_bytes=10))) == 2


def test_bad_text_of_values_is_skipped_or_replaced(tmp_path):
    lines = b'{"text": "a\xffb"}', b'{"text": "\\ud800c\\u0000"}', b'{"text": "d"}'
    file = jsonl_of(tmp_path, *lines)
    documents, counts = counts_of(file, on_bad_text="skip")
    assert [document.sentences for document in documents] == [["d"]]
    assert (counts.documents_skipped, counts.bytes_skipped) == (2, 15 + 25)
    documents, counts = counts_of(file, on_bad_text="replace")
    assert [d.sentences for d in documents] == [["a\ufffdb"], ["\ufffdc\ufffd"], ["d"]]
    assert (counts.documents_skipped, counts.characters_replaced) == (0, 3)


@pytest.mark.parametrize("id_field", [None, "id"])
def test_long_values_are_cut_into_parts(tmp_path, id_field):
    """By the same limits as plain text; a part is called by where it begins."""
    text = "aaaaaaaa\n\n bbbbbbb\nccc ddd eee\nf"
    file = jsonl_of(tmp_path, {"text": "x"}, {"text": text, "id": "y"})
    documents, counts = (
        counts_of(file, limits=SMALL)
        if id_field is None
        else counts_of(
            jsonl_of(tmp_path, {"text": text, "id": "y"}), limits=SMALL, id_field=id_field
        )
    )
    documents = documents[-2:]
    assert [d.sentences for d in documents] == [["aaaaaaaa", "bbbbbbb"], ["ccc ddd", "eee", "f"]]
    assert (counts.documents_cut, counts.lines_cut) == (1, 1)
    keys = [document.key for document in documents]
    if id_field is None:
        assert [key[:-8] for key in keys] == [b"path\0a.jsonl\0"] * 2
        assert [int.from_bytes(key[-8:], "little") for key in keys] == [14, 14 + 19]
    else:
        assert keys == [b"id\0y", b"id\0y\0\x13\0\0\0\0\0\0\0"]


def test_parquet_rows_are_documents(tmp_path):
    columns = {"n": [1, 2, 3, 4], "text": ["a\nb", "", " c\n\n", "가"], "id": ["p", "q", "r", "s"]}
    file = parquet_of(tmp_path, columns, row_group_size=2)
    documents, counts = counts_of(file)
    assert [(d.offset, d.sentences) for d in documents] == [
        (0, ["a", "b"]),
        (2, ["c"]),
        (3, ["가"]),
    ]
    assert documents[1].key == b"path\0a.parquet\0\x02\0\0\0\0\0\0\0"
    assert (counts.documents_empty, counts.bytes_read) == (1, file.size_bytes)
    assert [d.key for d in read(file, id_field="id")] == [b"id\0p", b"id\0r", b"id\0s"]
    assert [d.key for d in read(file, id_field="n")] == [b"id\x001", b"id\x003", b"id\x004"]


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary(),
        pyarrow.large_binary(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    ],
    ids=str,
)  # fmt: skip
def test_parquet_texts_of_any_type(tmp_path, kind):
    file = parquet_of(tmp_path, {"text": pyarrow.array(["a", "나", "a"]).cast(kind)})
    assert [document.sentences for document in read(file)] == [["a"], ["나"], ["a"]]


def test_parquet_columns_may_be_nested(tmp_path):
    rows = [{"body": {"text": "a"}}, {"body": {"text": "b"}}]
    file = parquet_of(tmp_path, {"meta": rows, "text": ["no", "no"]})
    assert [d.sentences for d in read(file, text_field="meta.body.text")] == [["a"], ["b"]]
    file = parquet_of(tmp_path, {"meta.text": ["c"], "text": ["no"]})
    assert [d.sentences for d in read(file, text_field="meta.text")] == [["c"]]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"body": ["a"], "n": [1]}, {}, "no text field 'text' (there are the columns 'body', 'n'); name"),
        ({"text": [1]}, {}, "text column 'text' has type int64, not string; name another column"),
        ({"text": [["a"]]}, {}, "text column 'text' has type list<"),
        ({"text": ["a", None]}, {}, "row 1: text field 'text' is null; leave such records out"),
        ({"m": [{"text": "a"}, None]}, {"text_field": "m.text"}, "row 1: text field 'm.text' is null"),
        ({"text": [b"a", b"b\xff"]}, {}, "invalid UTF-8 (0xff) at byte 1 of column 'text' (row 1)"),
        ({"text": ["a\0"]}, {}, "NUL at byte 1 of column 'text' (row 0)"),
        ({"text": ["a"]}, {"id_field": "id"}, "id field 'id' is not there, but an id is"),
        ({"text": ["a"], "id": [1.5]}, {"id_field": "id"}, "id field 'id' has type double, but an id is"),
        ({"text": ["a"], "id": [""]}, {"id_field": "id"}, "row 0: id field 'id' is '', but an id is"),
        ({"text": ["a"], "id": [b"\xff"]}, {"id_field": "id"}, r"row 0: id field 'id' is '\udcff', but"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path, columns, options, message):
    file = parquet_of(tmp_path, columns)
    with pytest.raises(RecordsError) as caught:
        read(file, **options)
    assert str(caught.value).startswith(f"{file.path}: {message}")


def test_strings_of_parquet_are_decoded_by_us(tmp_path):
    """Arrow trusts the writer that a string is UTF-8."""
    offsets = pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0\3\0\0\0")
    strings = pyarrow.StringArray.from_buffers(2, offsets, pyarrow.py_buffer(b"a\xffb"))
    file = parquet_of(tmp_path, {"text": strings})
    documents, counts = counts_of(file, on_bad_text="skip")
    assert [document.sentences for document in documents] == [["b"]]
    assert (counts.documents_skipped, counts.bytes_skipped) == (1, 2)
    documents, counts = counts_of(file, on_bad_text="replace")
    assert [document.sentences for document in documents] == [["a\ufffd"], ["b"]]
    assert counts.characters_replaced == 1


def test_parts_of_a_parquet_value_have_keys_of_their_own(tmp_path):
    """The part's number stands above 48 bits of the row's number."""
    file = parquet_of(tmp_path, {"text": ["x", "aaaaaaaa\nbbbbbbbb\nccc", "y"]})
    documents = read(file, limits=SMALL)
    assert [d.sentences for d in documents] == [["x"], ["aaaaaaaa", "bbbbbbbb"], ["ccc"], ["y"]]
    assert documents[2].key == b"path\0a.parquet\0\x01\0\0\0\0\0\x01\0"
    with pytest.raises(RecordsError, match="row 1: its 21 bytes are more than the 20 of one value"):
        read(file, limits=ReadLimits(value_bytes=20))


def test_many_row_groups_are_read_in_order(tmp_path):
    texts = [f"row {number}" for number in range(5000)]
    file = parquet_of(tmp_path, {"text": texts}, row_group_size=700)
    documents = read(file)
    assert [document.sentences for document in documents] == [[text] for text in texts]
    assert [document.offset for document in documents] == list(range(5000))


@pytest.mark.parametrize("content", [b"", b"a\nb\n", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_no_parquet_is_one_line(tmp_path, content):
    file = file_of(tmp_path, "a.parquet", content)
    with pytest.raises(
        RecordsError, match=r"a\.parquet: cannot be read as Parquet \(.*\); check the file"
    ):
        read(file)


@pytest.mark.parametrize("has_checksums", [False, True])
def test_a_damaged_page_is_one_line(tmp_path, has_checksums):
    """With checksums one flipped bit is enough; without, the page must not decompress."""
    good = parquet_of(
        tmp_path,
        {"text": ["some text " * 100] * 50},
        use_dictionary=False,
        write_statistics=False,
        compression="none" if has_checksums else "snappy",
        write_page_checksum=has_checksums,
    )
    with open(good.path, "rb") as stream:
        content = bytearray(stream.read())
    if has_checksums:
        content[1000] ^= 1
    else:
        content[60:90] = b"\xff" * 30
    with pytest.raises(RecordsError, match=r"a\.parquet: cannot be read as Parquet"):
        read(file_of(tmp_path, "a.parquet", bytes(content)))
