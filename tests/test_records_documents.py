# SPDX-License-Identifier: Apache-2.0
"""Plain text: what ends a line and a document, what is cut where, and what slices a file can be read in."""

import os
import random
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from records_reading import counts_of, file_of, read

from maskcore.records import RecordsError
from maskcore.records.reading.documents import ReadCounts, ReadLimits, ReadOptions, read_documents
from maskcore.records.reading.inputs import find_inputs

SMALL = ReadLimits(line_bytes=8, document_bytes=20, value_bytes=64, block_bytes=5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n\nc\n", {0: ["a", "b"], 5: ["c"]}),
        (b"a\r\nb\r\n\r\nc", {0: ["a", "b"], 8: ["c"]}),
        (b"\n\n  \n\t\na\n", {7: ["a"]}),
        (b"a\n \nb\n \t \n\nc\n", {0: ["a"], 4: ["b"], 11: ["c"]}),
        ("a\n\u3000\u00a0\nb".encode(), {0: ["a"], 8: ["b"]}),
        (b"\xef\xbb\xbfa\nb\n", {3: ["a", "b"]}),
        (b"\xef\xbb\xbf\na\n", {4: ["a"]}),
        (b"a\n\xef\xbb\xbfb\n", {0: ["a", "\ufeffb"]}),
        (b"a\x0cb\x0bc\n", {0: ["a\x0cb\x0bc"]}),
        ("a\u2028b\u2029c\x85d\n".encode(), {0: ["a\u2028b\u2029c\x85d"]}),
        (b"a\rb\n", {0: ["a\rb"]}),
        ("가나\n다\n\n라".encode(), {0: ["가나", "다"], 12: ["라"]}),
        (b" a \n\tb\t\n", {0: ["a", "b"]}),
        (b"a", {0: ["a"]}),
        (b"", {}),
        (b"\n\n\n", {}),
        (b"\xef\xbb\xbf", {}),
    ],
    ids=[
        "lf", "crlf", "leading blanks", "blank lines with spaces", "blank line of unicode spaces", "bom",
        "bom on an empty line", "bom in the middle", "form feed", "unicode separators", "lone cr", "korean",
        "stripped", "no line end", "empty", "only blanks", "only bom",
    ],
)  # fmt: skip
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 1 << 20])
def test_lines_and_documents(tmp_path, content, expected, block_bytes):
    file = file_of(tmp_path, "a.txt", content)
    documents = read(file, limits=ReadLimits(block_bytes=block_bytes))
    assert {document.offset: document.sentences for document in documents} == expected
    assert [document.offset for document in documents] == sorted(expected)
    assert {document.name for document in documents} <= {"a.txt"}


def test_a_document_is_called_by_file_and_offset(tmp_path):
    file = file_of(tmp_path, "a.txt", b"a\n\nb\n")
    assert [document.key for document in read(file)] == [
        b"path\0a.txt\0\0\0\0\0\0\0\0\0",
        b"path\0a.txt\0\x03\0\0\0\0\0\0\0",
    ]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"good\nb\xffad\n", "invalid UTF-8 (0xff) at byte 6;"),
        (b"good\nhalf \xec\x95\n", "invalid UTF-8 (0xec) at byte 10;"),
        (b"surrogate \xed\xa0\x80\n", "invalid UTF-8 (0xed) at byte 10;"),
        ("text\n".encode("utf-16"), "invalid UTF-8 (0xff) at byte 0;"),
        (b"\xef\xbb\xbf\xff", "invalid UTF-8 (0xff) at byte 3;"),
        (b"PK\x03\x04 \n\0\0", "NUL at byte 6;"),
        (b"a\0\xff", "NUL at byte 1;"),
        (b"a\n\n" + b"x" * 3_000_000 + b"\xff", "invalid UTF-8 (0xff) at byte 3000003;"),
    ],
    ids=[
        "byte",
        "half a character",
        "surrogate",
        "utf-16",
        "after bom",
        "binary",
        "nul first",
        "far",
    ],
)
def test_what_is_no_text_is_refused_with_file_and_offset(tmp_path, content, where):
    file = file_of(tmp_path, "a.txt", content)
    with pytest.raises(RecordsError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file.path}: {where}")
    assert str(caught.value).endswith("pass on_bad_text (--on-bad-text) skip or replace")
    assert "\n" not in str(caught.value)


