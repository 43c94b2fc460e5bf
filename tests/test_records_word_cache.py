# SPDX-License-Identifier: Apache-2.0
"""The word cache gives the tokenizer's own ids, for every kind of tokenizer and the nastiest text."""

import functools
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import tokenizer_files
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcore.records._word_cache import WordTable
from maskcore.records.tokenising import word_cache
from maskcore.records.tokenising.characters import base_classes
from maskcore.records.tokenising.chunk_rule import ChunkRule
from maskcore.records.tokenising.huggingface import HuggingFaceModel
from maskcore.records.tokenising.tokenise import tokeniser_from_content
from maskcore.records.tokenising.word_cache import CompiledCache, FlatIds, PlainCache

CACHE_CLASSES = [CompiledCache, PlainCache]
CACHES = pytest.mark.parametrize("cache_class", CACHE_CLASSES)
KINDS = pytest.mark.parametrize("name", tokenizer_files.CUT)
ALL_PAIRS = [
    f"w{left}{between}{right}z"
    for left in tokenizer_files.NASTY
    for right in tokenizer_files.NASTY
    for between in ("", " ")
]


@functools.cache
def model_of(name):
    return HuggingFaceModel(tokenizer_files.CUT[name]().to_str().encode(), "test")


@functools.cache
def rule_of(name):
    return model_of(name).chunk_rule()


def chunks_asked_for(name, cache_class, sentences):
    """Return what the cache does not know, in its order."""
    asked = []
    encode = model_of(name).encode
    cache_class(rule_of(name), lambda missing: asked.extend(missing) or encode(missing)).encode(
        sentences
    )
    return asked


def assert_same_ids(found, expected, sentences):
    """Compare, and name the shortest sentence that differs."""
    if np.array_equal(found.lengths, expected.lengths) and np.array_equal(found.ids, expected.ids):
        return
    rows = [np.split(flat.ids, np.cumsum(flat.lengths)[:-1]) for flat in (found, expected)]
    differing = [i for i in range(len(sentences)) if rows[0][i].tolist() != rows[1][i].tolist()]
    first = min(differing, key=lambda i: len(sentences[i]))
    pytest.fail(
        f"{len(differing)} of {len(sentences)} sentences, such as {sentences[first]!a}: "
        f"{rows[0][first].tolist()} instead of {rows[1][first].tolist()}"
    )


@CACHES
@KINDS
def test_a_corpus_has_the_ids_of_the_tokenizer(name, cache_class):
    model = model_of(name)
    rule = rule_of(name)
    assert isinstance(rule, ChunkRule)
    sentences = list(tokenizer_files.training_lines())
    expected = model.encode(sentences)
    assert expected.ids.size > 15_000
    asked = []
    cache = cache_class(rule, lambda chunks: asked.extend(chunks) or model.encode(chunks))
    assert_same_ids(cache.encode(sentences), expected, sentences)
    # It is a cache: most words were asked for once, and nothing the second time.
    assert sum(map(len, asked)) < sum(map(len, sentences)) / 2
    assert len(set(asked)) == len(asked)
    asked.clear()
    assert_same_ids(cache.encode(sentences), expected, sentences)
    assert not asked


@KINDS
def test_all_pairs_of_nasty_characters(name):
    model = model_of(name)
    found = CompiledCache(rule_of(name), model.encode).encode(ALL_PAIRS)
    assert_same_ids(found, model.encode(ALL_PAIRS), ALL_PAIRS)


@KINDS
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(st.sampled_from(tokenizer_files.NASTY), st.characters(codec="utf-8")),
            max_size=12,
        ).map(lambda parts: "".join(parts).replace("\n", " ")),
        max_size=8,
    )
)
def test_random_text(name, sentences):
    model = model_of(name)
    expected = model.encode(sentences)
    for cache_class in (CompiledCache, PlainCache):
        cache = cache_class(rule_of(name), model.encode)
        assert_same_ids(cache.encode(sentences), expected, sentences)


@CACHES
def test_words_of_any_length(cache_class):
    """WordPiece gives up words of over 100 characters: in a chunk as in the text."""
    model = model_of("bert-cased")
    cache = cache_class(model.chunk_rule(), model.encode)
    for length in (0, 1, 7, 8, 9, 16, 99, 100, 101, 255, 256, 257, 1023, 1025, 70_000):
        sentences = [
            "a" * length,
            "가" * length + " b",
            "b " + "x" * length + "," + "漢" * (length // 8),
        ]
        assert_same_ids(cache.encode(sentences), model.encode(sentences), sentences)


@CACHES
@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 5000])
def test_any_number_of_sentences(cache_class, count):
    model = model_of("gpt2")
    sentences = [f"word{i} of {i % 7}" for i in range(count)]
    found = cache_class(model.chunk_rule(), model.encode).encode(sentences)
    assert found.lengths.shape == (count,)
    assert_same_ids(found, model.encode(sentences), sentences)


