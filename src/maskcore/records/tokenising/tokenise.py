# SPDX-License-Identifier: Apache-2.0
"""From documents to token ids, with the words that tokens begin.

Owns the tokeniser that the rest of the records sees, whatever file it comes from: a tokenizer.json,
a BERT vocab.txt, a SentencePiece .model. Knows nothing of rows or files of records.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError
from maskcore.records.tokenising import bert_vocabulary, huggingface, sentencepiece_model
from maskcore.records.tokenising.chunk_rule import ChunkRule, NotCut
from maskcore.records.tokenising.self_test import SAMPLE
from maskcore.records.tokenising.tokenised import SpecialToken, TokenisedDocuments
from maskcore.records.tokenising.word_cache import FlatIds, word_cache
from maskcore.records.tokenising.word_separator import WordSeparator, starts_by_boundaries
from maskcore.records.tokenising.wordpiece_training import (
    DEFAULT_VOCAB_SIZE,
    check_vocab_size,
    trained_wordpiece,
)
from maskcore.records.tokenising.words import WordRule

if TYPE_CHECKING:
    from maskcore.records.reading.documents import Document

__all__ = [
    "DEFAULT_VOCAB_SIZE",
    "SpecialToken",
    "Tokeniser",
    "check_vocab_size",
    "load_tokeniser",
    "tokeniser_from_content",
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


class TokenModel(Protocol):
    """What a kind of tokenizer file gives: tokenising/huggingface.py, sentencepiece_model.py."""

    kind: str
    content: bytes
    file_name: str
    vocabulary: dict[str, int]
    rule: WordRule
    special_tokens_way_out: str

    def encode(self, texts: list[str]) -> FlatIds:
        """Return the ids of all texts."""

    def token_starts(self, texts: list[str]) -> list[NDArray[np.int64]]:
        """Return for each text the character at which each of its tokens begins."""

    def chunk_rule(self) -> ChunkRule | NotCut:
        """Return how text may be cut for the cache."""


class Tokeniser:
    """A tokenizer made safe: no truncation, no padding, no special tokens out of the text.

    Where it can be shown to be exact (`tokenising/chunk_rule.py`, and a test on sample text), words
    that were seen before are looked up instead of tokenised again; ids are the same either way. One
    thread at a time. Pickling sends the file's content.

    Attributes
    ----------
    kind : str
        "wordpiece", "bpe", "byte-bpe", "unigram", "word-level" or "sentencepiece".
    content : bytes
        What is stored beside the records, as `file_name`.
    sha256 : str
        Of `content`.
    vocab_size : int
        Ids are in [0, vocab_size).
    special : dict of str to SpecialToken
        By role: "cls", "sep", "pad", "mask" and, where there is one, "unk".
    rule : WordRule
        Where words begin.
    why_not_cached : str or None
        None if words are looked up.

    """

    def __init__(self, model: TokenModel, source: str, word_separator: str | None = None) -> None:
        self._model = model
        self.kind = model.kind
        self.content = model.content
        self.file_name = model.file_name
        self.sha256 = hashlib.sha256(model.content).hexdigest()
        self.rule = model.rule
        self.vocab_size: int = self.rule.begins.size
        self.special = _find_special_tokens(model, source)
        self.unk_id = self.special["unk"].id if "unk" in self.special else -1
        self.word_separator = word_separator
        self._separator = None if word_separator is None else WordSeparator(word_separator)
        self._is_special = np.zeros(self.vocab_size, dtype=bool)
        for role, token in self.special.items():
            self._is_special[token.id] = role != "unk"
        self._encode, self.why_not_cached = _encoder(model)

    def __reduce__(self) -> tuple[Any, ...]:
        return tokeniser_from_content, (self.content, self.file_name, self.word_separator)

    def encode(self, documents: Sequence[Document]) -> TokenisedDocuments:
        """Return the tokens of documents; sentences without any are counted and left out.

        Parameters
        ----------
        documents : sequence of Document
            Their sentences hold no line ends and no white space at their ends.

        Returns
        -------
        TokenisedDocuments

        Raises
        ------
        RecordsError
            For text that cannot be written as UTF-8: a lone surrogate.

        """
        sentences = [sentence for document in documents for sentence in document.sentences]
        num_sentences = np.array([len(document.sentences) for document in documents], np.int64)
        try:
            ids, starts_word, lengths = self._encode_sentences(sentences)
        except UnicodeEncodeError:
            raise _surrogate_error(documents) from None
        has_tokens = lengths > 0
        before = np.zeros(lengths.size + 1, dtype=np.int64)
        np.cumsum(has_tokens, out=before[1:])
        stops = np.cumsum(num_sentences)
        return TokenisedDocuments(
            ids,
            starts_word,
            self._is_special[ids],
            lengths[has_tokens],
            before[stops] - before[stops - num_sentences],
            [document.key for document in documents],
            int(np.count_nonzero(~has_tokens)),
        )

    def _encode_sentences(
        self, sentences: list[str]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int64]]:
        """Return ids, which of them start a word, and the tokens of each sentence."""
        separated = {}
        if self._separator is not None:
            separated = {
                number: self._separator.take_out(sentence)
                for number, sentence in enumerate(sentences)
                if self._separator.character in sentence
            }
            sentences = list(sentences)
            for number, cut in separated.items():
                sentences[number] = cut.text
        ids, lengths = self._encode(sentences)
        sentence_starts = np.cumsum(lengths) - lengths
        starts_word = self.rule.word_starts(ids, sentence_starts[lengths > 0])
        token_starts = self._model.token_starts([cut.text for cut in separated.values()])
        for (number, cut), of_tokens in zip(separated.items(), token_starts, strict=True):
            first = sentence_starts[number]
            starts_word[first : first + lengths[number]] = starts_by_boundaries(
                of_tokens, cut.boundaries
            )
        return ids, starts_word, lengths


def _surrogate_error(documents: Sequence[Document]) -> RecordsError:
    for document in documents:
        for sentence in document.sentences:
            try:
                sentence.encode()
            except UnicodeEncodeError as error:
                return RecordsError(
                    f"document {document.key!r}: a lone surrogate (U+{ord(sentence[error.start]):04X}) "
                    "cannot be written as UTF-8; correct the text, or leave the document out"
                )
    raise AssertionError("no document holds a surrogate")


def _encoder(model: TokenModel) -> tuple[Any, str | None]:
    """Return the function that encodes sentences, and why it is not the cache's."""
    rule = model.chunk_rule()
    if isinstance(rule, NotCut):
        return model.encode, rule.reason
    cache = word_cache(rule, model.encode)
    cached, plain = cache.encode(SAMPLE), model.encode(list(SAMPLE))
    if not (
        np.array_equal(cached.ids, plain.ids) and np.array_equal(cached.lengths, plain.lengths)
    ):
        return model.encode, "other ids on sample text"
    return cache.encode, None