def test_bad_text_can_be_skipped_by_document(tmp_path):
    file = file_of(tmp_path, "a.txt", b"good\n\nfine\nb\xffad\nfine\n\nn\0ul\n\nlast\n")
    documents, counts = counts_of(file, on_bad_text="skip")
    assert [document.sentences for document in documents] == [["good"], ["last"]]
    assert counts.documents_skipped == 2
    assert counts.bytes_skipped == 14 + 4  # without the last line's end
    assert counts.documents == 2
    assert counts.characters_replaced == 0


def test_bad_text_can_be_replaced(tmp_path):
    """U+FFFD of the text itself is not counted; a broken character is one, whatever its bytes."""
    content = b"a\xffb\0c\n\xec\x95 \xef\xbf\xbd\n\nok\n"
    documents, counts = counts_of(file_of(tmp_path, "a.txt", content), on_bad_text="replace")
    assert [document.sentences for document in documents] == [
        ["a\ufffdb\ufffdc", "\ufffd \ufffd"],
        ["ok"],
    ]
    assert counts.characters_replaced == 3
    assert counts.documents_skipped == 0


def test_skipping_leaves_the_other_parts_of_a_long_document(tmp_path):
    file = file_of(tmp_path, "a.txt", b"aaaa\nbbbb\ncccc\nd\xffdd\neeee\nffff\n")
    documents, counts = counts_of(file, on_bad_text="skip", limits=ReadLimits(document_bytes=10))
    assert [(d.offset, d.sentences) for d in documents] == [
        (0, ["aaaa", "bbbb"]),
        (20, ["eeee", "ffff"]),
    ]
    assert (counts.documents_skipped, counts.bytes_skipped, counts.documents_cut) == (1, 9, 1)


def test_long_documents_are_cut_between_lines(tmp_path):
    """Parts span at most 20 bytes, their last line ends apart, and are called by their own offset."""
    content = b"aaaaaaaaa\nbbbbbbbbbb\nccccc\ndddd\n\nee\n"
    limits = ReadLimits(document_bytes=20)
    documents, counts = counts_of(file_of(tmp_path, "a.txt", content), limits=limits)
    assert [(d.offset, d.sentences) for d in documents] == [
        (0, ["aaaaaaaaa", "bbbbbbbbbb"]),
        (21, ["ccccc", "dddd"]),
        (33, ["ee"]),
    ]
    assert (counts.documents, counts.documents_cut, counts.sentences) == (3, 1, 5)


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("aaaaaaaa", {0: "aaaaaaaa"}),
        ("aaaaaaaab", {0: "aaaaaaaa", 8: "b"}),
        ("aaa bbb ccc", {0: "aaa bbb", 8: "ccc"}),
        ("aaaa bbbbb", {0: "aaaa", 5: "bbbbb"}),
        ("aaaa\tbbbbb", {0: "aaaa", 5: "bbbbb"}),
        ("a bbbbbbbbbb", {0: "a", 2: "bbbbbbbb", 10: "bb"}),
        ("가나다라", {0: "가나", 6: "다라"}),
        ("aa\u3000bbbb", {0: "aa", 5: "bbbb"}),
        ("aaaaaa\U0001f600", {0: "aaaaaa", 6: "\U0001f600"}),
        ("          a", {8: "a"}),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [1, 7, 9, 1000])
def test_long_lines_are_cut_at_white_space(tmp_path, line, pieces, end, block_bytes):
    """A line has at most 8 bytes, its end apart; a character is never cut."""
    file = file_of(tmp_path, "a.txt", (line + end).encode())
    limits = ReadLimits(line_bytes=8, document_bytes=8, block_bytes=block_bytes)
    documents, counts = counts_of(file, limits=limits)
    sentences = [sentence for document in documents for sentence in document.sentences]
    assert sentences == list(pieces.values())
    assert documents[0].offset == min(pieces)
    assert counts.lines_cut == (len(line.encode()) > 8)


