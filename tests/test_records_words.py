# SPDX-License-Identifier: Apache-2.0
"""Where words begin, for each kind of tokenizer, in English, Korean and Chinese."""

import json

import numpy as np
import pytest
from tokenizer_files import CUT, JAPANESE, KOREAN, SPECIAL, Document, bpe, english_lines
from tokenizer_files import trained as trained_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from maskcore.records import RecordsError
from maskcore.records.tokenising.tokenise import tokeniser_from_content, train_wordpiece


def tokeniser_of(text):
    return tokeniser_from_content(text.encode(), "tokenizer.json", source="test")


def encode(tokeniser, *sentences):
    return tokeniser.encode([Document(b"a", list(sentences))])


def words_of(tokeniser, sentence):
    """Return the pieces of a sentence, grouped into words."""
    tokens = encode(tokeniser, sentence)
    words = []
    for token, starts in zip(tokens.ids.tolist(), tokens.starts_word.tolist(), strict=True):
        if starts:
            words.append([])
        words[-1].append(tokeniser.rule.text([token]))
    return ["|".join(word) for word in words]


def trained(model, trainer, steps, lines, normalizer=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = steps
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(lines, trainer)
    return tokeniser_of(tokenizer.to_str())


def byte_level(lines, vocab_size=600):
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    steps = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return trained(models.BPE(), trainer, steps, lines)


def metaspace(lines, vocab_size=200):
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    steps = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return trained(models.Unigram(), trainer, steps, lines)


def test_wordpiece_words_are_those_the_tokenizer_reports():
    """The table over the vocabulary equals `Encoding.word_ids` on half a megabyte of text."""
    lines = [*english_lines(), *KOREAN, "漢字 mixed 中文,標點。"]
    tokeniser = train_wordpiece([lines], 2000)
    assert tokeniser.rule.name == "wordpiece"
    oracle = Tokenizer.from_buffer(tokeniser.content)
    oracle.encode_special_tokens = True
    encodings = oracle.encode_batch(lines, add_special_tokens=False)
    expected_ids, expected_starts = [], []
    for encoding in encodings:
        words = encoding.word_ids
        expected_ids += encoding.ids
        expected_starts += [t == 0 or words[t] != words[t - 1] for t in range(len(words))]
    tokens = encode(tokeniser, *lines)
    assert len(expected_ids) > 100_000
    assert tokens.ids.tolist() == expected_ids
    assert tokens.starts_word.tolist() == expected_starts


def test_korean_wordpiece_masks_eojeol():
    """An eojeol with its particles is one word; punctuation is another."""
    tokeniser = train_wordpiece([KOREAN], 400)
    sentence = "학생들은 자전거를 샀다."
    words = [word.replace("|", "").strip() for word in words_of(tokeniser, sentence)]
    assert words == ["학생들은", "자전거를", "샀다", "."]
    assert any("|" in word for word in words_of(tokeniser, sentence))


def test_byte_level_words():
    tokeniser = byte_level(english_lines())
    assert tokeniser.rule.name == "byte-level"
    words = [w.replace("|", "") for w in words_of(tokeniser, 'Hello, "quoted" world (x1)...')]
    assert words == ["Hello", ",", ' "', "quoted", '"', " world", " (", "x1", ")..."]


def test_byte_level_parts_of_characters_stay_together():
    """Korean and Chinese that the vocabulary knows only byte by byte."""
    tokeniser = byte_level(english_lines())
    ids = encode(tokeniser, "학교(中文)").ids
    assert len(ids) == 14  # nothing merged: 12 bytes of four characters and two brackets
    tokens = encode(tokeniser, "학교(中文), 집에")
    starts = np.flatnonzero(tokens.starts_word).tolist()
    # 학교 is 6 bytes, then "(", then one word for each of 中 and 文, then ")," and " 집에".
    assert starts == [0, 6, 7, 10, 13, 15]


def test_metaspace_words():
    lines = [*english_lines()[:3000], *KOREAN * 20]
    tokeniser = metaspace(lines, 400)
    assert tokeniser.rule.name == "metaspace"
    words = [w.replace("|", "") for w in words_of(tokeniser, "Hello, the (name) 자전거를 샀다.")]
    assert words == [" Hello", ",", " the", " (", "name", ")", " 자전거를", " 샀다", "."]


def test_metaspace_byte_fallback():
    vocab = [
        ("<unk>", 0.0),
        ("▁", -2.0),
        ("a", -3.0),
        *((f"<0x{b:02X}>", -9.0) for b in range(256)),
    ]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(SPECIAL)
    tokeniser = tokeniser_of(tokenizer.to_str())
    assert tokeniser.rule.text([1, 2, 3 + 0xEC, 3 + 0x95, 3 + 0x88]) == " a안"
    assert len(words_of(tokeniser, "a안 (")) == 2


def test_chinese_pieces_are_words():
    lines = ["今天天气很好", "我们去公园", "天气预报说今天下雨"] * 50
    tokeniser = metaspace(lines, 40)
    assert all("|" not in word or word.startswith(" |") for word in words_of(tokeniser, lines[0]))
    assert len(words_of(tokeniser, lines[0])) > 1


def test_a_normalizer_that_writes_the_marker_is_recognised():
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    steps = pre_tokenizers.Split("▁", "merged_with_next"), decoders.Fuse()
    model, marker = models.BPE(unk_token="[UNK]"), normalizers.Replace(" ", "▁")
    tokeniser = trained(model, trainer, steps, english_lines()[:500], marker)
    assert tokeniser.rule.name == "metaspace"
    assert words_of(tokeniser, "the name")[1].replace("|", "") == " name"


def test_word_level_tokens_are_words():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIAL)
    assert words_of(tokeniser_of(tokenizer.to_str()), "a b c") == [" a", " b", " [UNK]"]


