# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001  # letters of other scripts that look like Latin ones are the point
"""Tokenizers of every kind, trained on prose that every Python carries, and nasty text for them.

Owns the texts and how the tokenizers are put together. Knows nothing of what is tested.
"""

import functools
import io
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
from tokenizers import (
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from maskcore.records.tokenising.chunk_rule import _CLIP_PATTERN, _KNOWN_PATTERNS
from maskcore.records.tokenising.tokenise import tokeniser_from_content

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KOREAN = [
    "어제 저녁에 친구들과 함께 한강 공원에서 자전거를 탔다.",
    "도서관에서 빌린 책을 아직 다 읽지 못했습니다.",
    "날씨가 추워지면 따뜻한 국물이 생각난다.",
    "학생들은 운동장에서 축구를 하고, 선생님은 교실에서 시험지를 채점하셨다.",
    "우리 회사는 내년 봄에 부산으로 이전할 예정입니다.",
    "자전거를 고치려고 공구를 샀지만 설명서가 어려웠다.",
]
CHINESE = ["今天天气很好，我们去公园。", "天气预报说今天下雨。", "我们在北京学习汉语。"]
JAPANESE = [
    "今日は天気がとても良いです。",
    "友達と一緒に公園で自転車に乗った。",
    "図書館の本を読みました。",
]

# What stands at the ends of chunks, within words, and around cuts.
NASTY = [
    *" \u00a0\u2003\u3000\u2028\u0085\t\u000b\r\u200b\ufeff\u2581",  # spaces, and what is read as one
    *"\u0301\u0308\u0338\u3099\u0e33\uff9e\U0001f3fd\u200d\ufe0f\u0600\u06dd\u0d4e",  # joins its neighbours
    *"abzABZéÅßİſΣσςıжЁ",
    *"0159²½Ⅷ①٣",
    *".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~",
    *"。，、「」…—“”‘’¿§¡",
    *"한글각ㄱㅏ\u1100\u1161\u11a8漢字今天々〇かなカナｶﾅー",
    *"עברمرحภาษाक्ष",
    *"´¨¯ͺﷺﬁ™€©∑≠\u212b\u2126\ufffd",
    *"😀👩🇰🇷✈☕",
    *"\u0000\u0007\u007f\u00ad\u202e\ue000\U000e0001\U00020000\U0010ffff",
    "  ",
    " a",
    "a ",
    "'s",
    "'t ",
    " 'll",
    "[MASK]",
    "[X]",
    "</s>",
    "x" * 60,
]


class Document(NamedTuple):
    """What tokenising needs of a document."""

    key: bytes
    sentences: list[str]


def english_lines():
    lines = [line.strip() for text in topics.values() for line in text.split("\n")]
    return [line for line in lines if line]


# Frequent here, so that pieces reach across what stands side by side, as a wrong cut would show.
SIDE_BY_SIDE = ["é. ñ, e\u0301! ü)", "(ﾞ) .ﾞ ภำ. ´x y´ ¨.", "2. .2 ²) (½ x² a≠b a=b", "'s. n't, ''x"]


@functools.cache
def training_lines():
    return (*english_lines()[:2500], *(KOREAN + CHINESE + JAPANESE) * 20, *SIDE_BY_SIDE * 300)


def trained(model, trainer, *, normalizer=None, pre_tokenizer=None):
    """Return the tokenizer."""
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(training_lines(), trainer)
    return tokenizer


def bpe(vocab_size=700, **options):
    return models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False, **options
    )


def byte_bpe(vocab_size=700):
    return models.BPE(), trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def unigram(vocab_size=900):
    return models.Unigram(), trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )


def wordpiece(vocab_size=1500):
    return models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False
    )


def word_level(vocab_size=1500):
    return models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False
    )


def sequence(*steps):
    kind = pre_tokenizers if hasattr(steps[0], "pre_tokenize_str") else normalizers
    return kind.Sequence(list(steps))


def with_added(tokenizer):
    """Add tokens of the user's that the text may hold."""
    tokenizer.add_tokens(["[X]", "zb"])
    return tokenizer


def byte_level(pattern=None, **options):
    if pattern is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)
    return sequence(
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    )


def llama_style(prepend):
    """BPE that sees whole sentences: Llama 2's steps."""
    steps = [normalizers.Prepend("▁")] * prepend + [normalizers.Replace(" ", "▁")]
    # The trainer wants words; the tokenizer is put together anew from what it learns.
    base = trained(*bpe(), pre_tokenizer=pre_tokenizers.Metaspace())
    base.pre_tokenizer = None
    base.normalizer = normalizers.Sequence(steps)
    return base


