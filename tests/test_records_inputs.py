# SPDX-License-Identifier: Apache-2.0
"""Which files a corpus is, what they are called, and what format they have."""

import os
import pickle
import socket

import pytest
from records_reading import file_of

from maskcore.records import RecordsError
from maskcore.records.engine.plan import ReadSlice
from maskcore.records.engine.scatter import hash_slice
from maskcore.records.reading.inputs import InputFile, find_inputs
from maskcore.records.reading.storage import stored_signature


@pytest.fixture
def corpus(tmp_path):
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", "a.d/e.txt", ".hidden", ".git/x", "a/.d/y"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "corpus"


def names_of(*given, **kwargs):
    return [file.name for file in find_inputs([str(path) for path in given], **kwargs)]


def test_inputs_are_sorted_whatever_the_order_given(tmp_path, corpus):
    (tmp_path / "one.txt").write_text("x")
    given = [tmp_path / "one.txt", corpus]
    assert names_of(*given) == ["a.d/e.txt", "a/b/c.txt", "a/z.txt", "b.txt", "one.txt"]
    assert find_inputs(given) == find_inputs(given[::-1])
    assert find_inputs(corpus) == find_inputs(str(corpus) + "/") == find_inputs([corpus])


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["b.txt"]),
        ("*/*.txt", ["a.d/e.txt", "a/z.txt"]),
        ("**/*.txt", ["a.d/e.txt", "a/b/c.txt", "a/z.txt", "b.txt"]),
        ("**", ["a.d/e.txt", "a/b/c.txt", "a/z.txt", "b.txt"]),
        ("a/**/[c-z].txt", ["b/c.txt", "z.txt"]),
        ("a*", ["a.d/e.txt", "a/b/c.txt", "a/z.txt"]),
        ("**/[ab]*", ["a.d/e.txt", "a/b/c.txt", "a/z.txt", "b.txt"]),
        ("?.txt", ["b.txt"]),
        (".h*", [".hidden"]),
        ("a/*/c.txt", ["b/c.txt"]),
    ],
)
def test_globs(corpus, pattern, names):
    """Names begin at the last folder before the first pattern."""
    assert names_of(corpus / pattern) == names


def test_a_relative_path_is_named_alike(corpus, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    assert names_of("corpus/*.txt", "corpus/a") == ["b.txt", "b/c.txt", "z.txt"]
    monkeypatch.chdir(corpus)
    assert names_of(".") == ["a.d/e.txt", "a/b/c.txt", "a/z.txt", "b.txt"]
    assert names_of("*.txt") == ["b.txt"]


def test_what_exists_is_no_glob(tmp_path):
    (tmp_path / "a[1].txt").write_text("x")
    (tmp_path / "a1.txt").write_text("y")
    assert names_of(tmp_path / "a[1].txt") == ["a[1].txt"]
    assert names_of(tmp_path / "a[1]*") == ["a1.txt"]


@pytest.mark.parametrize(
    ("name", "file_format", "compression"),
    [
        ("a", "plain", None),
        ("a.txt", "plain", None),
        ("a.md", "plain", None),
        ("a.txt.gz", "plain", "gzip"),
        ("a.bz2", "plain", "bz2"),
        ("a.TXT.ZST", "plain", "zstd"),
        ("a.jsonl", "jsonl", None),
        ("a.ndjson.bz2", "jsonl", "bz2"),
        ("c4-train.00000-of-01024.json.gz", "jsonl", "gzip"),
        ("a.Parquet", "parquet", None),
    ],
)
def test_formats_follow_the_name(tmp_path, name, file_format, compression):
    file = file_of(tmp_path, name, b"")
    assert (file.format, file.compression) == (file_format, compression)
    forced = file_of(tmp_path, name, b"", text_format="jsonl")
    assert (forced.format, forced.compression) == ("jsonl", compression)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("a.zip", {}, r"\.zip archives are not read; unpack it, or leave it out"),
        ("a.tar.gz", {}, r"\.tar archives are not read"),
        ("a.txt.xz", {}, r"\.xz archives are not read"),
        ("a.parquet.zst", {}, "Parquet is compressed inside; unpack the file with `zstd -d`"),
        ("a.gz", {"text_format": "parquet"}, "Parquet is compressed inside"),
    ],
)
def test_archives_are_refused(tmp_path, name, kwargs, message):
    with pytest.raises(RecordsError, match=message):
        file_of(tmp_path, name, b"", **kwargs)


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("x")
    with pytest.raises(RecordsError, match=r"already holds 'a\.txt'.*pass the folder above both"):
        find_inputs([tmp_path / "x", tmp_path / "y"])


