# SPDX-License-Identifier: Apache-2.0
"""From sentences to token ids: a tokenizer.json of Hugging Face, given or trained.

Owns how a tokenizer is loaded, made safe, and trained the same way every time. Knows nothing of
rows or files of records.
"""

from __future__ import annotations

import hashlib
import json
import os
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError, require
from maskcore.records.readers import DocumentKey, TextBatch
from maskcore.records.words import WordRule, word_rule

__all__ = [
    "SpecialToken",
    "TokenBatch",
    "Tokeniser",
    "check_vocab_size",
    "load_tokeniser",
    "train_wordpiece",
]

# Role -> the names that BERT and RoBERTa give it, in order of preference.
SPECIAL_TOKENS = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
    "unk": ("[UNK]", "<unk>"),
}
TRAINED_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# The size of the published English BERT vocabularies (Devlin et al. 2019: "30,000 token
# vocabulary").
DEFAULT_VOCAB_SIZE = 30_522
MIN_VOCAB_SIZE = 32  # the special tokens and a few letters
CONTINUING_PREFIX = "##"


class SpecialToken(NamedTuple):
    """A token with a role."""

    token: str
    id: int


@dataclass(slots=True)
class TokenBatch:
    """The tokens of a `TextBatch`, sentence after sentence, in flat arrays."""

    ids: NDArray[np.int32]
    starts_word: NDArray[np.bool_]
    is_special: NDArray[np.bool_]
    """Ids of special tokens that the text itself gave; never masked."""
    sentence_lengths: NDArray[np.int64]
    """Tokens in each sentence; none is 0."""
    sentence_documents: NDArray[np.int64]
    documents: list[DocumentKey]
    is_open: bool
    num_empty_sentences: int
    """Sentences that the tokenizer turned into nothing; they are left out above."""


class Tokeniser:
    """A tokenizer made safe: no truncation, no padding, no special tokens out of the text."""

    def __init__(self, json_text: str, source: str) -> None:
        self.json_text = json_text
        self.sha256 = hashlib.sha256(json_text.encode()).hexdigest()
        try:
            self._tokenizer = require("tokenizers").Tokenizer.from_str(json_text)
            settings = json.loads(json_text)
        except ImportError:
            raise
        except Exception as error:  # the library raises plain Exception for a bad file
            raise RecordsError(
                f"{source}: not a tokenizer.json of Hugging Face tokenizers ({error}); "
                "pass one, or leave --tokenizer out to train one"
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocab_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.special = _find_special_tokens(vocabulary, source)
        self.unk_id = self.special["unk"].id if "unk" in self.special else -1
        self.rule: WordRule = word_rule(settings, vocabulary)
        self._is_special = np.zeros(self.rule.begins.size, dtype=bool)
        for role, token in self.special.items():
            self._is_special[token.id] = role != "unk"

    def encode(self, batch: TextBatch) -> TokenBatch:
        """Return the batch's tokens; sentences without any are counted and left out."""
        encodings = self._tokenizer.encode_batch_fast(batch.sentences, add_special_tokens=False)
        sentence_ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, sentence_ids), np.int64, len(sentence_ids))
        flat = [token for ids in sentence_ids for token in ids]
        ids = np.array(flat, dtype=np.int32)
        keep = lengths > 0
        lengths = lengths[keep]
        sentence_starts = np.cumsum(lengths) - lengths
        is_special = self._is_special[ids]
        starts_word = self.rule.word_starts(ids, sentence_starts)
        return TokenBatch(
            ids,
            starts_word,
            is_special,
            lengths,
            np.array(batch.sentence_documents, dtype=np.int64)[keep],
            batch.documents,
            batch.is_open,
            int(np.count_nonzero(~keep)),
        )


