# SPDX-License-Identifier: Apache-2.0
"""Reading plain text: what ends a line and a document, what a document is called, what is refused."""

import os
from itertools import pairwise

import pytest

from maskcore.records import RecordsError, readers
from maskcore.records.readers import find_inputs, read_batches


def documents_of(folder):
    """Return {(name, offset): sentences} of a corpus."""
    documents = {}
    for batch in read_batches(find_inputs([folder])):
        for sentence, number in zip(batch.sentences, batch.sentence_documents, strict=True):
            documents.setdefault(tuple(batch.documents[number]), []).append(sentence)
    return documents


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n\nc\n", {0: ["a", "b"], 5: ["c"]}),
        (b"a\r\nb\r\n\r\nc", {0: ["a", "b"], 8: ["c"]}),
        (b"\n\n  \n\t\na\n", {7: ["a"]}),
        (b"a\n \nb\n \t \n\nc\n", {0: ["a"], 4: ["b"], 11: ["c"]}),
        (b"\xef\xbb\xbfa\nb\n", {3: ["a", "b"]}),
        (b"\xef\xbb\xbf\na\n", {4: ["a"]}),
        (b"a\x0cb\x0bc\n", {0: ["a\x0cb\x0bc"]}),
        ("a\u2028b\u2029c\x85d\n".encode(), {0: ["a\u2028b\u2029c\x85d"]}),
        (b"a\rb\n", {0: ["a\rb"]}),
        (b"", {}),
        (b"\n\n\n", {}),
    ],
    ids=[
        "lf", "crlf", "leading blanks", "blank lines with spaces", "bom", "bom on an empty line",
        "form feed", "unicode separators", "lone cr", "empty", "only blanks",
    ],
)  # fmt: skip
def test_lines_and_documents(tmp_path, content, expected):
    (tmp_path / "a.txt").write_bytes(content)
    assert documents_of(tmp_path) == {("a.txt", at): lines for at, lines in expected.items()}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"good\nb\xffad\n", "invalid UTF-8 at byte 6 (0xff)"),
        (b"good\nhalf \xec\x95\n", "invalid UTF-8 at byte 10 (0xec)"),
        ("text\n".encode("utf-16"), "invalid UTF-8 at byte 0 (0xff)"),
        (b"\xef\xbb\xbf\xff", "invalid UTF-8 at byte 3 (0xff)"),
        (b"PK\x03\x04 \n\0\0", "NUL at byte 6"),
    ],
    ids=["byte", "half a character", "utf-16", "after bom", "binary"],
)
def test_what_is_no_text_is_refused_with_file_and_offset(tmp_path, content, where):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        documents_of(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'a.txt'}: {where}")


def test_inputs_are_sorted_whatever_the_order_given(tmp_path):
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".hidden", ".git/x"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "one.txt").write_text("x")
    given = [tmp_path / "one.txt", tmp_path / "corpus"]
    names = [file.name for file in find_inputs(given)]
    assert names == ["a/b/c.txt", "a/z.txt", "b.txt", "one.txt"]
    assert find_inputs(given) == find_inputs(given[::-1])


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("x")
    with pytest.raises(RecordsError, match=r"already holds 'a\.txt'.*pass the folder above both"):
        find_inputs([tmp_path / "x", tmp_path / "y"])


def test_missing_and_empty_inputs_are_refused(tmp_path):
    with pytest.raises(RecordsError, match="no such file or folder"):
        find_inputs([tmp_path / "missing"])
    with pytest.raises(RecordsError, match="no files to read"):
        find_inputs([tmp_path])


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("x")
    (tmp_path / "corpus").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "corpus" / "linked")
    assert [file.name for file in find_inputs([tmp_path / "corpus"])] == ["linked/a.txt"]
    os.symlink(tmp_path / "corpus", tmp_path / "corpus" / "loop")
    with pytest.raises(RecordsError, match="a link to a folder above it"):
        find_inputs([tmp_path / "corpus"])


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    inputs = find_inputs([tmp_path])
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(RecordsError, match="changed while it was read"):
        list(read_batches(inputs))


@pytest.mark.parametrize("batch_bytes", [1, 3, 7, 1000])
def test_batches_may_end_anywhere(tmp_path, monkeypatch, batch_bytes):
    """A document that spans batches keeps its name, and is announced as going on."""
    (tmp_path / "a.txt").write_text("a\nbb\n\nccc\nd\n\n\ne\n")
    (tmp_path / "b.txt").write_text("f\n")
    expected = documents_of(tmp_path)
    monkeypatch.setattr(readers, "BATCH_BYTES", batch_bytes)
    assert documents_of(tmp_path) == expected
    batches = list(read_batches(find_inputs([tmp_path])))
    assert sum(len(batch.documents) - batch.continues for batch in batches) == 4
    assert sum(batch.bytes_read for batch in batches) == 18
    for before, after in pairwise(batches):
        assert before.is_open and after.continues
        assert after.documents[0] == before.documents[-1]