@pytest.mark.parametrize("name", ["gpt1", "clip"])
def test_words_of_an_end_of_word_suffix_are_those_the_tokenizer_reports(name):
    if name == "gpt1":
        oracle = trained_tokenizer(
            *bpe(end_of_word_suffix="</w>"), pre_tokenizer=pre_tokenizers.BertPreTokenizer()
        )
    else:
        oracle = CUT["clip"]()
    tokeniser = tokeniser_of(oracle.to_str())
    assert tokeniser.rule.name == "end-of-word"
    lines = [*english_lines()[:2000], *KOREAN, *JAPANESE]
    oracle.encode_special_tokens = True
    expected_ids, expected_starts = [], []
    for encoding in oracle.encode_batch(lines, add_special_tokens=False):
        words = encoding.word_ids
        expected_ids += encoding.ids
        expected_starts += [t == 0 or words[t] != words[t - 1] for t in range(len(words))]
    tokens = encode(tokeniser, *lines)
    assert tokens.ids.tolist() == expected_ids
    assert tokens.starts_word.tolist() == expected_starts
    assert words_of(tokeniser, "the name")[0].strip() == "the"


def test_an_unknown_token_is_a_word_where_words_end_with_a_suffix():
    """It may stand for a whole word or for a character of one; which, its piece does not say."""
    vocabulary = {"[UNK]": 0, "a": 1, "b</w>": 2, "b": 3}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIAL)
    assert words_of(tokeniser_of(tokenizer.to_str()), "ab a?b ?") == [
        "a|b ",
        "a",
        "[UNK] ",
        "b ",
        "[UNK] ",
    ]


def test_bpe_with_a_prefix_of_continuing_pieces():
    vocabulary = {"[UNK]": 0, "p": 1, "##l": 2, "##ay": 3, "a": 4}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [], unk_token="[UNK]", continuing_subword_prefix="##")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    tokeniser = tokeniser_of(tokenizer.to_str())
    assert tokeniser.rule.name == "continuing-prefix"
    assert tokeniser.rule.begins.tolist()[:5] == [True, True, False, False, True]


def test_a_model_that_hides_its_words_is_refused():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    with pytest.raises(RecordsError, match="cannot tell where words begin in a BPE model"):
        tokeniser_of(tokenizer.to_str())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "not a tokenizer.json"),
        ("nonsense", "not a tokenizer.json"),
        ("", "not a tokenizer.json"),
    ],
)
def test_what_is_no_tokenizer_is_refused(text, problem):
    with pytest.raises(RecordsError, match=problem):
        tokeniser_of(text)


def test_missing_special_tokens_are_named():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "a": 2}, unk_token="[UNK]"))
    with pytest.raises(RecordsError) as caught:
        tokeniser_from_content(tokenizer.to_str().encode(), "tokenizer.json", source="some.json")
    assert "some.json: the vocabulary lacks [SEP] or </s>, [PAD] or <pad>, [MASK] or <mask>" in str(
        caught.value
    )


def test_truncation_padding_and_special_tokens_in_the_text_are_defused():
    """A tokenizer.json may ask for truncation and padding: both would change the corpus silently."""
    base = train_wordpiece([english_lines()], 1000)
    tokenizer = Tokenizer.from_buffer(base.content)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokeniser = tokeniser_of(tokenizer.to_str())
    sentence = "The name of the module is [MASK] and not [SEP]."
    tokens = encode(tokeniser, sentence, "the")
    expected = encode(base, sentence, "the")
    assert tokens.sentence_lengths.tolist() == expected.sentence_lengths.tolist()
    assert tokens.sentence_lengths[1] == 1
    assert not tokens.is_special.any()
    text = tokeniser.rule.text(tokens.ids.tolist()).replace(" ", "")
    assert text == sentence.replace(" ", "") + "the"


def test_training_keeps_to_the_vocabulary_size_and_drops_the_rarest_characters():
    tokeniser = train_wordpiece([["aaa bbb ccc ddd", "aaa bbb", "aaa"]], 32)
    assert tokeniser.vocab_size <= 32
    settings = json.loads(tokeniser.content)
    assert [token["content"] for token in settings["added_tokens"]] == SPECIAL
    rare = train_wordpiece([["a" * 50, *"bcdefghijklmnopqrstuvwxyz"]], 32)
    vocabulary = json.loads(rare.content)["model"]["vocab"]
    assert "a" in vocabulary and "##a" in vocabulary and "z" not in vocabulary