@CACHES
def test_sentences_that_hold_line_ends_or_nothing(cache_class):
    model = model_of("bert-cased")
    cache = cache_class(model.chunk_rule(), model.encode)
    for sentences in (["a\nb", "c"], ["", "a", "", "\u200b", ""], ["\n"], [" ", "  a  ", "\r"]):
        assert_same_ids(cache.encode(sentences), model.encode(sentences), sentences)
    again = ["c", "a b"]
    assert_same_ids(cache.encode(again), model.encode(again), again)


@CACHES
def test_a_cache_that_is_too_small_is_emptied_and_gives_the_same_ids(cache_class, monkeypatch):
    model = model_of("gpt2")
    sentences = list(tokenizer_files.training_lines())
    expected = model.encode(sentences)
    monkeypatch.setattr(word_cache, "MAX_ENTRIES", 10)
    monkeypatch.setattr(word_cache, "STEP_CHARACTERS", 1000)
    asked = []
    cache = cache_class(
        model.chunk_rule(), lambda chunks: asked.extend(chunks) or model.encode(chunks)
    )
    assert_same_ids(cache.encode(sentences), expected, sentences)
    assert len(asked) > 2 * len(set(asked))  # words were forgotten and asked for again


def test_the_compiled_cache_is_bounded_by_bytes(monkeypatch):
    model = model_of("gpt2")
    monkeypatch.setattr(word_cache, "MAX_BYTES", 1 << 12)
    asked = []
    cache = CompiledCache(
        model.chunk_rule(), lambda chunks: asked.extend(chunks) or model.encode(chunks)
    )
    for _ in range(3):
        cache.encode(["some words"])
    assert asked.count("some") == 3


def test_memory_does_not_grow_with_the_text(monkeypatch):
    model = model_of("bert-cased")
    monkeypatch.setattr(word_cache, "MAX_ENTRIES", 1000)
    cache = PlainCache(model.chunk_rule(), model.encode)
    tracemalloc.start()
    try:
        peaks = []
        for batch in range(6):
            cache.encode([f"n{batch}x{i}" for i in range(4000)])
            peaks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(peaks[2:]) < 1.5 * peaks[1]


@CACHES
def test_an_interrupted_call_leaves_no_wrong_ids(cache_class):
    """Chunks without ids must not pass for known ones."""
    model = model_of("bert-cased")
    interrupt = [False]

    def encode(chunks):
        if interrupt[0]:
            raise KeyboardInterrupt
        return model.encode(chunks)

    cache = cache_class(model.chunk_rule(), encode)
    cache.encode(["one two"])
    interrupt[0] = True
    with pytest.raises(KeyboardInterrupt):
        cache.encode(["three four"])
    interrupt[0] = False
    sentences = ["one three", "four"]
    assert_same_ids(cache.encode(sentences), model.encode(sentences), sentences)


def test_both_caches_ask_for_the_same_chunks():
    """The one in Python is written apart from the compiled one: they check each other."""
    sentences = [text for text in ALL_PAIRS if "  " not in text]
    for name in ("bert-cased", "gpt2", "llama2"):
        asked = [chunks_asked_for(name, cache_class, sentences) for cache_class in CACHE_CLASSES]
        assert asked[0] == asked[1], name


@pytest.mark.parametrize(
    ("name", "text", "chunks"),
    [
        ("bert-cased", "Hello, world (x1)", ["Hello", ",", "world", "(", "x1", ")"]),
        ("bert-cased", "漢字ab c", ["漢", "字", "ab", "c"]),
        ("bert-plain-ideographs", "漢字ab c", ["漢字ab", "c"]),
        ("bert-cased", "a   b", ["a", "b"]),
        ("bert-cased", "a \u0301b c", ["a \u0301b", "c"]),
        ("bert-added", "Hello, world", ["Hello,", "world"]),
        ("whitespace", "foo.bar_baz x", ["foo", ".", "bar_baz", "x"]),
        ("gpt2", "Hello, world (x1)", ["Hello", ",", " world", " (", "x1", ")"]),
        ("gpt2", "don't 'sx", ["don", "'t", " 'sx"]),
        ("gpt2", "a  b c", ["a  b", " c"]),
        ("gpt2-prefix", "Hello, world", ["Hello,", "world"]),
        ("pattern-0", "foo.bar 5", ["foo", ".bar", " 5"]),
        ("metaspace", "Hello, world", ["Hello,", "world"]),
        ("metaspace-never", "Hello, world", ["Hello,", " world"]),
        ("llama2-no-prefix", "a b", ["a", " b"]),
    ],
)
def test_where_text_is_cut(name, text, chunks):
    assert chunks_asked_for(name, CompiledCache, [text]) == chunks


