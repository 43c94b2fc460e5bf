# SPDX-License-Identifier: Apache-2.0
"""From sentences of token ids to rows `[CLS] ... [SEP]` of fixed shape, and their identities.

Owns what goes into which row, how words are numbered, and the hash of a row. Knows nothing of text,
files or masks.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskcore.records.readers import DocumentKey
from maskcore.records.tokenise import SpecialToken, TokenBatch

__all__ = ["NUM_SPECIAL_TOKENS", "PackedRows", "RowPacker", "bucket_of", "make_rows", "row_id_of"]

NUM_SPECIAL_TOKENS = 2  # [CLS] and [SEP]

Ints = NDArray[np.int64]


@dataclass(slots=True)
class PackedRows:
    """Rows before they get their shape: adjacent slices of flat arrays."""

    ids: NDArray[np.int32]
    starts_word: NDArray[np.bool_]
    is_special: NDArray[np.bool_]
    lengths: Ints
    """Tokens in each row, without [CLS] and [SEP]."""
    documents: list[DocumentKey]
    """Of each row."""
    indices: list[int]
    """The row's number in its document."""

    def parts(self, num_rows: int) -> Iterator[PackedRows]:
        """Yield the rows, at most `num_rows` at a time."""
        stops = np.concatenate([[0], np.cumsum(self.lengths)])
        for first in range(0, len(self.lengths), num_rows):
            last = min(first + num_rows, len(self.lengths))
            tokens = slice(int(stops[first]), int(stops[last]))
            yield PackedRows(
                self.ids[tokens],
                self.starts_word[tokens],
                self.is_special[tokens],
                self.lengths[first:last],
                self.documents[first:last],
                self.indices[first:last],
            )


def _concatenate(a: TokenBatch, b: TokenBatch) -> TokenBatch:
    """Append `b` to the sentences `a` of one document, which `b` may go on with."""
    joins = bool(b.documents) and b.documents[0] == a.documents[-1]
    shift = len(a.documents) - joins
    return TokenBatch(
        np.concatenate([a.ids, b.ids]),
        np.concatenate([a.starts_word, b.starts_word]),
        np.concatenate([a.is_special, b.is_special]),
        np.concatenate([a.sentence_lengths, b.sentence_lengths]),
        np.concatenate([a.sentence_documents, b.sentence_documents + shift]),
        [*a.documents, *b.documents[joins:]],
        b.is_open,
        0,
    )


