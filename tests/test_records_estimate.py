# SPDX-License-Identifier: Apache-2.0
"""The dry run's figures: from all over a corpus, whatever the size of its documents."""

import gzip

import pytest

from maskcore import records
from maskcore.records import MaskConfig

WORDS = "alpha beta gamma delta " * 4
DIGITS = "1 2 3 4 5 6 7 8 9 0 " * 5


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "a.txt").write_text(f"{WORDS}\n{DIGITS}\n")
    records.train_tokenizer(folder / "a.txt", folder / "t.json", vocab_size=100)
    return folder / "t.json"


def lines(text, num_bytes):
    return f"{text.strip()}\n" * (num_bytes // len(text))


def is_near(found, expected, part):
    return abs(found - expected) <= part * expected


# A document of words, and then three times as much of digits, with three times the tokens a byte.
# With them how far the number of documents may be off; the small ones fill a part of a place.
CORPORA = {
    "four large documents": ([lines(WORDS, 700_000), *[lines(DIGITS, 700_000)] * 3], 1),
    "many small documents": ([lines(WORDS, 700)] * 1000 + [lines(DIGITS, 700)] * 3000, 400),
    "one document": ([lines(WORDS, 600_000)], 0),
    "small beside large": ([lines(WORDS, 400)] * 50 + [lines(DIGITS, 2_000_000)], 50),
}


@pytest.mark.parametrize(("documents", "slack"), CORPORA.values(), ids=CORPORA)
def test_a_sample_is_of_the_whole_file(tokenizer, tmp_path, documents, slack):
    """It was the beginning of the file alone, and few large documents counted as many."""
    (tmp_path / "a.txt").write_text("\n".join(documents))
    options = {"tokenizer": tokenizer, "mask": MaskConfig(seed=1), "layout": "compact"}
    found = records.plan(tmp_path / "a.txt", **options)
    made = records.build(tmp_path / "a.txt", tmp_path / "r", **options)
    assert is_near(found.tokens, made.counts["tokens_read"], 0.1)
    assert is_near(found.rows, made.num_rows, 0.1)
    assert is_near(found.record_bytes, sum(shard.bytes for shard in made.shards), 0.1)
    assert abs(found.documents - len(documents)) <= slack
    assert found.sampled_bytes <= 1.1 * (1 << 20)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_small_files_are_counted_whole(tokenizer, tmp_path, name):
    """Of many, or of one that is larger than its share, a part was scaled."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    content = "\n".join([lines(WORDS, 500), lines(DIGITS, 300)]).encode()
    for number in range(20):
        (folder / f"{number}.txt").write_bytes(content)
    large = "\n".join([lines(DIGITS, 60_000)] * 3).encode()
    (folder / name).write_bytes(gzip.compress(large) if name.endswith(".gz") else large)
    found = records.plan(folder, tokenizer=tokenizer)
    made = records.build(folder, tmp_path / "r", tokenizer=tokenizer)
    assert found.documents == made.counts["documents"] == 43
    assert found.tokens == made.counts["tokens_read"]
    assert found.rows == made.num_rows
