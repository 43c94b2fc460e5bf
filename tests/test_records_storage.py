# SPDX-License-Identifier: Apache-2.0
"""Compressed and remote files: the same documents, and damage that is never taken for an end."""

import bz2
import gzip
import subprocess
import sys

import fsspec
import pytest
import zstandard
from records_reading import counts_of, file_of, read

from maskcore.records import RecordsError
from maskcore.records._errors import require
from maskcore.records.reading.inputs import find_inputs
from maskcore.records.reading.model import ReadLimits
from maskcore.records.reading.storage import stored_signature

TEXT = "".join(f"sentence {n} of 문서\n" + "\n" * (n % 7 == 0) for n in range(3000)).encode()
COMPRESS = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}
suffixes = pytest.mark.parametrize("suffix", COMPRESS)


@suffixes
@pytest.mark.parametrize("num_streams", [1, 3])
@pytest.mark.parametrize("block_bytes", [1000, 1 << 20])
def test_compressed_text_is_read_like_text(tmp_path, suffix, num_streams, block_bytes):
    """Streams may follow one another; offsets count decompressed bytes."""
    step = -(-len(TEXT) // num_streams)
    content = b"".join(COMPRESS[suffix](TEXT[at : at + step]) for at in range(0, len(TEXT), step))
    plain, counts_of_plain = counts_of(file_of(tmp_path, "a.txt", TEXT))
    file = file_of(tmp_path, "a.txt" + suffix, content)
    found, counts = counts_of(file, limits=ReadLimits(block_bytes=block_bytes))
    assert [(d.offset, d.sentences) for d in found] == [(d.offset, d.sentences) for d in plain]
    assert counts.sentences == counts_of_plain.sentences == 3000
    assert counts.bytes_read == len(content)


@suffixes
def test_compressed_jsonl(tmp_path, suffix):
    file = file_of(
        tmp_path, "a.jsonl" + suffix, COMPRESS[suffix](b'{"text": "a"}\n{"text": "b"}\n')
    )
    assert [(d.offset, d.sentences) for d in read(file)] == [(0, ["a"]), (14, ["b"])]


@suffixes
def test_an_empty_stream_is_an_empty_text(tmp_path, suffix):
    assert read(file_of(tmp_path, "a" + suffix, COMPRESS[suffix](b""))) == []
    both = COMPRESS[suffix](b"") + COMPRESS[suffix](b"a\n")
    assert [d.sentences for d in read(file_of(tmp_path, "b" + suffix, both))] == [["a"]]
    assert read(file_of(tmp_path, "c" + suffix, b"")) == []


@suffixes
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path, suffix):
    """Of two streams, so that the end of the first looks like an end of the file; that one is."""
    first, second = (COMPRESS[suffix](part) for part in (b"a\n" * 20, b"b\n" * 20))
    content = first + second
    for size in range(1, len(content)):
        if size == len(first):
            continue
        file = file_of(tmp_path, "a.txt" + suffix, content[:size])
        with pytest.raises(RecordsError) as caught:
            read(file)
        assert str(caught.value).startswith(f"{file.path}: ends in the middle of its ")
        assert f"at byte {size} of the file" in str(caught.value)


@suffixes
def test_damage_is_an_error(tmp_path, suffix):
    content = bytearray(COMPRESS[suffix](b"a\n" * 2000) + COMPRESS[suffix](TEXT))
    middle = len(content) // 2
    content[middle : middle + 4] = bytes(byte ^ 0xFF for byte in content[middle : middle + 4])
    file = file_of(tmp_path, "a.txt" + suffix, bytes(content))
    with pytest.raises(
        RecordsError, match=rf"a\.txt\{suffix}: (cannot be decompressed near byte|.*UTF-8)"
    ):
        read(file)


@suffixes
@pytest.mark.parametrize(
    "content", [b"plain text\n", b"BZh9 no such thing", b"\x1f\x8b\x08rubbish"]
)
def test_what_is_not_compressed_is_an_error(tmp_path, suffix, content):
    with pytest.raises(
        RecordsError, match=r"cannot be decompressed near byte 0 of|ends in the middle"
    ):
        read(file_of(tmp_path, "a.txt" + suffix, content))


@suffixes
def test_what_follows_the_last_stream_is_an_error(tmp_path, suffix):
    """Python's own reader of bzip2 takes it for rubbish, so that a damaged stream is lost."""
    file = file_of(tmp_path, "a.txt" + suffix, COMPRESS[suffix](b"a\n") + b"no stream at all")
    with pytest.raises(RecordsError, match="cannot be decompressed"):
        read(file)


def test_zeros_behind_gzip_are_padding(tmp_path):
    content = gzip.compress(b"a\n") + b"\0" * 70_000 + gzip.compress(b"b\n") + b"\0"
    assert [d.sentences for d in read(file_of(tmp_path, "a.gz", content))] == [["a", "b"]]


