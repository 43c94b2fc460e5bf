# SPDX-License-Identifier: Apache-2.0
"""Documents to tokens: flat arrays, special tokens, other processes, SentencePiece models."""

import hashlib
import json
import pickle
import sys

import numpy as np
import pytest
import tokenizer_files
from tokenizer_files import CHINESE, JAPANESE, KOREAN, Document, sentencepiece_tokeniser, words_of
from tokenizers import Tokenizer, models, pre_tokenizers

from maskcore.records import RecordsError
from maskcore.records.tokenising.tokenise import (
    load_tokeniser,
    tokeniser_from_content,
    train_wordpiece,
)


def test_tokens_of_documents():
    tokeniser = train_wordpiece([KOREAN], 400)
    documents = [
        Document(b"one", ["자전거를 샀다.", "\u200b"]),
        Document(b"two", []),
        Document(b"three", ["\u200b"]),
        Document(b"four", ["책을", "봄에 책을", "[MASK]"]),
    ]
    tokens = tokeniser.encode(documents)
    assert tokens.keys == [b"one", b"two", b"three", b"four"]
    assert tokens.sentences_per_document.tolist() == [1, 0, 0, 3]
    assert tokens.num_sentences_without_tokens == 2
    assert tokens.sentence_lengths.min() > 0
    assert tokens.sentence_lengths.sum() == tokens.ids.size == tokens.starts_word.size
    starts = np.cumsum(tokens.sentence_lengths) - tokens.sentence_lengths
    assert tokens.starts_word[starts].all()
    assert not tokens.is_special.any()
    texts = [
        tokeniser.rule.text(ids.tolist()).replace(" ", "")
        for ids in np.split(tokens.ids, starts[1:])
    ]
    assert texts[:3] == ["자전거를샀다.", "책을", "봄에책을"]
    assert [array.dtype for array in (tokens.ids, tokens.starts_word, tokens.is_special)] == [
        np.int32,
        bool,
        bool,
    ]
    assert tokens.sentence_lengths.dtype == tokens.sentences_per_document.dtype == np.int64


@pytest.mark.parametrize("documents", [[], [Document(b"a", [])], [Document(b"a", ["\u200b"])] * 3])
def test_documents_without_tokens(documents):
    tokens = train_wordpiece([KOREAN], 400).encode(documents)
    assert tokens.ids.size == tokens.sentence_lengths.size == tokens.starts_word.size == 0
    assert tokens.sentences_per_document.tolist() == [0] * len(documents)
    assert tokens.num_sentences_without_tokens == sum(len(d.sentences) for d in documents)


def test_batches_change_nothing():
    """Word starts, and what the cache holds, depend on the sentence alone."""
    documents = [
        Document(b"%d" % i, list(tokenizer_files.training_lines()[i * 7 : i * 7 + 7]))
        for i in range(100)
    ]
    for name in ("bert-cased", "gpt2", "metaspace"):
        content = tokenizer_files.CUT[name]().to_str().encode()
        together = tokeniser_from_content(content, "tokenizer.json").encode(documents)
        apart = tokeniser_from_content(content, "tokenizer.json")
        parts = [apart.encode([document]) for document in reversed(documents)][::-1]
        for field in ("ids", "starts_word", "sentence_lengths"):
            joined = np.concatenate([getattr(part, field) for part in parts])
            assert joined.tolist() == getattr(together, field).tolist()


def test_a_lone_surrogate_is_named():
    tokeniser = train_wordpiece([KOREAN], 400)
    documents = [Document(b"fine", ["a"]), Document(b"bad", ["b", "c\ud800"])]
    with pytest.raises(RecordsError, match=r"document b'bad': a lone surrogate \(U\+D800\)"):
        tokeniser.encode(documents)


def test_special_tokens_that_the_text_makes_are_marked():
    """A piece that is a role's token comes out of plain text: here by a vocabulary's own fault."""
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[PAD]"])
    settings = json.loads(tokenizer.to_str())
    settings["model"]["vocab"]["[MASK]"] = 5
    tokeniser = tokeniser_from_content(json.dumps(settings).encode(), "tokenizer.json")
    tokens = tokeniser.encode([Document(b"a", ["a [MASK] b"])])
    assert tokens.ids.tolist() == [0, 5, 1]
    assert tokens.is_special.tolist() == [False, True, False]
    assert tokeniser.vocab_size == 6