def clip_style():
    return trained(
        *bpe(end_of_word_suffix="</w>"),
        normalizer=sequence(
            normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()
        ),
        pre_tokenizer=sequence(
            pre_tokenizers.Split(Regex(_CLIP_PATTERN), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ),
    )


def precompiled_charsmap():
    """Return the character map of a SentencePiece model with the rule nmt_nfkc."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(sentencepiece_model("nmt_nfkc"))
    return proto.normalizer_spec.precompiled_charsmap


@functools.cache
def sentencepiece_model(rule="nmt_nfkc", model_type="unigram", vocab_size=900, **options):
    import sentencepiece

    content = io.BytesIO()
    arguments = {
        "model_type": model_type,
        "vocab_size": vocab_size,
        "normalization_rule_name": rule,
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": "[CLS],[SEP],[MASK]",
        "num_threads": 1,
        "minloglevel": 2,
    }
    if model_type == "unigram":
        arguments["hard_vocab_limit"] = False
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_lines()), model_writer=content, **arguments | options
    )
    return content.getvalue()


def albert_normalizer():
    return sequence(
        normalizers.Replace("``", '"'),
        normalizers.Replace("''", '"'),
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
        normalizers.Precompiled(precompiled_charsmap()),
        normalizers.Replace(Regex(" {2,}"), " "),
    )


BERT = pre_tokenizers.BertPreTokenizer
# Name -> how to make a tokenizer. The text of all of them can be cut.
CUT = {
    "bert-cased": lambda: trained(
        *wordpiece(),
        normalizer=normalizers.BertNormalizer(lowercase=False, strip_accents=False),
        pre_tokenizer=BERT(),
    ),
    "bert-uncased": lambda: trained(
        *wordpiece(), normalizer=normalizers.BertNormalizer(lowercase=True), pre_tokenizer=BERT()
    ),
    "bert-plain-ideographs": lambda: trained(
        *wordpiece(),
        normalizer=normalizers.BertNormalizer(handle_chinese_chars=False, clean_text=False),
        pre_tokenizer=BERT(),
    ),
    "bert-nfkc": lambda: trained(
        *wordpiece(),
        normalizer=sequence(normalizers.NFKC(), normalizers.Lowercase()),
        pre_tokenizer=BERT(),
    ),
    "bert-added": lambda: with_added(
        trained(*wordpiece(), normalizer=normalizers.BertNormalizer(), pre_tokenizer=BERT())
    ),
    "whitespace": lambda: trained(*wordpiece(), pre_tokenizer=pre_tokenizers.Whitespace()),
    "whitespace-nfkd": lambda: trained(
        *wordpiece(), normalizer=normalizers.NFKD(), pre_tokenizer=pre_tokenizers.Whitespace()
    ),
    "whitespace-split-digits": lambda: trained(
        *word_level(),
        pre_tokenizer=sequence(
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("merged_with_previous"),
            pre_tokenizers.Digits(individual_digits=True),
        ),
    ),
    "gpt2": lambda: trained(*byte_bpe(), pre_tokenizer=byte_level()),
    "gpt2-nfc": lambda: trained(
        *byte_bpe(), normalizer=normalizers.NFC(), pre_tokenizer=byte_level()
    ),
    "gpt2-nfkd-accents": lambda: trained(
        *byte_bpe(),
        normalizer=sequence(
            normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()
        ),
        pre_tokenizer=byte_level(),
    ),
    "gpt2-nfd": lambda: trained(
        *byte_bpe(), normalizer=normalizers.NFD(), pre_tokenizer=byte_level()
    ),
    "gpt2-bert": lambda: trained(
        *byte_bpe(), normalizer=normalizers.BertNormalizer(), pre_tokenizer=byte_level()
    ),
    "gpt2-prefix": lambda: trained(*byte_bpe(), pre_tokenizer=pre_tokenizers.ByteLevel()),
    "gpt2-added": lambda: with_added(trained(*byte_bpe(), pre_tokenizer=byte_level())),
    "gpt2-digits": lambda: trained(
        *byte_bpe(), pre_tokenizer=sequence(pre_tokenizers.Digits(), byte_level())
    ),
    **{
        f"pattern-{i}": lambda pattern=pattern: trained(
            *byte_bpe(), pre_tokenizer=byte_level(pattern)
        )
        for i, pattern in enumerate(sorted(_KNOWN_PATTERNS, key=len))
    },
    "metaspace": lambda: trained(*unigram(), pre_tokenizer=pre_tokenizers.Metaspace()),
    "metaspace-first": lambda: trained(
        *unigram(), pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first")
    ),
    "metaspace-never": lambda: trained(
        *unigram(),
        normalizer=normalizers.NFKC(),
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="never"),
    ),
    "metaspace-nmt": lambda: trained(
        *bpe(),
        normalizer=sequence(normalizers.Nmt(), normalizers.NFKC()),
        pre_tokenizer=pre_tokenizers.Metaspace(),
    ),
    "albert": lambda: trained(
        *unigram(), normalizer=albert_normalizer(), pre_tokenizer=pre_tokenizers.Metaspace()
    ),
    "t5": lambda: trained(
        *unigram(),
        normalizer=sequence(
            normalizers.Precompiled(precompiled_charsmap()),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), "▁"),
        ),
        pre_tokenizer=pre_tokenizers.Metaspace(),
    ),
    "xlm-r": lambda: trained(
        *unigram(),
        normalizer=normalizers.Precompiled(precompiled_charsmap()),
        pre_tokenizer=sequence(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()),
    ),
    "whitespace-split-marked": lambda: trained(
        *wordpiece(),
        normalizer=normalizers.Replace(Regex(" {2,}"), "▁"),
        pre_tokenizer=pre_tokenizers.WhitespaceSplit(),
    ),
    "llama2": lambda: llama_style(prepend=True),
    "llama2-no-prefix": lambda: llama_style(prepend=False),
    "clip": clip_style,
}


def sentencepiece_tokeniser(word_separator=None, **options):
    content = sentencepiece_model(**options)
    return tokeniser_from_content(content, "tokenizer.model", word_separator, source="test.model")


def words_of(tokeniser, sentence):
    tokens = tokeniser.encode([Document(b"a", [sentence])])
    words = np.split(tokens.ids, np.flatnonzero(tokens.starts_word)[1:])
    return [tokeniser.rule.text(word.tolist()).strip() for word in words]
