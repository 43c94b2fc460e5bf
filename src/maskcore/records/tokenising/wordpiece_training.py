# SPDX-License-Identifier: Apache-2.0
"""Training a WordPiece the same way in every process.

Owns the alphabet, and the order of what the library numbers by its hash map. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from maskcore import _checks
from maskcore.records._errors import require
from maskcore.records._unicode_classes import CONTROL, unicode_class

__all__ = [
    "DEFAULT_VOCAB_SIZE",
    "TRAINED_SPECIAL_TOKENS",
    "Sentences",
    "check_vocab_size",
    "count_characters",
    "trained_wordpiece",
]

TRAINED_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# The size of the published English BERT vocabularies (Devlin et al. 2019: "30,000 token
# vocabulary").
DEFAULT_VOCAB_SIZE = 30_522
MIN_VOCAB_SIZE = 32  # the special tokens and a few letters
CONTINUING_PREFIX = "##"

_VOCAB_SIZE = _checks.IntegerRange(
    "vocab_size", MIN_VOCAB_SIZE, math.inf, f">= {MIN_VOCAB_SIZE}", "BERT has 30522"
)

Sentences = Callable[[], Iterable[list[str]]]
"""Gives the corpus anew at each call, in batches."""


def check_vocab_size(vocab_size: int) -> None:
    """Raise unless a vocabulary of this size can be trained."""
    _checks.integer(_VOCAB_SIZE, vocab_size)


def trained_wordpiece(sentences: Sentences, vocab_size: int) -> str:
    """Return the tokenizer.json of a cased WordPiece with BERT's normaliser and pre-tokenizer.

    Accents stay, since removing them takes Hangul apart. The text is read twice and not kept: memory
    grows with its distinct words.

    The trainer of `tokenizers` numbers continuing pieces in the order of a hash map
    (huggingface/tokenizers issue 1794), so all single characters, and their continuing forms, are
    numbered here.
    """
    check_vocab_size(vocab_size)
    tokenizers = require("tokenizers")
    trained = _bert_tokenizer(tokenizers, {})
    letters, continuing = _alphabet(count_characters(sentences), vocab_size // 2, trained)
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*TRAINED_SPECIAL_TOKENS, *continuing],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        continuing_subword_prefix=CONTINUING_PREFIX,
        show_progress=False,
    )
    trained.train_from_iterator(sentences(), trainer)
    # Built anew, since the trainer takes the continuing pieces for special tokens, too.
    final = _bert_tokenizer(tokenizers, trained.get_vocab(with_added_tokens=False))
    final.add_special_tokens(list(TRAINED_SPECIAL_TOKENS))
    return str(final.to_str(pretty=True)) + "\n"


def _bert_tokenizer(tokenizers: Any, vocabulary: dict[str, int]) -> Any:
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocabulary, unk_token="[UNK]", continuing_subword_prefix=CONTINUING_PREFIX
        )
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=False, strip_accents=False
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix=CONTINUING_PREFIX)
    return tokenizer


def count_characters(sentences: Sentences) -> list[tuple[str, int]]:
    """Return the characters other than white space and controls, most frequent first."""
    counts: Counter[str] = Counter()
    for batch in sentences():
        for sentence in batch:
            counts.update(sentence)
    return [
        (character, counts[character])
        for character in sorted(counts, key=lambda c: (-counts[c], c))
        if not character.isspace() and unicode_class(character) != CONTROL
    ]


def _alphabet(
    counts: list[tuple[str, int]], room: int, tokenizer: Any
) -> tuple[list[str], list[str]]:
    """Return the most frequent characters that fit, and the continuing pieces of letters.

    What is a letter is asked of the tokenizer, whose Unicode is not Python's: a continuing piece that
    were not given here would be numbered by its hash map.
    """
    letters, continuing = [], []
    for character, _ in counts:
        text = tokenizer.normalizer.normalize_str(f"x{character}x")
        pieces = [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        if "".join(pieces) == "xx":
            continue  # it is dropped, or white space there
        stands_alone = len(pieces) == 3  # punctuation and ideographs
        room -= 1 if stands_alone else 2
        if room < 0:
            break
        letters.append(character)
        if not stands_alone:
            continuing.append(CONTINUING_PREFIX + character)
    return sorted(letters), sorted(continuing)