@suffixes
def test_dense_files_do_not_fill_memory(tmp_path, suffix):
    """200 MB in some kilobytes come in blocks."""
    content = COMPRESS[suffix]((b"a" * 999 + b"\n\n") * 200_000)
    assert len(content) < 1_000_000
    script = (
        "import resource, sys\n"
        "from maskcore.records.reading.documents import *\n"
        "from maskcore.records.reading.inputs import find_inputs\n"
        "[file] = find_inputs(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert sum(1 for _ in read_documents(file, ReadOptions(), ReadCounts())) == 200_000\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    file = file_of(tmp_path, "a.txt" + suffix, content)
    shown = subprocess.run(
        [sys.executable, "-c", script, file.path], check=True, capture_output=True
    )
    assert int(shown.stdout) < 120_000  # KiB


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe(
        {"/corpus/a.txt": b"a\n\nb\n", "/corpus/x/b.jsonl": b'{"text": "c"}\n', "/corpus/.c": b"d"}
    )
    yield filesystem
    filesystem.rm("/corpus", recursive=True)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("memory://corpus", ["a.txt", "x/b.jsonl"]),
        ("memory://corpus/", ["a.txt", "x/b.jsonl"]),
        ("memory://corpus/a.txt", ["a.txt"]),
        ("memory://corpus/*.txt", ["a.txt"]),
        ("memory://corpus/**/*.jsonl", ["x/b.jsonl"]),
        ("memory://cor*", ["corpus/a.txt", "corpus/x/b.jsonl"]),
    ],
)
def test_remote_corpora(memory, url, names):
    files = find_inputs(url)
    assert [file.name for file in files] == names
    assert [file.path for file in files] == [
        f"memory:///corpus/{name.removeprefix('corpus/')}" for name in names
    ]


def test_remote_files_are_read_like_local_ones(memory, tmp_path):
    memory.pipe("/corpus/x/d.txt.gz", gzip.compress(b"e\n\nf\n"))
    documents = [d for file in find_inputs("memory://corpus") for d in read(file)]
    assert [(d.name, d.offset, d.sentences) for d in documents] == [
        ("a.txt", 0, ["a"]), ("a.txt", 3, ["b"]), ("x/b.jsonl", 0, ["c"]),
        ("x/d.txt.gz", 0, ["e"]), ("x/d.txt.gz", 3, ["f"]),
    ]  # fmt: skip
    local = file_of(tmp_path, "a.txt", b"a\n\nb\n")
    [remote] = find_inputs(f"file://{tmp_path}/a.txt")
    assert remote.path == f"file://{tmp_path}/a.txt"
    assert read(remote) == read(local)
    assert read(remote, 0, 2) + read(remote, 2) == read(local)


def test_remote_parquet(memory):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    with memory.open("/corpus/t.parquet", "wb") as stream:
        parquet.write_table(pyarrow.table({"text": ["a", "b"]}), stream)
    [file] = find_inputs("memory://corpus/t.parquet")
    assert [document.sentences for document in read(file)] == [["a"], ["b"]]


def test_a_remote_file_that_changes_is_refused(memory):
    [file] = find_inputs("memory://corpus/a.txt")
    assert stored_signature(file.path) == file.signature
    memory.pipe("/corpus/a.txt", b"longer\n")
    with pytest.raises(RecordsError, match=r"memory:///corpus/a\.txt: changed while it was read"):
        read(file)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://corpus/missing", r"memory://corpus/missing: cannot be read \(no such file"),
        ("memory://corpus/*.md", "no files to read"),
        ("nowhere://a", r"nowhere://a: cannot be read \(Protocol not known: nowhere"),
    ],
)
def test_remote_errors_are_one_line(memory, url, message):
    with pytest.raises(RecordsError, match=message) as caught:
        find_inputs(url)
    assert "\n" not in str(caught.value)


def test_local_paths_do_not_import_extras(tmp_path):
    """Neither for finding nor for reading plain text."""
    file_of(tmp_path, "a.txt.gz", gzip.compress(b"a\n"))
    script = (
        "import sys\n"
        "from maskcore.records.reading.documents import *\n"
        "from maskcore.records.reading.inputs import find_inputs\n"
        "[file] = find_inputs(sys.argv[1])\n"
        "assert len(list(read_documents(file, ReadOptions(), ReadCounts()))) == 1\n"
        "print({'fsspec', 'pyarrow', 'zstandard'} & set(sys.modules))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True
    )
    assert shown.stdout == b"set()\n"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fsspec", "records need fsspec, .* pip install 'maskcore\\[remote\\]'"),
        ("zstandard", "records need zstandard, .* pip install 'maskcore\\[zstd\\]'"),
        ("pyarrow.parquet", "records need pyarrow, .* pip install 'maskcore\\[parquet\\]'"),
        ("google_crc32c", "records need google-crc32c, .* pip install 'maskcore\\[build\\]'"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, module, line):
    monkeypatch.setitem(sys.modules, module, None)  # as if it could not be found
    with pytest.raises(ImportError, match=line):
        require(module)