def test_one_file_of_two_names_is_refused(tmp_path, corpus):
    """Its documents would be read twice, under two keys."""
    with pytest.raises(
        RecordsError, match=r"already holds this file, as 'a/b/c\.txt'; pass it once"
    ):
        find_inputs([corpus, corpus / "a" / "b"])
    os.symlink(corpus / "b.txt", corpus / "c.txt")
    with pytest.raises(
        RecordsError, match=r"c\.txt: the corpus already holds this file, as 'b\.txt'"
    ):
        find_inputs(corpus)


def test_missing_and_empty_inputs_are_refused(tmp_path):
    with pytest.raises(RecordsError, match=r"missing: cannot be read \(no such file or folder\)"):
        find_inputs([tmp_path / "missing"])
    for given in ([tmp_path], [f"{tmp_path}/*.txt"], []):
        with pytest.raises(RecordsError, match="no files to read"):
            find_inputs(given)
    for given in ("", [tmp_path, ""]):
        with pytest.raises(RecordsError, match="corpus: an empty path; name a file"):
            find_inputs(given)
    with pytest.raises(RecordsError, match=r"missing: cannot be read \(no such file or folder\)"):
        find_inputs(f"{tmp_path}/missing/*.txt")
    with pytest.raises(ValueError, match=r"text_format must be 'auto' or .* got 'csv'"):
        find_inputs(tmp_path, text_format="csv")


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("x")
    (tmp_path / "corpus").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "corpus" / "linked")
    assert names_of(tmp_path / "corpus") == ["linked/a.txt"]
    os.symlink(tmp_path / "corpus", tmp_path / "corpus" / "loop")
    for given in ("corpus", "corpus/**", "corpus/*", "*/*/*.txt"):
        with pytest.raises(RecordsError, match="loop: a link to a folder above it"):
            find_inputs(tmp_path / given)


def test_a_link_to_nothing_is_refused(tmp_path):
    """It is text that is not there, not a file to pass over."""
    (tmp_path / "a.txt").write_text("x")
    os.symlink(tmp_path / "gone", tmp_path / "b.txt")
    with pytest.raises(RecordsError, match=r"b\.txt: a link to nothing; remove it"):
        find_inputs(tmp_path)


def test_what_is_no_file_is_passed_over_in_folders_only(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert names_of(tmp_path) == ["a.txt"]
    with pytest.raises(RecordsError, match="pipe: no regular file or folder"):
        find_inputs(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["a/b.txt", "a"])
def test_what_may_not_be_read_is_refused(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("x")
    os.chmod(tmp_path / name, 0)
    try:
        with pytest.raises(RecordsError, match=r"cannot be read \(permission denied\)"):
            find_inputs(tmp_path)
    finally:
        os.chmod(tmp_path / name, 0o700)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    """os.walk passes over it without a word; root, as which tests may run, cannot see that."""
    (tmp_path / "a").mkdir()

    def refuse(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(RecordsError, match=r"cannot be read \(permission denied\)"):
        find_inputs(tmp_path)


def test_names_that_are_no_utf8_are_kept(tmp_path):
    (tmp_path / os.fsdecode(b"a\xff.txt")).write_text("x")
    assert names_of(tmp_path) == ["a\udcff.txt"]


def test_inputs_travel_and_estimate_their_text(tmp_path):
    file = file_of(tmp_path, "a.txt", b"abc")
    assert pickle.loads(pickle.dumps(file)) == file
    assert (file.size_bytes, file.path) == (3, str(tmp_path / "a.txt"))
    sizes = [
        InputFile("a", "a", 5, file_format, compression).estimated_text_bytes
        for file_format, compression in [
            ("plain", None), ("jsonl", None), ("plain", "gzip"), ("jsonl", "zstd"), ("parquet", None),
        ]
    ]  # fmt: skip
    assert sizes == [5, 5, 20, 20, 15]


def test_content_and_signature(tmp_path):
    """The hash is that of FIPS 180-2, appendix B.1; the signature changes with size and time."""
    file = file_of(tmp_path, "a.txt", b"abc")
    assert hash_slice(file, ReadSlice(0, 0, None)) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    os.utime(file.path, ns=(1, 1))
    assert stored_signature(file.path) == "3-1" != file.signature
    with pytest.raises(RecordsError, match="changed while it was read"):
        hash_slice(file, ReadSlice(0, 0, None))
    os.unlink(file.path)
    with pytest.raises(RecordsError, match="no such file or folder"):
        stored_signature(file.path)
