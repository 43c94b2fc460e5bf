# SPDX-License-Identifier: Apache-2.0
"""Text to TFRecords as BERT's published script makes them: one process, everything in memory, Python.

Our own version of what google-research/bert `create_pretraining_data.py` and `tokenization.py` do
(Devlin et al. 2019, appendix A.1 and A.2): basic tokenisation, greedy longest-match word pieces,
`dupe_factor` passes over the documents, pairs for next-sentence prediction, one masked row for each,
written by TensorFlow. Cased, so that it takes the vocabulary of the other tokenisers.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.albert_style import CLS, CONTINUATION, MASK, SEP, replacement

UNKNOWN = "[UNK]"
LONGEST_WORD = 200  # `max_input_chars_per_word` of the script
SHORT_SEQ_PROB = 0.1
MASKED_LM_PROB = 0.15

Document = list[list[str]]


@dataclass(frozen=True)
class Instance:
    """One row as it is written."""

    tokens: list[str]
    segment_ids: list[int]
    is_random_next: bool
    masked_lm_positions: list[int]
    masked_lm_labels: list[str]


def _is_punctuation(character: str) -> bool:
    code = ord(character)
    is_ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return is_ascii_symbol or unicodedata.category(character).startswith("P")


def _is_ideograph(code: int) -> bool:
    return 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x2CEAF


def _clean(text: str) -> Iterator[str]:
    for character in text:
        code = ord(character)
        if code in (0, 0xFFFD):
            continue
        if character in " \t\n\r" or unicodedata.category(character) == "Zs":
            yield " "
        elif unicodedata.category(character) in ("Cc", "Cf"):
            continue
        elif _is_ideograph(code):
            yield f" {character} "
        else:
            yield character


def basic_words(text: str) -> list[str]:
    """Split at white space, then put every punctuation mark apart.

    >>> basic_words("It's 3.11, 中文!")
    ['It', "'", 's', '3', '.', '11', ',', '中', '文', '!']
    """
    words: list[str] = []
    for chunk in "".join(_clean(text)).split():
        begins_word = True
        for character in chunk:
            if _is_punctuation(character):
                words.append(character)
                begins_word = True
            elif begins_word:
                words.append(character)
                begins_word = False
            else:
                words[-1] += character
    return words


def word_pieces(word: str, vocabulary: dict[str, int]) -> list[str]:
    """Return the longest pieces from the left, or [UNK].

    >>> word_pieces("playing", {"play": 0, "##ing": 1})
    ['play', '##ing']
    """
    if len(word) > LONGEST_WORD:
        return [UNKNOWN]
    pieces, start = [], 0
    while start < len(word):
        stop = len(word)
        while start < stop:
            piece = CONTINUATION * (start > 0) + word[start:stop]
            if piece in vocabulary:
                break
            stop -= 1
        if start == stop:
            return [UNKNOWN]
        pieces.append(piece)
        start = stop
    return pieces


def tokenize(text: str, vocabulary: dict[str, int]) -> list[str]:
    """Return the word pieces of a line."""
    return [piece for word in basic_words(text) for piece in word_pieces(word, vocabulary)]


def read_documents(path: Path, vocabulary: dict[str, int], rng: random.Random) -> list[Document]:
    """Return all documents, shuffled: a blank line ends one."""
    documents: list[Document] = [[]]
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.strip()
            if not text:
                documents.append([])
            elif tokens := tokenize(text, vocabulary):
                documents[-1].append(tokens)
    documents = [document for document in documents if document]
    rng.shuffle(documents)
    return documents


def truncate_pair(a: list[str], b: list[str], most: int, rng: random.Random) -> None:
    """Take tokens off the longer segment, from its front or back at random, until both fit."""
    while len(a) + len(b) > most:
        longer = a if len(a) > len(b) else b
        if rng.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def pairs_of(
    documents: Sequence[Document], number: int, seq_length: int, rng: random.Random
) -> Iterator[tuple[list[str], list[str], bool]]:
    """Yield the two segments of each row of a document, and whether the second is a random one."""
    document = documents[number]
    most = seq_length - 3
    target = rng.randint(2, most) if rng.random() < SHORT_SEQ_PROB else most
    chunk: Document = []
    chunk_length = 0
    i = 0
    while i < len(document):
        chunk.append(document[i])
        chunk_length += len(document[i])
        if i == len(document) - 1 or chunk_length >= target:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            a = [token for sentence in chunk[:a_end] for token in sentence]
            b: list[str] = []
            is_random_next = len(chunk) == 1 or rng.random() < 0.5
            if is_random_next:
                other = next(
                    (n for _ in range(10) if (n := rng.randint(0, len(documents) - 1)) != number), 0
                )
                start = rng.randint(0, len(documents[other]) - 1)
                for sentence in documents[other][start:]:
                    b.extend(sentence)
                    if len(b) >= target - len(a):
                        break
                i -= len(chunk) - a_end  # the unused sentences come again
            else:
                b = [token for sentence in chunk[a_end:] for token in sentence]
            truncate_pair(a, b, most, rng)
            yield a, b, is_random_next
            chunk, chunk_length = [], 0
        i += 1


def mask_row(
    tokens: list[str], max_predictions: int, vocabulary: Sequence[str], rng: random.Random
) -> tuple[list[str], list[int], list[str]]:
    """Mask 15 % of the positions, at random, each replaced 80/10/10."""
    candidates = [p for p, token in enumerate(tokens) if token not in (CLS, SEP)]
    rng.shuffle(candidates)
    count = min(max_predictions, max(1, round(len(tokens) * MASKED_LM_PROB)))
    positions = sorted(candidates[:count])
    output = list(tokens)
    for position in positions:
        output[position] = replacement(tokens[position], vocabulary, rng)
    return output, positions, [tokens[position] for position in positions]


def instances_of(
    documents: Sequence[Document],
    vocabulary: Sequence[str],
    *,
    seq_length: int,
    dupe_factor: int,
    max_predictions: int,
    rng: random.Random,
) -> list[Instance]:
    """Return the rows of all passes, shuffled."""
    instances = []
    for _ in range(dupe_factor):
        for number in range(len(documents)):
            for a, b, is_random_next in pairs_of(documents, number, seq_length, rng):
                tokens = [CLS, *a, SEP, *b, SEP]
                segment_ids = [0] * (len(a) + 2) + [1] * (len(b) + 1)
                masked, positions, labels = mask_row(tokens, max_predictions, vocabulary, rng)
                instances.append(Instance(masked, segment_ids, is_random_next, positions, labels))
    rng.shuffle(instances)
    return instances


def write_instances(
    instances: Sequence[Instance],
    vocabulary: dict[str, int],
    path: Path,
    *,
    seq_length: int,
    max_predictions: int,
) -> None:
    """Write the classic features with TensorFlow."""
    import tensorflow as tf

    def integers(values: list[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for instance in instances:
            used, masked = len(instance.tokens), len(instance.masked_lm_positions)
            padding, rest = [0] * (seq_length - used), [0] * (max_predictions - masked)
            ids = [vocabulary[token] for token in instance.tokens]
            labels = [vocabulary[token] for token in instance.masked_lm_labels]
            weights = [1.0] * masked + [0.0] * len(rest)
            features = {
                "input_ids": integers(ids + padding),
                "input_mask": integers([1] * used + padding),
                "segment_ids": integers(instance.segment_ids + padding),
                "masked_lm_positions": integers(instance.masked_lm_positions + rest),
                "masked_lm_ids": integers(labels + rest),
                "masked_lm_weights": tf.train.Feature(float_list=tf.train.FloatList(value=weights)),
                "next_sentence_labels": integers([int(instance.is_random_next)]),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def build(
    corpus: Path,
    out: Path,
    vocabulary: dict[str, int],
    *,
    seq_length: int = 128,
    dupe_factor: int = 10,
    max_predictions: int = 20,
    seed: int = 12345,
) -> int:
    """Turn a text file into a file of records; return how many."""
    assert {MASK, UNKNOWN} <= set(vocabulary)
    rng = random.Random(seed)
    documents = read_documents(corpus, vocabulary, rng)
    instances = instances_of(
        documents,
        list(vocabulary),
        seq_length=seq_length,
        dupe_factor=dupe_factor,
        max_predictions=max_predictions,
        rng=rng,
    )
    write_instances(
        instances, vocabulary, out, seq_length=seq_length, max_predictions=max_predictions
    )
    return len(instances)
