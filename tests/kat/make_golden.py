# SPDX-License-Identifier: Apache-2.0
"""Write golden_rows.json: whole rows with every input and what the reference backend makes of them.

Run `python tests/kat/make_golden.py` after a change of docs/algorithm.md; a test says when the file is stale. Inputs come from
`random.Random.random`, which is the same in every Python. At masked positions only, the file holds what is written there.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import maskcore

TARGET = Path(__file__).parent / "golden_rows.json"

# 0, 1, 2, 3; around a vector of 64 bytes and its multiples; a length that fits none of them.
LENGTHS = (0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000)

TOKENS: dict[str, Any] = {
    "mask_id": 103,
    "random_ids": [[110, 300], [400, 401]],
    "replacement": [0.5, 0.3, 0.2],
    "special_ids": [0, 100, 101, 102, 103],
    "ignore_index": -100,
}

# What is given beside the row; "word_ids" and "segment_ids" say whether the row has them.
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"num_tokens_to_mask": 20},
    "ratio": {"masking_ratio": 0.15},
    "capped": {"masking_ratio": 0.5, "max_predictions": 7, "max_n": 1},
    "segments": {"masking_ratio": 0.3, "segment_ids": True, "max_n": 5},
    "words": {"masking_ratio": 0.2, "word_ids": True},
    "words in segments": {"masking_ratio": 0.6, "word_ids": True, "segment_ids": True, "max_n": 4},
    "weights": {"masking_ratio": 0.25, "max_n": 3, "ngram_weights": [0, 0.5, 2]},
    "long pieces": {"masking_ratio": 0.4, "max_n": 255},
    "all": {"num_tokens_to_mask": 2000, "word_ids": True},
}

# Addresses with both halves of seed and row id in use, and the largest of each.
ADDRESSES = (
    {"seed": 0, "epoch": 0, "row_id": 0},
    {"seed": 0x0123456789ABCDEF, "epoch": 3, "row_id": 0x76543210FEDCBA98 >> 1},
    {"seed": 2**63 - 1, "epoch": 2**31 - 1, "row_id": 2**63 - 1},
)


def make_row(random: Random, length: int, config: dict[str, Any]) -> dict[str, Any]:
    """Return one row: ids, what may be masked, and words and segments where the configuration has them."""
    row: dict[str, Any] = {
        "input_ids": [104 + int(random.random() * 300) for _ in range(length)],
        "maskable": [int(random.random() < 0.8) for _ in range(length)],
    }
    for t in range(0, length, 41):
        row["input_ids"][t] = 101  # special
    if config.get("word_ids"):
        word, words = 0, []
        for _ in range(length):
            word += random.random() < 0.6
            words.append(-1 if random.random() < 0.1 else word)
        row["word_ids"] = words
        for t in range(1, length):  # most words may be masked as a whole
            if words[t] == words[t - 1] and random.random() < 0.8:
                row["maskable"][t] = row["maskable"][t - 1]
    if config.get("segment_ids"):
        segment, segments = 0, []
        for _ in range(length):
            segment += random.random() < 0.1
            segments.append(segment)
        row["segment_ids"] = segments
    return row


def arguments(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that an entry stands for, arrays of one row included."""
    keywords = dict(entry["config"])
    for name in ("word_ids", "segment_ids"):
        if name in keywords:
            keywords[name] = np.array(entry["row"][name], np.int32).reshape(1, -1)
    address = entry["address"]
    return {
        **keywords,
        "seed": address["seed"],
        "epoch": address["epoch"],
        "row_ids": [address["row_id"]],
    }


def token_arguments() -> dict[str, Any]:
    """Return the keyword arguments of `mask_tokens` for every entry."""
    return {**TOKENS, "random_ids": [tuple(pair) for pair in TOKENS["random_ids"]]}


def expected(entry: dict[str, Any]) -> dict[str, list[int]]:
    """Return what the active backend makes of an entry, at the masked positions."""
    maskable = np.array(entry["row"]["maskable"], np.uint8).reshape(1, -1)
    ids = np.array(entry["row"]["input_ids"], np.int32).reshape(1, -1)
    keywords = arguments(entry)
    spans = maskcore.mask_spans(maskable, **keywords)
    masked = maskcore.mask_tokens(ids, maskable, **keywords, **token_arguments())
    at = np.flatnonzero(spans)
    at_tokens = np.flatnonzero(masked.labels != TOKENS["ignore_index"])
    return {
        "positions": at.tolist(),
        "span_numbers": spans[0, at].tolist(),
        "token_positions": at_tokens.tolist(),  # special ids are never masked, so they are others
        "masked_ids": masked.input_ids[0, at_tokens].tolist(),
    }


def entries() -> list[dict[str, Any]]:
    """Return every row with every configuration, computed by the reference."""
    random = Random(20200227)
    made = []
    for number, length in enumerate(LENGTHS):
        for name, config in CONFIGS.items():
            entry = {
                "name": f"{name}, {length}",
                "config": config,
                "address": ADDRESSES[(number + len(made)) % len(ADDRESSES)],
                "row": make_row(random, length, config),
            }
            with maskcore.use_backend("reference"):
                made.append({**entry, "expected": expected(entry)})
    return made


def text() -> str:
    """Return the file's text, one entry a line."""
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries())
    head = json.dumps({"algorithm_version": maskcore.ALGORITHM_VERSION, "tokens": TOKENS})
    return f'{head[:-1]}, "entries": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    TARGET.write_text(text())
