# SPDX-License-Identifier: Apache-2.0
"""Training BPE, byte-level BPE and unigram vocabularies the same way in every process.

Owns what is fixed so that libraries number pieces alike: the alphabet of BPE, the order and the
number of threads of SentencePiece. Knows nothing of files.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError, require
from maskcore.records.tokenising import huggingface, sentencepiece_model
from maskcore.records.tokenising.wordpiece_training import (
    TRAINED_SPECIAL_TOKENS,
    Sentences,
    check_vocab_size,
    count_characters,
    trained_wordpiece,
)

__all__ = ["KINDS", "Kind", "TrainedFile", "check_kind", "trained"]

_MARKER = "\u2581"
# The special tokens and a piece for every byte.
MIN_BYTE_BPE_SIZE = len(TRAINED_SPECIAL_TOKENS) + 256
# The sums over words are split by it, so results depend on it, but not on the machine: it is
# sentencepiece's own default.
_SENTENCEPIECE_THREADS = 16


class TrainedFile(NamedTuple):
    """A tokenizer as a file."""

    content: bytes
    file_name: str


class Kind(NamedTuple):
    """A way to train."""

    train: Callable[[Sentences, int], TrainedFile]
    num_passes: int
    """How often it reads the text."""
    suffix: str
    """Of the file."""


def trained(sentences: Sentences, kind: str, vocab_size: int) -> TrainedFile:
    """Train on sentences.

    Memory grows with the distinct words of the text, which is read once or twice and not kept.

    Parameters
    ----------
    sentences : function that gives the text anew, in batches, at each call
    kind : {"wordpiece", "bpe", "byte-bpe", "unigram"}
    vocab_size : int >= 32, for "byte-bpe" >= 261
        Entries at most; a small corpus gives fewer.

    Raises
    ------
    ValueError
        For a size or kind out of range.
    ImportError
        If `sentencepiece` is missing, for "unigram".

    Notes
    -----
    **Reproducibility.** The bytes depend on the sentences, in any order and batches, on the
    arguments, and on the versions of `tokenizers` and `sentencepiece`.

    """
    check_kind(kind, vocab_size)
    return KINDS[kind].train(sentences, vocab_size)


def check_kind(kind: str, vocab_size: int) -> None:
    """Raise unless such a vocabulary can be trained."""
    if kind not in KINDS:
        raise value_error("kind", " or ".join(map(repr, KINDS)), repr(kind), "spell it so")
    check_vocab_size(vocab_size)
    if kind == "byte-bpe" and vocab_size < MIN_BYTE_BPE_SIZE:
        raise value_error(
            "vocab_size",
            f">= {MIN_BYTE_BPE_SIZE} for byte-bpe",
            vocab_size,
            "it holds a piece for each byte",
        )


def _wordpiece(sentences: Sentences, vocab_size: int) -> TrainedFile:
    return TrainedFile(trained_wordpiece(sentences, vocab_size).encode(), huggingface.FILE_NAME)


def _bpe(sentences: Sentences, vocab_size: int) -> TrainedFile:
    """BPE with metaspace; the most frequent characters take at most half of the vocabulary."""
    tokenizers = require("tokenizers")
    counts = count_characters(_composed(sentences))
    letters = sorted(character for character, _ in counts[: vocab_size // 2 - 1])
    alphabet = sorted({*letters, _MARKER})
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]", fuse_unk=True))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    return _train_bpe(tokenizers, tokenizer, sentences, vocab_size, alphabet)


def _byte_bpe(sentences: Sentences, vocab_size: int) -> TrainedFile:
    tokenizers = require("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    return _train_bpe(tokenizers, tokenizer, sentences, vocab_size, alphabet)


def _train_bpe(
    tokenizers: Any, tokenizer: Any, sentences: Sentences, vocab_size: int, alphabet: list[str]
) -> TrainedFile:
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(TRAINED_SPECIAL_TOKENS),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return TrainedFile((tokenizer.to_str(pretty=True) + "\n").encode(), huggingface.FILE_NAME)


def _composed(sentences: Sentences) -> Sentences:
    """Return the text as the normaliser leaves it."""
    normalizer = require("tokenizers").normalizers.NFC()

    def composed() -> Iterator[list[str]]:
        for batch in sentences():
            yield [normalizer.normalize_str(sentence) for sentence in batch]

    return composed


def _unigram(sentences: Sentences, vocab_size: int) -> TrainedFile:
    """SentencePiece with ALBERT's special tokens, trained on words and their counts."""
    library = require("sentencepiece")
    counts: Counter[str] = Counter()
    for batch in sentences():
        for sentence in batch:
            counts.update(sentence.split())
    content = io.BytesIO()
    try:
        library.SentencePieceTrainer.train(
            sentence_iterator=(f"{word}\t{counts[word]}" for word in sorted(counts)),
            input_format="tsv",
            model_writer=content,
            model_type="unigram",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            control_symbols="[CLS],[SEP],[MASK]",
            num_threads=_SENTENCEPIECE_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise RecordsError(
            f"sentencepiece cannot train a vocabulary of {vocab_size} pieces on this text "
            f"({error}); give more text, or change the size"
        ) from None
    return TrainedFile(content.getvalue(), sentencepiece_model.FILE_NAME)


KINDS = {
    "wordpiece": Kind(_wordpiece, 2, ".json"),
    "bpe": Kind(_bpe, 2, ".json"),
    "byte-bpe": Kind(_byte_bpe, 1, ".json"),
    "unigram": Kind(_unigram, 1, ".model"),
}
