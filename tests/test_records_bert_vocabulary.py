# SPDX-License-Identifier: Apache-2.0
"""BERT's vocab.txt: the tokenizer.json it stands for, case and accents, and what is none."""

import json

import pytest
from tokenizer_files import Document

from maskcore.records import RecordsError
from maskcore.records.tokenising.bert_vocabulary import tokenizer_json_of_vocabulary
from maskcore.records.tokenising.tokenise import load_tokeniser, tokeniser_from_content

BERT_VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "play",
    "##ing",
    "##ed",
    ",",
    ".",
    "天",
    "气",
    "好",
    "cafe",
    "##s",
]


def write_vocabulary(folder, pieces, name="vocab.txt"):
    path = folder / name
    path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return path


def test_bert_vocabulary(tmp_path):
    tokeniser = load_tokeniser(write_vocabulary(tmp_path, BERT_VOCABULARY))
    assert tokeniser.kind == "wordpiece"
    assert tokeniser.file_name == "tokenizer.json"
    assert tokeniser.vocab_size == len(BERT_VOCABULARY)
    assert [tokeniser.special[role].id for role in ("pad", "unk", "cls", "sep", "mask")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    tokens = tokeniser.encode([Document(b"a", ["The played, playing.天气 CAFÉS [MASK] zzz"])])
    pieces = [BERT_VOCABULARY[i] for i in tokens.ids.tolist()]
    assert pieces[:9] == ["the", "play", "##ed", ",", "play", "##ing", ".", "天", "气"]
    assert pieces[9:11] == ["cafe", "##s"]
    assert pieces[-1] == "[UNK]"
    again = tokeniser_from_content(tokeniser.content, tokeniser.file_name)
    assert again.sha256 == tokeniser.sha256


@pytest.mark.parametrize(
    ("pieces", "lowercase", "strips"),
    [
        (["the", "##ing"], True, True),
        (["the", "The"], False, False),
        (["the", "##Ä"], False, False),
        (["[Unused1]", "[Z]", "the"], True, True),
        (["the", "é"], True, False),  # lower case with accents
        (["한국", "##어"], True, False),  # Korean without Latin: accents would take Hangul apart
        (["\u1112\u1161\u11ab", "the"], True, True),  # Hangul taken apart, as bert-base-uncased
    ],
)
def test_case_and_accents_are_told_from_the_pieces(tmp_path, pieces, lowercase, strips):
    path = write_vocabulary(tmp_path, [*BERT_VOCABULARY[:5], *pieces])
    normalizer = json.loads(load_tokeniser(path).content)["normalizer"]
    assert (normalizer["lowercase"], normalizer["strip_accents"]) == (lowercase, strips)


def test_case_can_be_given(tmp_path):
    path = write_vocabulary(tmp_path, [*BERT_VOCABULARY[:5], "the", "a"])
    normalizer = json.loads(load_tokeniser(path, lowercase=False).content)["normalizer"]
    assert (normalizer["lowercase"], normalizer["strip_accents"]) == (False, False)
    (tmp_path / "t.json").write_bytes(load_tokeniser(path).content)
    with pytest.raises(ValueError, match="lowercase must be None for what is no vocab"):
        load_tokeniser(tmp_path / "t.json", lowercase=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[PAD]\n\n[UNK]\n", "vocab.txt: line 2 is an empty line"),
        ("[UNK]\na\nb\na\n", "vocab.txt: line 4 is 'a' for the second time"),
        ("", "line 1 is an empty line"),
        ("a\nb\n", "lacks \\[UNK\\]"),
        ("[UNK]\na\n", "the vocabulary lacks \\[CLS\\] or <s>"),
    ],
)
def test_bad_vocabularies(tmp_path, text, problem):
    (tmp_path / "vocab.txt").write_text(text)
    with pytest.raises(RecordsError, match=problem):
        load_tokeniser(tmp_path / "vocab.txt")


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_line_ends_of_a_vocabulary(end):
    text = (end or "\n").join(BERT_VOCABULARY) + end
    vocabulary = json.loads(tokenizer_json_of_vocabulary(text, "v"))["model"]["vocab"]
    assert vocabulary == {piece: i for i, piece in enumerate(BERT_VOCABULARY)}
