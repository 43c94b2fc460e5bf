# SPDX-License-Identifier: Apache-2.0
"""Training: the same file in every process, of any kind, from any corpus."""

import json
import os
import subprocess
import sys

import pytest
import tokenizer_files
from tokenizer_files import words_of

from maskcore.records import train_tokenizer
from maskcore.records.tokenising import subword_training
from maskcore.records.tokenising.tokenise import load_tokeniser, tokeniser_from_content

FINGERPRINT = """
import hashlib, sys
sys.path[:0] = {paths!r}
import tokenizer_files
from maskcore.records.tokenising.subword_training import trained
lines = list(tokenizer_files.training_lines())[::{step}]
batches = [lines[i : i + {size}] for i in range(0, len(lines), {size})]
for kind in ("wordpiece", "bpe", "byte-bpe", "unigram"):
    print(kind, hashlib.sha256(trained(lambda: iter(batches), kind, 600).content).hexdigest())
"""


def test_training_is_the_same_in_every_process():
    """Hash maps have another order in every process; so have sentences here, and batches."""
    outputs = set()
    for seed, (step, size) in enumerate([(1, 1000), (-1, 7), (1, 100_000)]):
        program = FINGERPRINT.format(paths=[os.path.dirname(__file__)], step=step, size=size)
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "RAYON_NUM_THREADS": str(1 + seed)}
        found = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(found.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 8


def test_continuing_pieces_are_numbered_in_their_order():
    """U+2E59 is punctuation to Python, not to the library, whose hash map then numbered `##\u2e59`.

    U+FFFD and U+00AD, which BERT's normaliser drops, took places of the vocabulary.
    """
    marks = [chr(code) for code in range(0x2E53, 0x2E5E)]
    lines = [f"a{mark}b c, d\u4e00\ufffd\xad" for mark in marks]
    content, _ = subword_training.trained(lambda: [lines], "wordpiece", 100)
    vocabulary = json.loads(content)["model"]["vocab"]
    single = sorted(piece for piece in vocabulary if piece[:2] == "##" and len(piece) == 3)
    assert set(single) >= {f"##{mark}" for mark in marks} | {"##a", "##b", "##c", "##d"}
    assert [vocabulary[piece] for piece in single] == list(range(5, 5 + len(single)))
    assert not {"##,", "##\u4e00", "\ufffd", "##\ufffd", "\xad"} & set(vocabulary)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("wordpiece", "wordpiece"),
        ("bpe", "metaspace"),
        ("byte-bpe", "byte-level"),
        ("unigram", "metaspace"),
    ],
)
def test_trained_tokenizers_can_be_used(kind, rule):
    batches = [list(tokenizer_files.training_lines())]
    content, file_name = subword_training.trained(lambda: iter(batches), kind, 700)
    tokeniser = tokeniser_from_content(content, file_name)
    assert tokeniser.rule.name == rule
    assert 300 < tokeniser.vocab_size <= 700
    assert [tokeniser.special[role].id for role in ("pad", "unk", "cls", "sep", "mask")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert words_of(tokeniser, "the name, 자전거를 샀다") == [
        "the",
        "name",
        ",",
        "자전거를",
        "샀다",
    ]
    assert (tokeniser.why_not_cached is None) == (kind != "unigram")


@pytest.mark.parametrize(
    ("kind", "vocab_size", "problem"),
    [
        (
            "wordpieces",
            100,
            "kind must be 'wordpiece' or 'bpe' or 'byte-bpe' or 'unigram', got 'wordpieces'",
        ),
        ("bpe", 31, "vocab_size must be >= 32, got 31"),
        ("byte-bpe", 260, "vocab_size must be >= 261 for byte-bpe, got 260"),
    ],
)
def test_vocabularies_that_cannot_be_trained(kind, vocab_size, problem):
    with pytest.raises(ValueError, match=problem):
        subword_training.trained(lambda: iter([["a"]]), kind, vocab_size)


@pytest.mark.parametrize("text", [["a"], ["a b c d e f g"], ["가"]])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte-bpe", "unigram"])
def test_little_text_gives_a_small_vocabulary(kind, text):
    content, file_name = subword_training.trained(lambda: iter([text]), kind, 300)
    tokeniser = tokeniser_from_content(content, file_name)
    assert tokeniser.vocab_size <= 300
    assert words_of(tokeniser, text[0]) == text[0].split()


def corpus_of(tmp_path, num_documents=400):
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = tokenizer_files.training_lines()
    text = "\n\n".join("\n".join(lines[i * 5 : i * 5 + 5]) for i in range(num_documents))
    (folder / "a.txt").write_text(text, encoding="utf-8")
    return folder


def test_train_tokenizer_on_a_corpus(tmp_path):
    folder = corpus_of(tmp_path)
    progress = []
    whole = train_tokenizer(
        folder, tmp_path / "w.json", vocab_size=500, on_progress=progress.append
    )
    assert (tmp_path / "w.json").read_bytes() == whole.content
    assert load_tokeniser(tmp_path / "w.json").sha256 == whole.sha256
    size = (folder / "a.txt").stat().st_size
    assert [(p.stage, p.bytes_done, p.bytes_total) for p in progress] == [
        ("train", size, 2 * size),
        ("train", 2 * size, 2 * size),
    ]
    assert {p.documents for p in progress} == {400}


def test_the_sample_is_bounded_and_spread(tmp_path):
    """A quarter of the corpus: about a quarter of the documents, the same ones each time."""
    folder = corpus_of(tmp_path)
    size = (folder / "a.txt").stat().st_size
    seen = []
    arguments = {"vocab_size": 300, "kind": "byte-bpe", "overwrite": True}
    for max_bytes in (size // 4, size // 4, size, 100 * size):
        progress = []
        train_tokenizer(
            folder,
            tmp_path / "t.json",
            max_bytes=max_bytes,
            on_progress=progress.append,
            **arguments,
        )
        seen.append((progress[-1].documents, (tmp_path / "t.json").read_bytes()))
    assert seen[0] == seen[1]
    # 400 draws of probability 1/4: mean 100, standard deviation 8.7.
    assert 60 < seen[0][0] < 140
    assert seen[2] == seen[3]
    assert seen[2][0] == 400


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"out": "t.model"}, r"out must be a file \*.json for kind 'wordpiece', got"),
        ({"kind": "unigram"}, r"out must be a file \*.model for kind 'unigram', got"),
        ({"max_bytes": 0}, "max_bytes must be >= 1, got 0"),
        ({"max_bytes": 1}, "no text to train on"),
        ({"max_bytes": "x"}, "max_bytes must be an integer, got 'x'; a few MiB make a vocabulary"),
        ({"max_bytes": 1.5}, "max_bytes must be an integer, got 1.5"),
        ({"vocab_size": "x"}, "vocab_size must be an integer, got 'x'; BERT has 30522"),
        ({"out": "there.json"}, "there.json: exists; pass overwrite"),
    ],
)
def test_bad_arguments_of_train_tokenizer(tmp_path, arguments, problem):
    folder = corpus_of(tmp_path, 3)
    (tmp_path / "there.json").write_text("mine")
    arguments = {"vocab_size": 100} | arguments
    out = tmp_path / arguments.pop("out", "t.json")
    with pytest.raises((TypeError, ValueError), match=problem):
        train_tokenizer(folder, out, **arguments)
    assert (tmp_path / "there.json").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "there.json"]