def _find_special_tokens(vocabulary: dict[str, int], source: str) -> dict[str, SpecialToken]:
    found = {}
    for role, names in SPECIAL_TOKENS.items():
        name = next((name for name in names if name in vocabulary), None)
        if name is not None:
            found[role] = SpecialToken(name, vocabulary[name])
    missing = [
        " or ".join(SPECIAL_TOKENS[role])
        for role in ("cls", "sep", "pad", "mask")
        if role not in found
    ]
    if missing:
        raise RecordsError(
            f"{source}: the vocabulary lacks {', '.join(missing)}; add them with "
            "tokenizer.add_special_tokens(...)"
        )
    return found


def load_tokeniser(path: str | os.PathLike[str]) -> Tokeniser:
    """Read a tokenizer.json.

    Raises
    ------
    RecordsError
        If it is no such file, lacks special tokens, or does not show where words begin.
    OSError
        If it cannot be read.

    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RecordsError(
            f"{path}: not a tokenizer.json, which is text in UTF-8; a SentencePiece .model must "
            "be converted first"
        ) from None
    return Tokeniser(text, os.fspath(path))


def check_vocab_size(vocab_size: int) -> None:
    """Raise unless a vocabulary of this size can be trained."""
    if vocab_size < MIN_VOCAB_SIZE:
        raise value_error("vocab_size", f">= {MIN_VOCAB_SIZE}", vocab_size, "BERT has 30522")


def train_wordpiece(
    sentence_batches: Iterable[list[str]], vocab_size: int = DEFAULT_VOCAB_SIZE
) -> Tokeniser:
    """Train a cased WordPiece with BERT's normaliser and pre-tokenizer.

    Accents stay, since removing them takes Hangul apart.

    The same text gives the same vocabulary: the trainer of `tokenizers` numbers continuing pieces
    in the order of a hash map (huggingface/tokenizers issue 1794), so all single characters, and
    their continuing forms, are numbered here.

    Parameters
    ----------
    sentence_batches : iterable of lists of str
        The corpus; it is held in memory until the end.
    vocab_size : int >= 32
        Entries at most, the five special tokens included; a small corpus gives fewer.

    Raises
    ------
    ValueError
        For a size below 32.

    """
    check_vocab_size(vocab_size)
    batches = list(sentence_batches)
    letters, continuing = _alphabet(batches, vocab_size // 2)
    tokenizers = require("tokenizers")
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*TRAINED_SPECIAL_TOKENS, *continuing],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        continuing_subword_prefix=CONTINUING_PREFIX,
        show_progress=False,
    )
    trained = _bert_tokenizer(tokenizers, {})
    trained.train_from_iterator(batches, trainer)
    # Built anew, since the trainer takes the continuing pieces for special tokens, too.
    final = _bert_tokenizer(tokenizers, trained.get_vocab(with_added_tokens=False))
    final.add_special_tokens(list(TRAINED_SPECIAL_TOKENS))
    return Tokeniser(final.to_str(pretty=True) + "\n", "trained tokenizer")


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


def _alphabet(batches: list[list[str]], room: int) -> tuple[list[str], list[str]]:
    """Return the most frequent characters that fit, and the continuing pieces of letters."""
    counts: Counter[str] = Counter()
    for sentences in batches:
        for sentence in sentences:
            counts.update(sentence)
    letters, continuing = [], []
    for character in sorted(counts, key=lambda c: (-counts[c], c)):
        if character.isspace() or unicodedata.category(character)[0] == "C":
            continue  # BERT's normaliser drops control characters
        stands_alone = _stands_alone(character)
        room -= 1 if stands_alone else 2
        if room < 0:
            break
        letters.append(character)
        if not stands_alone:
            continuing.append(CONTINUING_PREFIX + character)
    return sorted(letters), sorted(continuing)


def _stands_alone(character: str) -> bool:
    """Whether BERT's pre-tokenizer makes the character a word: punctuation and ideographs."""
    code = ord(character)
    is_punctuation = character in string.punctuation or unicodedata.category(character)[0] == "P"
    return (
        is_punctuation
        or 0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2CEAF
    )