def test_a_rule_that_is_wrong_is_found_out_on_sample_text(monkeypatch):
    """The test at start is the net under the reasoning."""
    content = tokenizer_files.CUT["gpt2"]().to_str().encode()
    assert tokeniser_from_content(content, "tokenizer.json").why_not_cached is None
    wrong = ChunkRule(base_classes(), drops_space=True)
    monkeypatch.setattr(HuggingFaceModel, "chunk_rule", lambda self: wrong)
    found = tokeniser_from_content(content, "tokenizer.json")
    assert found.why_not_cached == "other ids on sample text"
    tokens = found.encode([tokenizer_files.Document(b"a", ["a b"])])
    assert found.rule.text(tokens.ids.tolist()) == "a b"


def test_without_compiled_code_the_cache_is_in_python(monkeypatch):
    monkeypatch.setattr(word_cache, "WordTable", None)
    monkeypatch.setattr(word_cache, "why_not_compiled", "ImportError: gone")
    model = model_of("bert-cased")
    with pytest.warns(RuntimeWarning, match=r"in Python, slowly .*\(ImportError: gone\); install"):
        cache = word_cache.word_cache(model.chunk_rule(), model.encode)
    assert isinstance(cache, PlainCache)


def test_the_table_refuses_what_would_go_out_of_bounds():
    with pytest.raises(ValueError, match="cuts must be 64 bytes, got 3"):
        WordTable(bytes(128), bytes(3), 0)
    with pytest.raises(MemoryError):
        WordTable(bytes([8]) * 128, bytes(64), 0)  # classes are below 8
    with pytest.raises(MemoryError):
        WordTable(bytes(127), bytes(64), 0)
    table = WordTable(base_classes(), bytes(64), 0)
    assert table.split(b"a b\nc\n", 10, 1 << 20) == (2, b"a\n b\nc\n")
    with pytest.raises(RuntimeError):
        table.gather(np.empty(3, np.int32), np.empty(2, np.int64))  # nothing is filled
    for lengths in ([1, 1], [1, 1, 2], [1, -1, 3], [2, 2, 2]):
        with pytest.raises(RuntimeError):
            table.fill(np.arange(3, dtype=np.int32), np.array(lengths, dtype=np.int64))
    assert table.fill(np.arange(3, dtype=np.int32), np.array([1, 2, 0], dtype=np.int64)) == 3
    for num_ids, num_lengths in ((2, 2), (4, 2), (3, 1), (3, 3)):
        with pytest.raises(RuntimeError):
            table.gather(np.empty(num_ids, np.int32), np.empty(num_lengths, np.int64))
    ids, lengths = np.empty(3, np.int32), np.empty(2, np.int64)
    table.gather(ids, lengths)
    assert (ids.tolist(), lengths.tolist()) == ([0, 1, 2], [3, 0])


def test_the_table_reads_no_text_that_is_no_utf8_beyond_its_end():
    table = WordTable(base_classes(), bytes(64), 0)
    for text in (b"", b"\xe4", b"a \xf0\x9f", b"a \xff b", b"\x80 \x80", b" ", b"  \n "):
        num_sentences, missing = table.split(text, 10, 1 << 20)
        assert num_sentences == text.count(b"\n")
        assert missing.count(b"\n") <= 2
        table.fill(np.empty(0, np.int32), np.zeros(missing.count(b"\n"), np.int64))


WITHOUT_MEMORY = """
import resource
import numpy as np
from maskcore.records._word_cache import WordTable

classes = bytes(code != 32 and code != 10 for code in range(128))
table = WordTable(classes, bytes(64), 1)
text = b" ".join(b"%07d" % n for n in range(2_000_000)) + b"\\n"
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limits = resource.getrlimit(resource.RLIMIT_AS)
for spare in range(1 << 20, 90 << 20, 7 << 20):  # so that each of the arrays is the one that cannot grow
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, limits[1]))
    try:
        table.split(text, 1 << 40, 1 << 40)
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    else:
        raise SystemExit(f"{spare} bytes were enough")
    assert table.split(b"one two one\\n", 1 << 40, 1 << 40) == (1, b"one\\ntwo\\n"), spare
    assert table.fill(np.arange(3, dtype=np.int32), np.array([1, 2])) == 4
    ids, lengths = np.empty(4, np.int32), np.empty(1, np.int64)
    table.gather(ids, lengths)
    assert (ids.tolist(), lengths.tolist()) == ([0, 1, 2, 0], [4])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_table_without_memory_is_empty_and_sound():
    """What had grown and what had not stayed as it was: keys were read beyond their end, or for ever."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_flat_ids_of_no_texts():
    found = word_cache.concatenate([])
    assert isinstance(found, FlatIds)
    assert (found.ids.dtype, found.lengths.dtype) == (np.int32, np.int64)
    assert found.ids.size == found.lengths.size == 0