def test_dropout_is_switched_off():
    tokenizer = tokenizer_files.CUT["gpt2"]()
    model = tokenizer.model
    model.dropout = 0.5
    tokenizer.model = model
    tokeniser = tokeniser_from_content(tokenizer.to_str().encode(), "tokenizer.json")
    sentence = "The same sentence has the same tokens, every time that it is read."
    rows = {
        tuple(tokeniser._model.encode([sentence]).ids.tolist())  # past the cache
        for _ in range(20)
    }
    assert len(rows) == 1


def test_a_tokeniser_in_another_process():
    for tokeniser in (
        train_wordpiece([KOREAN], 400),
        sentencepiece_tokeniser(word_separator="\u200b"),
    ):
        again = pickle.loads(pickle.dumps(tokeniser))
        assert (again.sha256, again.file_name) == (tokeniser.sha256, tokeniser.file_name)
        assert again.word_separator == tokeniser.word_separator
        documents = [Document(b"a", ["자전거를 고치려고\u200b 공구를"])]
        assert again.encode(documents).ids.tolist() == tokeniser.encode(documents).ids.tolist()
        assert again.sha256 == hashlib.sha256(tokeniser.content).hexdigest()


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sentencepiece(tmp_path, model_type):
    import sentencepiece

    content = tokenizer_files.sentencepiece_model(model_type=model_type)
    (tmp_path / "spiece.model").write_bytes(content)
    tokeniser = load_tokeniser(tmp_path / "spiece.model")
    assert (tokeniser.kind, tokeniser.file_name) == ("sentencepiece", "tokenizer.model")
    assert tokeniser.content == content
    assert [tokeniser.special[role].id for role in ("pad", "unk", "cls", "sep", "mask")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    lines = list(tokenizer_files.training_lines())[-400:]
    oracle = sentencepiece.SentencePieceProcessor(model_proto=content)
    tokens = tokeniser.encode([Document(b"a", lines)])
    assert tokens.ids.tolist() == [i for line in lines for i in oracle.encode(line)]
    assert words_of(tokeniser, "자전거를 샀다. (the name)") == [
        "자전거를",
        "샀다",
        ".",
        "(",
        "the",
        "name",
        ")",
    ]
    assert not tokeniser.encode([Document(b"a", ["the [MASK] </s>"])]).is_special.any()


def test_japanese_and_chinese_pieces_are_words():
    tokeniser = sentencepiece_tokeniser()
    for sentence in (CHINESE[0], JAPANESE[0], JAPANESE[2]):
        tokens = tokeniser.encode([Document(b"a", [sentence])])
        pieces = [tokeniser.rule.text([i]).strip() for i in tokens.ids.tolist()]
        words = words_of(tokeniser, sentence)
        assert "".join(words) == "".join(pieces)
        # A bare space marker joins what follows; everything else is a word by itself.
        assert len(words) == sum(1 for piece in pieces if piece)
        assert len(words) > 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"control_symbols": "[CLS],[SEP]"},
            "test.model: the vocabulary lacks [MASK] or <mask>; train it with",
        ),
        ({"pad_id": -1, "unk_id": 0}, "lacks [PAD] or <pad>"),
        ({"treat_whitespace_as_suffix": True}, "cannot tell where words begin"),
    ],
)
def test_sentencepiece_models_that_cannot_be_used(options, problem):
    with pytest.raises(RecordsError) as caught:
        sentencepiece_tokeniser(vocab_size=901, **options)
    assert problem in str(caught.value)


def test_other_names_of_special_tokens():
    tokeniser = sentencepiece_tokeniser(
        vocab_size=902, pad_id=3, unk_id=0, bos_id=1, eos_id=2, control_symbols="<mask>"
    )
    assert {role: token.token for role, token in tokeniser.special.items()} == {
        "cls": "<s>",
        "sep": "</s>",
        "pad": "<pad>",
        "mask": "<mask>",
        "unk": "<unk>",
    }


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe" * 50])
def test_what_is_no_sentencepiece_model(tmp_path, content):
    (tmp_path / "x.model").write_bytes(content)
    with pytest.raises(RecordsError, match=r"x\.model: not a SentencePiece model"):
        load_tokeniser(tmp_path / "x.model")


def test_a_sentencepiece_model_under_another_name(tmp_path):
    (tmp_path / "x.json").write_bytes(tokenizer_files.sentencepiece_model())
    with pytest.raises(RecordsError, match=r"name a SentencePiece model \*\.model"):
        load_tokeniser(tmp_path / "x.json")


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "x.model").write_bytes(tokenizer_files.sentencepiece_model())
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"pip install 'maskcore\[sentencepiece\]'"):
        load_tokeniser(tmp_path / "x.model")
