# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001  # text of other scripts
"""Words that users mark: a character between them, taken out, and where tokens begin words then."""

import itertools
import unicodedata

import numpy as np
import pytest
import tokenizer_files
from tokenizer_files import Document, words_of
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from maskcore.records.tokenising.tokenise import tokeniser_from_content
from maskcore.records.tokenising.word_separator import WordSeparator, starts_by_boundaries

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