class RowPacker:
    """Packs the sentences of each document into rows: as many whole sentences as fit, in order.

    A row holds sentences of one document only. A sentence longer than a row is cut at the last word
    start that fits, and a word longer than a row is cut where the row ends; both are counted. No
    token is dropped. A document may arrive in several batches; the rows are the same.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: TokenBatch | None = None  # the last row of a document that goes on
        self._held_index = 0
        self.num_cut_sentences = 0
        self.num_cut_words = 0

    def pack(self, batch: TokenBatch) -> PackedRows:
        """Return the complete rows; the last row of an open document waits for the next batch."""
        batch = self._cut_long_sentences(batch)
        first_index = 0
        if self._held is not None:
            batch, first_index = _concatenate(self._held, batch), self._held_index
            self._held = None
        ends, documents, indices = self._choose_row_ends(batch, first_index)
        stops = np.concatenate([[0], np.cumsum(batch.sentence_lengths)])
        if batch.is_open and ends and documents[-1] == len(batch.documents) - 1:
            start_sentence = ends[-2] if len(ends) > 1 else 0
            self._hold(batch, start_sentence, int(stops[start_sentence]), indices[-1])
            ends, documents, indices = ends[:-1], documents[:-1], indices[:-1]
        row_stops = stops[ends] if ends else np.empty(0, np.int64)
        num_tokens = int(row_stops[-1]) if ends else 0
        return PackedRows(
            batch.ids[:num_tokens],
            batch.starts_word[:num_tokens],
            batch.is_special[:num_tokens],
            np.diff(row_stops, prepend=0),
            [batch.documents[document] for document in documents],
            indices,
        )

    def _choose_row_ends(
        self, batch: TokenBatch, first_index: int
    ) -> tuple[list[int], list[int], list[int]]:
        """Return for each row the sentence where it ends, its document, and its number there."""
        stops = [0, *np.cumsum(batch.sentence_lengths).tolist()]
        changes = np.flatnonzero(np.diff(batch.sentence_documents)) + 1
        document_ends = [*changes.tolist(), len(stops) - 1] if len(stops) > 1 else []
        ends: list[int] = []
        documents: list[int] = []
        indices: list[int] = []
        sentence, index = 0, first_index
        for document_end in document_ends:
            document = int(batch.sentence_documents[sentence])
            while sentence < document_end:
                limit = stops[sentence] + self._capacity
                sentence = bisect_right(stops, limit, sentence + 1, document_end + 1) - 1
                ends.append(sentence)
                documents.append(document)
                indices.append(index)
                index += 1
            index = 0
        return ends, documents, indices

    def _hold(self, batch: TokenBatch, sentence: int, token: int, index: int) -> None:
        self._held = TokenBatch(
            batch.ids[token:],
            batch.starts_word[token:],
            batch.is_special[token:],
            batch.sentence_lengths[sentence:],
            np.zeros(len(batch.sentence_lengths) - sentence, np.int64),
            batch.documents[-1:],
            True,
            0,
        )
        self._held_index = index

    def _cut_long_sentences(self, batch: TokenBatch) -> TokenBatch:
        is_long = batch.sentence_lengths > self._capacity
        if not is_long.any():
            return batch
        self.num_cut_sentences += int(np.count_nonzero(is_long))
        starts_word = batch.starts_word.copy()
        lengths: list[int] = []
        documents: list[int] = []
        start = 0
        for length, document in zip(
            batch.sentence_lengths.tolist(), batch.sentence_documents.tolist(), strict=True
        ):
            stop = start + length
            while stop - start > self._capacity:
                cut = self._last_word_start(starts_word, start)
                lengths.append(cut - start)
                documents.append(document)
                start = cut
            lengths.append(stop - start)
            documents.append(document)
            start = stop
        return replace(
            batch,
            starts_word=starts_word,
            sentence_lengths=np.array(lengths, np.int64),
            sentence_documents=np.array(documents, np.int64),
        )

    def _last_word_start(self, starts_word: NDArray[np.bool_], start: int) -> int:
        """Return where to cut a sentence that begins at `start` and does not fit."""
        cuts = np.flatnonzero(starts_word[start + 1 : start + self._capacity + 1])
        if cuts.size:
            return start + 1 + int(cuts[-1])
        self.num_cut_words += 1
        starts_word[start + self._capacity] = True
        return start + self._capacity


def make_rows(
    packed: PackedRows, seq_length: int, special: Mapping[str, SpecialToken]
) -> dict[str, Ints]:
    """Return the rows as columns: int64 >= 0, shape (rows, seq_length); `row_id` (rows, 1).

    `word_ids` number the words of a row from 1; 0 stands for special tokens and padding, which are
    never masked.
    """
    num_rows = len(packed.lengths)
    place = np.arange(seq_length)
    lengths = packed.lengths[:, None]
    is_text = (place >= 1) & (place <= lengths)
    is_used = place <= lengths + 1

    input_ids = np.full((num_rows, seq_length), special["pad"].id, np.int64)
    input_ids[:, 0] = special["cls"].id
    input_ids[is_text] = packed.ids
    input_ids[np.arange(num_rows), packed.lengths + 1] = special["sep"].id

    words = np.cumsum(packed.starts_word, dtype=np.int64)
    row_starts = np.cumsum(packed.lengths) - packed.lengths
    words -= np.repeat(words[row_starts] - 1, packed.lengths)
    words[packed.is_special] = 0
    word_ids = np.zeros((num_rows, seq_length), np.int64)
    word_ids[is_text] = words

    row_ids = [
        row_id_of(key, index) for key, index in zip(packed.documents, packed.indices, strict=True)
    ]
    return {
        "attention_mask": is_used.astype(np.int64),
        "input_ids": input_ids,
        "row_id": np.array(row_ids, np.int64).reshape(num_rows, 1),
        "token_type_ids": np.zeros((num_rows, seq_length), np.int64),
        "word_ids": word_ids,
    }


def _document_bytes(key: DocumentKey) -> bytes:
    # The word "path" keeps these keys apart from ids that users give.
    name = key.name.encode("utf-8", "surrogateescape")
    return b"path\0" + name + b"\0" + struct.pack("<Q", key.offset)


def row_id_of(key: DocumentKey, index: int, duplicate: int = 0) -> int:
    """Return the 63-bit identity of a row.

    BLAKE2b (RFC 7693) of 8 bytes, personalised `maskcore-row-id`, over `path`, a zero byte, the
    document's name in UTF-8, a zero byte, and as 64-bit little-endian numbers the document's byte
    offset, the row's number in it and the duplicate; read as little-endian and shifted right by
    one.

    >>> row_id_of(DocumentKey("a.txt", 0), 0)
    8910017425970107781
    """
    data = _document_bytes(key) + struct.pack("<QQ", index, duplicate)
    digest = hashlib.blake2b(data, digest_size=8, person=b"maskcore-row-id").digest()
    return int.from_bytes(digest, "little") >> 1


def bucket_of(key: DocumentKey, seed: int, num_buckets: int) -> int:
    """Return the shard of a document: keyed BLAKE2b of its name, modulo the number of shards."""
    digest = hashlib.blake2b(
        _document_bytes(key), digest_size=8, key=struct.pack("<Q", seed), person=b"maskcore-bucket"
    ).digest()
    return int.from_bytes(digest, "little") % num_buckets