def test_a_long_blank_line_ends_a_document(tmp_path):
    file = file_of(tmp_path, "a.txt", b"a\n" + b" " * 30 + b"\nb\n" + b" " * 30 + b"c\n")
    documents, counts = counts_of(file, limits=SMALL)
    assert [(d.offset, d.sentences) for d in documents] == [(0, ["a"]), (33, ["b"]), (59, ["c"])]
    assert counts.lines_cut == 1


def naive_documents(content, limits):
    """Read valid text in the plainest way: an oracle that knows no blocks and no slices."""
    offset = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    documents = []
    is_open = False
    for raw in content[offset:].split(b"\n"):
        line = raw.removesuffix(b"\r")
        pieces, start = [], 0
        while len(line) - start > limits.line_bytes:
            stops = [
                stop
                for stop in range(start + 1, start + limits.line_bytes + 1)
                if line[stop] & 0xC0 != 0x80
            ]
            spaces = [stop for stop in stops if line[start:stop].decode()[-1].isspace()]
            stop = max(spaces or stops)
            pieces.append((offset + start, line[start:stop]))
            start = stop
        pieces.append((offset + start, line[start:]))
        pieces = [(at, piece) for at, piece in pieces if piece.decode().strip()]
        if not pieces:
            is_open = False
        for at, piece in pieces:
            # A part's last line counts to its end, where a `\r` before the line end belongs to it.
            end = at + len(piece) + (raw != line and at + len(piece) == offset + len(line))
            if not is_open or end - documents[-1][0] > limits.document_bytes:
                documents.append((at, []))
            is_open = True
            documents[-1][1].append(piece.decode().strip())
        offset += len(raw) + 1
    return documents


FRAGMENTS = [
    b"a", b"bb", b"cccccccccc", b" ", b"   ", b"\t", b"\n", b"\n\n", b"\r\n", b"\r", b"\n \n", b"\x0c",
    "가".encode(), "나다".encode(), "\u3000".encode(), "\u2028".encode(), "\U0001f600".encode(),
    b"\xef\xbb\xbf",
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)
limits_of_any_size = st.builds(
    ReadLimits, st.integers(4, 12), st.integers(12, 30), st.just(64), st.integers(1, 20)
)


@given(texts, limits_of_any_size, st.lists(st.integers(0, 90), max_size=6))
@example(b"\xef\xbb\xbf\na\n\nb", SMALL, [2, 3, 4])
@example(b"\n\n\na", SMALL, [1, 2])
@example(b"a\n\nb", SMALL, [0, 0, 2, 3])
@example(b"a\n" + b" " * 30 + b"\nb", SMALL, [1, 2, 3, 20, 33])
@settings(max_examples=400, deadline=None)
def test_any_cutting_gives_every_document_once(tmp_path_factory, content, limits, cuts):
    folder = tmp_path_factory.getbasetemp()
    file = file_of(folder, "cut.txt", content)
    cuts = sorted({0, *(min(cut, len(content)) for cut in cuts)})
    found, counts = [], ReadCounts()
    for start, stop in zip(cuts, [*cuts[1:], None], strict=True):
        documents, of_slice = counts_of(file, start, stop, limits=limits)
        found += documents
        counts = counts.merge(of_slice)
    expected = naive_documents(content, limits)
    assert [(document.offset, document.sentences) for document in found] == expected
    assert len({document.key for document in found}) == len(found)
    whole, counts_of_whole = counts_of(file, limits=limits)
    assert (whole, counts_of_whole) == (found, counts)
    assert counts.bytes_read == len(content)
    assert counts.documents == len(expected)


