# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001  # text of other scripts
"""Documents to tokens: every kind of file, words that users mark, special tokens, training."""

import hashlib
import itertools
import json
import os
import pickle
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import tokenizer_files
from tokenizer_files import CHINESE, JAPANESE, KOREAN, Document
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from maskcore.records import RecordsError, train_tokenizer
from maskcore.records.tokenising import subword_training
from maskcore.records.tokenising.bert_vocabulary import tokenizer_json_of_vocabulary
from maskcore.records.tokenising.tokenise import (
    load_tokeniser,
    tokeniser_from_content,
    train_wordpiece,
)
from maskcore.records.tokenising.word_separator import WordSeparator, starts_by_boundaries

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


def sentencepiece_tokeniser(word_separator=None, **options):
    content = tokenizer_files.sentencepiece_model(**options)
    return tokeniser_from_content(content, "tokenizer.model", word_separator, source="test.model")


def words_of(tokeniser, sentence):
    tokens = tokeniser.encode([Document(b"a", [sentence])])
    words = np.split(tokens.ids, np.flatnonzero(tokens.starts_word)[1:])
    return [tokeniser.rule.text(word.tolist()).strip() for word in words]


# Documents.


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


# BERT's vocab.txt.


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


# SentencePiece.


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


# Words that users mark.

ZERO_WIDTH_SPACE = "\u200b"


@pytest.mark.parametrize(
    ("sentence", "text", "boundaries"),
    [
        ("", "", []),
        ("|", "", []),
        ("a", "a", []),
        ("ab|cd", "abcd", [2]),
        ("|ab||cd|", "abcd", [2]),
        ("a b", "a b", [1]),
        ("a| b", "a b", [1]),
        ("a |b", "a b", [1]),
        ("a  |  b|c", "a    b" + "c", [1, 6]),
        (" | a| ", "a", []),
        ("a\u3000b", "a\u3000b", [1]),
    ],
)
def test_separators_are_taken_out(sentence, text, boundaries):
    found = WordSeparator("|").take_out(sentence)
    assert (found.text, found.boundaries.tolist()) == (text, boundaries)


@pytest.mark.parametrize("character", ["", "ab", " ", "\n", "\u3000", "\0"])
def test_separators_that_cannot_be(character):
    with pytest.raises(
        ValueError, match="word_separator must be one character other than white space"
    ):
        WordSeparator(character)


@pytest.mark.parametrize(
    ("token_starts", "boundaries", "expected"),
    [
        ([], [], []),
        ([0], [], [1]),
        ([0, 1, 2, 3], [2], [1, 0, 1, 0]),
        ([0, 2], [1], [1, 1]),  # the first token goes through the boundary
        ([0, 3, 4], [1, 2], [1, 1, 0]),
        ([0, 0, 0, 1, 1], [1], [1, 0, 0, 1, 0]),  # bytes of a character
        ([0, 2, 1, 3], [2], [1, 1, 0, 0]),  # a normaliser that turned characters round
    ],
)
def test_which_tokens_start_a_word(token_starts, boundaries, expected):
    found = starts_by_boundaries(np.array(token_starts, np.int64), np.array(boundaries, np.int64))
    assert found.tolist() == [bool(x) for x in expected]


SEPARATED = {
    "今天|天气|很好|，|我们|去|公园|。": ["今天", "天气", "很好", "，", "我们", "去", "公园", "。"],
    "図書館|の|本|を 読み|ました。": ["図書館", "の", "本", "を", "読み", "ました。"],
    "자전거|를 고치|려고": ["자전거", "를", "고치", "려고"],
    "the na|me": ["the", "na", "me"],
}
# Where pieces reach across a boundary, words are longer than what is marked.
BY_LONG_PIECES = {
    ("bert-cased", "図書館|の|本|を 読み|ました。"): [
        "図書館",
        "の",
        "本",
        "を",
        "読みました",
        "。",
    ],
    ("bert-cased", "자전거|를 고치|려고"): ["자전거를", "고치려고"],
    ("bert-cased", "the na|me"): ["the", "name"],
    ("metaspace-first", "the na|me"): ["the", "name"],
    ("sentencepiece", "the na|me"): ["the", "name"],
}


