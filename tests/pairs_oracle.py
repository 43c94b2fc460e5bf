# SPDX-License-Identifier: Apache-2.0
"""docs/records.md, section "Pairs", told token by token: what the rows of pairs are compared with.

Owns a second, slow account of the rules, on lists, with the reference generator. Shares no code with
the library's rows.
"""

import hashlib

from maskcore._reference.philox import philox4x32_10

ROW, PARTNER = 16, 17


class Draws:
    """The draws of one document and duplicate."""

    def __init__(self, key, seed, duplicate):
        digest = hashlib.blake2b(key, digest_size=8, person=b"maskcore-doc-key").digest()
        self._address = int.from_bytes(digest, "little") >> 1
        self._seed, self._duplicate = seed, duplicate

    def block(self, purpose, number):
        counter = (
            purpose * 2**24 + number,
            self._address % 2**32,
            self._address // 2**32,
            self._duplicate,
        )
        return philox4x32_10(counter, (self._seed % 2**32, self._seed // 2**32))


def below(word, bound):
    """Return an integer in [0, bound) from a word of 32 bits."""
    return word * bound // 2**32


class Text:
    """A document, token by token."""

    def __init__(self, sentences):
        self.ids, self.begins_word, self.sentence = [], [], []
        for number, sentence in enumerate(sentences):
            for word in sentence:
                for at, token in enumerate(word):
                    self.ids.append(token)
                    self.begins_word.append(at == 0)
                    self.sentence.append(number)
        self.sentence_starts = [
            at
            for at in range(len(self.ids))
            if at == 0 or self.sentence[at] != self.sentence[at - 1]
        ]
        self.num_sentences = len(sentences)

    def ends_sentence(self, at):
        return at == len(self.ids) or at in self.sentence_starts

    def sentence_length(self, at):
        return self.sentence.count(self.sentence[at])

    def words(self, start, last):
        """Return the tokens in (start, last] that begin a word."""
        return [
            at for at in range(start + 1, min(last, len(self.ids) - 1) + 1) if self.begins_word[at]
        ]


def chunk_stop(text, start, target, capacity, needs_two):
    """Return where the chunk ends that begins at `start`."""
    stop = len(text.ids)
    ends = [
        at for at in range(start + 1, min(start + capacity, stop) + 1) if text.ends_sentence(at)
    ]
    wanted = [at for at in ends if at <= start + target]
    ends = ends[: max(len(wanted), 2)]
    end = ends[-1] if ends else start
    if end == stop:
        return end
    if not ends or text.sentence_length(end) > capacity:  # what comes next has to be cut
        cuts = text.words(end, start + target)
        if not cuts and len(ends) < 2:
            cuts = text.words(end, start + capacity)
        if cuts:
            end = cuts[-1]
        elif not ends:
            end = start + capacity
    elif needs_two and len(ends) == 1 and not text.words(start, end - 1):
        end = max([end, *text.words(end, start + capacity)])
    if needs_two and text.sentence[end] == text.num_sentences - 1:
        end = leave_two(text, start, end, ends, capacity)
    return end


def leave_two(text, start, end, ends, capacity):
    """Return the chunk's end so that the last sentence, or its rest, does not stay alone."""
    stop = len(text.ids)
    if text.ends_sentence(end) and len(ends) >= 3 and stop - ends[-2] <= capacity:
        return ends[-2]
    if not text.words(end, stop - 1):  # one word
        words = text.words(start, end - 1)
        if len(words) >= 2 and stop - words[-1] <= capacity:
            return words[-1]
    return end


def split_of(text, start, end, word):
    """Return where the chunk is split, or None."""
    bounds = [at for at in range(start + 1, end) if at in text.sentence_starts]
    candidates = bounds or text.words(start, end - 1) or list(range(start + 1, end))
    return candidates[below(word, len(candidates))] if candidates else None


def partner_segment(texts, document, words, rooms):
    """Return ids from another document; `rooms` are what is wanted and what there is."""
    room, most = rooms
    others = [at for at, text in enumerate(texts) if text.ids and at != document]
    text = texts[others[below(words[0], len(others))]]
    start = text.sentence_starts[below(words[1], text.num_sentences)]
    ends = [at for at in range(start + 1, len(text.ids) + 1) if text.ends_sentence(at)]
    chosen = [at for at in ends if at <= start + room] or ends[:1]
    end = chosen[-1]
    if end - start > most:
        end = max(text.words(start, start + most), default=start + most)
    return text.ids[start:end]


def pairs_plainly(documents, keys, recipe, duplicate):
    """Return ([(document, number, label, first ids, second ids)], skipped ids)."""
    capacity = recipe.seq_length - 3
    short_threshold = round(recipe.short_seq_prob * 2**32)
    texts = [Text(document) for document in documents]
    draws = [Draws(key, recipe.seed, duplicate) for key in keys]
    borrows = recipe.pairs == "nsp" and sum(bool(text.ids) for text in texts) > 1
    rows, skipped = [], []
    for document, text in enumerate(texts):
        start = number = 0
        while start < len(text.ids):
            words = draws[document].block(ROW, number)
            target = capacity
            if words[0] < short_threshold:
                target = 2 + below(words[1], capacity - 1)
            end = chunk_stop(text, start, target, capacity, not borrows)
            split = split_of(text, start, end, words[2])
            label = below(words[3], 2)
            num_sentences = len(set(text.sentence[start:end]))
            is_one = num_sentences == 1 and text.ends_sentence(end) and end - start < capacity
            if borrows and (is_one or split is None):
                split, label = end, 1
            if split is None:
                skipped += text.ids[start:end]
                start = end
                continue
            first, second = text.ids[start:split], text.ids[split:end]
            if borrows and label:
                rooms = max(target - len(first), 0), capacity - len(first)
                partner_words = draws[document].block(PARTNER, number)
                second = partner_segment(texts, document, partner_words, rooms)
                end = split
            elif recipe.pairs == "nsp":
                label = 0
            elif label:
                first, second = second, first
            rows.append((document, number, label, first, second))
            number += 1
            start = end
    return rows, skipped