def test_a_large_file_in_slices(tmp_path):
    """With the limits that builds have; the seed is 7."""
    rng = random.Random(7)
    words = ["a", "of", "word", "가나다", "문장"]
    lines = [" ".join(rng.choices(words, k=rng.randrange(25))) for _ in range(60_000)]
    content = "\n".join(lines).encode()
    file = file_of(tmp_path, "a.txt", content)
    expected = naive_documents(content, ReadLimits())
    assert [(document.offset, document.sentences) for document in read(file)] == expected
    cuts = sorted(rng.randrange(len(content)) for _ in range(9))
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        found += read(file, start, stop)
    assert [(document.offset, document.sentences) for document in found] == expected


def test_a_slice_looks_at_nothing_behind_its_documents(tmp_path):
    """Bad text is reported by the slice that owns it, and counted there."""
    file = file_of(tmp_path, "a.txt", b"a\n\nb\xff\n\nc\n")
    assert [document.sentences for document in read(file, 0, 2)] == [["a"]]
    with pytest.raises(RecordsError, match="at byte 4;"):
        read(file, 2, 6)
    assert [document.sentences for document in read(file, 6)] == [["c"]]


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (3, 2)])
def test_slices_are_checked(tmp_path, start, stop):
    file = file_of(tmp_path, "a.txt", b"a\n")
    with pytest.raises(ValueError, match=r"start, stop must be 0 <= start <= stop"):
        read(file, start, stop)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt.gz"])
def test_only_plain_text_has_slices(tmp_path, name):
    file = file_of(tmp_path, name, b"")
    with pytest.raises(ValueError, match="only plain text without compression has slices"):
        read(file, 1, 2)


def test_a_file_that_has_changed_since_it_was_found_is_refused(tmp_path):
    file = file_of(tmp_path, "a.txt", b"one\n")
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    with pytest.raises(RecordsError, match=r"a\.txt: changed while it was read \(4 bytes"):
        read(file)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    """The size is the same: the time of change gives it away."""
    file = file_of(tmp_path, "a.txt", b"one\n\n" * 10)
    documents = read_documents(file, ReadOptions(), ReadCounts())
    next(documents)
    os.utime(file.path, ns=(1, 1))
    with pytest.raises(RecordsError, match=r"modified at 1 now\); build again"):
        list(documents)


def test_a_file_that_is_gone_is_one_line(tmp_path):
    file = file_of(tmp_path, "a.txt", b"one\n")
    os.unlink(file.path)
    with pytest.raises(RecordsError, match=r"a\.txt: cannot be read \(no such file or folder\)"):
        read(file)


def test_a_long_line_does_not_fill_memory(tmp_path):
    path = tmp_path / "long.txt"
    with path.open("wb") as stream:
        for _ in range(40):
            stream.write(b"x" * ((1 << 20) - 1) + b" ")
    [file] = find_inputs(path)
    counts = ReadCounts()
    tracemalloc.start()
    lengths = [len(d.sentences) for d in read_documents(file, ReadOptions(), counts)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lengths == [8, 8, 8, 8, 8]
    assert (counts.lines_cut, counts.documents_cut) == (1, 1)
    assert peak < 30 << 20  # of 40 MiB


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_format": "csv"}, "text_format must be 'auto' or 'plain' or 'jsonl' or 'parquet', got 'csv'"),
        ({"on_bad_text": "ignore"}, "on_bad_text must be 'error' or 'skip' or 'replace', got 'ignore'"),
        ({"sentence_splitting": "fr"}, "sentence_splitting must be None or 'en' or 'ko', got 'fr'"),
        ({"text_field": ""}, "text_field must be a field's name, got ''"),
    ],
)  # fmt: skip
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match="must be") as caught:
        ReadOptions(**options)
    assert str(caught.value).startswith(message)


def test_counts_add_up_and_travel():
    counts = ReadCounts(documents=1, sentences=2, bytes_read=3)
    both = counts.merge(ReadCounts(documents=4, lines_cut=5))
    assert both == ReadCounts(documents=5, sentences=2, lines_cut=5, bytes_read=3)
    assert ReadCounts.from_json(both.to_json()) == both
