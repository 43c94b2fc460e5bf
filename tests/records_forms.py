# SPDX-License-Identifier: Apache-2.0
"""Rows and forms for the tests of what is stored: drawn here, token by token, not by the builder."""

import numpy as np

from maskcore.config import MaskConfig
from maskcore.records.encoding.schema import RowFormat
from maskcore.records.tokenising.tokenise import SpecialToken

SPECIAL = {
    role: SpecialToken(f"[{role.upper()}]", id)
    for id, role in enumerate(("pad", "unk", "cls", "sep", "mask"))
}
PAD, UNK, CLS, SEP, MASK = range(5)

# Rows of the smallest size; around a byte of positions, a block of words, a byte of words; two blocks.
LENGTHS = (5, 8, 127, 128, 129, 255, 256, 257, 258, 384, 511, 512, 513)


def form(seq_length, *, max_predictions=4, seed=3, **options):
    """Return a form; by default int64 TFRecords of rows that are no pairs."""
    settings = {
        "schema": "maskcore",
        "layout": "int64",
        "file_format": "tfrecord",
        "has_labels": False,
        "pack": False,
        "mask_epochs": 0,
        "vocab_size": 1000,
        "special_tokens": SPECIAL,
    }
    mask = MaskConfig(seed=seed, max_predictions=max_predictions)
    return RowFormat(seq_length=seq_length, mask=mask, **(settings | options))


def rows(num_rows, seq_length, *, has_labels=False, pack=False, vocab_size=1000, seed=0):
    """Return columns of random rows, some full, some as short as can be."""
    random = np.random.default_rng(seed)
    shortest = 5 if has_labels else 3
    made = [
        _row(random, seq_length, at_least, has_labels=has_labels, pack=pack, vocab_size=vocab_size)
        for at_least in np.where(np.arange(num_rows) % 3 == 0, seq_length, shortest).tolist()
    ]
    columns = {name: np.array([row[name] for row in made], np.int32) for name in made[0]}
    columns["row_id"] = random.integers(0, 2**63, (num_rows, 1))
    if has_labels:
        columns["next_sentence_labels"] = random.integers(0, 2, (num_rows, 1)).astype(np.int32)
    return columns


def _row(random, seq_length, at_least, *, has_labels, pack, vocab_size):
    length = int(random.integers(at_least, seq_length + 1))
    num_texts = 2 if has_labels else int(random.integers(1, 4)) if pack and length >= 7 else 1
    cuts = (
        random.choice(np.arange(2, length - 2), num_texts - 1, replace=False)
        if num_texts > 1
        else []
    )
    # Where each text's [SEP] stands; texts of one token at least.
    ends = sorted({*(int(cut) for cut in cuts), length - 1})
    ends = [end for i, end in enumerate(ends) if i == 0 or end - ends[i - 1] > 1]
    if ends[-1] != length - 1:
        ends[-1] = length - 1
    ids, types, words, segments, word, text = [CLS], [0], [0], [1], 0, 0
    for place in range(1, length):
        if place in ends:
            new_id, new_word = SEP, 0
        else:
            new_id = int(random.integers(5, vocab_size))
            word += bool(random.random() < 0.6) or place == 1 or (place - 1) in ends
            is_special = random.random() < 0.02  # a special token of the text counts as a word
            new_word = 0 if is_special else word
        ids.append(new_id)
        words.append(new_word)
        types.append(text if has_labels else 0)
        segments.append(text + 1)
        text += place in ends
    padding = [0] * (seq_length - length)
    row = {
        "attention_mask": [1] * length + padding,
        "input_ids": ids + padding,
        "token_type_ids": types + padding,
        "word_ids": words + padding,
    }
    if pack:
        row["segment_ids"] = segments + padding
    return row