def _find_special_tokens(model: TokenModel, source: str) -> dict[str, SpecialToken]:
    found = {}
    for role, names in SPECIAL_TOKENS.items():
        name = next((name for name in names if name in model.vocabulary), None)
        if name is not None:
            found[role] = SpecialToken(name, model.vocabulary[name])
    missing = [
        " or ".join(SPECIAL_TOKENS[role])
        for role in ("cls", "sep", "pad", "mask")
        if role not in found
    ]
    if missing:
        raise RecordsError(
            f"{source}: the vocabulary lacks {', '.join(missing)}; {model.special_tokens_way_out}"
        )
    return found


def load_tokeniser(
    path: str | os.PathLike[str],
    word_separator: str | None = None,
    *,
    lowercase: bool | None = None,
) -> Tokeniser:
    r"""Read a tokenizer: `.model` is SentencePiece, `.txt` a BERT vocabulary, others a tokenizer.json.

    Parameters
    ----------
    path : path
    word_separator : str, optional
        A character that stands between words in the text. It is taken out before the text is
        tokenised, and in a sentence that holds it words begin behind it and at white space, and
        nowhere else.
    lowercase : bool, optional
        For a vocab.txt only: whether text becomes lower case. By default whether no piece of it
        holds an upper-case letter. Accents are removed if it holds none either.

    Raises
    ------
    RecordsError
        If it cannot be read, is no such file, lacks special tokens, or does not show where words
        begin.
    ImportError
        If its library is missing.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.txt"
    >>> _ = path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\n")
    >>> tokeniser = load_tokeniser(path)
    >>> tokeniser.kind, tokeniser.vocab_size, tokeniser.rule.text([5, 6])
    ('wordpiece', 7, ' playing')

    """
    source, suffix = os.fspath(path), Path(path).suffix
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RecordsError(
            f"{source}: the tokenizer cannot be read ({error.strerror}); name a tokenizer.json, a BERT "
            "vocab.txt or a SentencePiece .model"
        ) from error
    if lowercase is not None and suffix != ".txt":
        raise value_error(
            "lowercase", "None for what is no vocab.txt", lowercase, "other files say it themselves"
        )
    if suffix == ".model":
        return tokeniser_from_content(
            content, sentencepiece_model.FILE_NAME, word_separator, source=source
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RecordsError(
            f"{source}: not a tokenizer.json, which is text in UTF-8; name a SentencePiece model *.model"
        ) from None
    if suffix == ".txt":
        text = bert_vocabulary.tokenizer_json_of_vocabulary(text, source, lowercase=lowercase)
    return tokeniser_from_content(
        text.encode(), huggingface.FILE_NAME, word_separator, source=source
    )


def tokeniser_from_content(
    content: bytes,
    file_name: str,
    word_separator: str | None = None,
    *,
    source: str = "stored tokenizer",
) -> Tokeniser:
    """Make a tokeniser again from its `content` and `file_name`, as in another process."""
    model: TokenModel
    if file_name == sentencepiece_model.FILE_NAME:
        model = sentencepiece_model.SentencePieceModel(content, source)
    else:
        model = huggingface.HuggingFaceModel(content, source)
    return Tokeniser(model, source, word_separator)


def train_wordpiece(
    sentence_batches: Iterable[list[str]], vocab_size: int = DEFAULT_VOCAB_SIZE
) -> Tokeniser:
    """Train a cased WordPiece on a corpus that is held in memory; see `trained_wordpiece`."""
    batches = list(sentence_batches)
    text = trained_wordpiece(lambda: batches, vocab_size)
    return tokeniser_from_content(text.encode(), huggingface.FILE_NAME, source="trained tokenizer")