@pytest.mark.parametrize("name", ["bert-cased", "metaspace-first", "sentencepiece"])
@pytest.mark.parametrize("sentence", SEPARATED)
def test_words_between_separators(name, sentence):
    """Ids are those of the text without separators; words are what stands between them."""
    if name == "sentencepiece":
        content, file_name = tokenizer_files.sentencepiece_model(), "tokenizer.model"
    else:
        content, file_name = tokenizer_files.CUT[name]().to_str().encode(), "tokenizer.json"
    tokeniser = tokeniser_from_content(content, file_name, "|")
    bare = tokeniser_from_content(content, file_name)
    documents = [[Document(b"a", [s, "x y"])] for s in (sentence, sentence.replace("|", ""))]
    tokens, expected = tokeniser.encode(documents[0]), bare.encode(documents[1])
    assert tokens.ids.tolist() == expected.ids.tolist()
    assert tokens.sentence_lengths.tolist() == expected.sentence_lengths.tolist()
    words = BY_LONG_PIECES.get((name, sentence), SEPARATED[sentence])
    if name == "sentencepiece":  # which writes punctuation in half width
        words = [unicodedata.normalize("NFKC", word) for word in words]
    # WordPiece shows ideographs apart.
    assert ["".join(word.split()) for word in words_of(tokeniser, sentence)] == words
    # The sentence without a separator keeps the tokenizer's own words.
    last = slice(int(tokens.sentence_lengths[0]), None)
    assert tokens.starts_word[last].tolist() == expected.starts_word[last].tolist()


@pytest.mark.parametrize(("sentence", "words"), SEPARATED.items())
def test_words_between_separators_of_bytes(sentence, words):
    """Byte-level pieces reach across boundaries: such a piece belongs to where it begins.

    The oracle counts bytes of pieces, where the tokeniser takes the library's offsets.
    """
    content = tokenizer_files.CUT["gpt2"]().to_str().encode()
    tokeniser = tokeniser_from_content(content, "tokenizer.json", "|")
    tokens = tokeniser.encode([Document(b"a", [sentence])])
    word_of_byte, word = [], 0
    gaps = iter(words[1:])
    rest = words[0]
    for character in sentence.replace("|", ""):
        if not rest:
            rest, word = next(gaps), word + 1
        rest = rest if character == " " else rest[1:]
        word_of_byte += [word] * len(character.encode())
    lengths = [len(tokeniser.rule.texts[token]) for token in tokens.ids.tolist()]
    word_of_token = [word_of_byte[begin] for begin in np.cumsum([0, *lengths[:-1]])]
    expected = [True, *(a != b for a, b in itertools.pairwise(word_of_token))]
    assert tokens.starts_word.tolist() == expected


def test_separated_words_of_single_characters():
    """BERT's ideographs are tokens of their own, so words are exactly what is marked."""
    vocabulary = {piece: i for i, piece in enumerate([*tokenizer_files.SPECIAL, *"今天气很好"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(tokenizer_files.SPECIAL)
    content = tokenizer.to_str().encode()
    tokeniser = tokeniser_from_content(content, "tokenizer.json", ZERO_WIDTH_SPACE)
    sentence = "今天 天气 很好".replace(" ", ZERO_WIDTH_SPACE)
    assert words_of(tokeniser, sentence) == ["今 天", "天 气", "很 好"]
    assert words_of(tokeniser, "天气") == ["天", "气"]  # no separator: the tokenizer's own words
    assert tokeniser.encode([Document(b"a", [ZERO_WIDTH_SPACE * 3])]).ids.size == 0


# Training.

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
