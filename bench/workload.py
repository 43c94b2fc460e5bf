# SPDX-License-Identifier: Apache-2.0
"""The work that every masker is given: seeded rows, ids and pieces.

Owns the shape of the question and its random inputs. Knows nothing of maskers, clocks or reports.

The shape is that of the measurement published with the op that this project starts from (Jeong and
Hong, 2021, see peers/while_loop.py): 128 positions, each maskable with probability 0.8, a fifth of
those masked, n-grams of up to 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.albert_style import CONTINUATION, SEP

NUM_ROWS = 4096
ROW_LENGTH = 128
MASKABLE_SHARE = 0.8
MASKING_RATIO = 0.2
NUM_TOKENS_TO_MASK = 20  # 0.2 of the 102.4 maskable tokens that a row has on average
MAX_N = 3
SEED = 23  # the default of the published op

VOCAB_SIZE = 30_000  # ALBERT's (Lan et al. 2020, section 3.1)
PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(5)
IGNORE_INDEX = -100  # the label of tokens that are not masked, in PyTorch and here
SPECIAL_IDS = (PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID)
CONTINUATION_SHARE = 0.25  # of the pieces; English text has 1.2 to 1.4 word pieces a word


def maskable_rows(num_rows: int = NUM_ROWS, row_length: int = ROW_LENGTH) -> NDArray[np.uint8]:
    """Return rows of 0 and 1, each position maskable with probability 0.8."""
    generator = np.random.default_rng([SEED, num_rows, row_length])
    rows = (generator.random((num_rows, row_length)) < MASKABLE_SHARE).astype(np.uint8)
    if int(rows.sum(axis=1).min()) < NUM_TOKENS_TO_MASK:
        raise ValueError("a row has fewer maskable tokens than the budget; take another seed")
    return rows


def row_ids(num_rows: int = NUM_ROWS) -> NDArray[np.int64]:
    """Return 63-bit row ids, as stored records carry them."""
    return np.random.default_rng([SEED, num_rows]).integers(0, 2**63, num_rows, dtype=np.int64)


def budgets(maskable: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a fifth of each row's maskable tokens, rounded half up, in integers."""
    counts: NDArray[np.int64] = np.count_nonzero(maskable, axis=1).astype(np.int64)
    return np.maximum(1, (2 * counts + 5) // 10)


def token_ids(maskable: NDArray[np.uint8], dtype: Any = np.int32) -> NDArray[Any]:
    """Return ordinary ids where a token may be masked and [SEP] where it may not."""
    generator = np.random.default_rng([SEED, *maskable.shape, 1])
    ordinary = generator.integers(len(SPECIAL_IDS), VOCAB_SIZE, maskable.shape)
    return np.where(maskable, ordinary, SEP_ID).astype(dtype)


def word_ids(maskable: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return word ids: a maskable token continues the word before it in a quarter of cases."""
    generator = np.random.default_rng([SEED, *maskable.shape, 2])
    continues = (generator.random(maskable.shape) < CONTINUATION_SHARE) & (maskable != 0)
    continues[:, 1:] &= maskable[:, :-1] != 0
    continues[:, 0] = False
    words = np.cumsum(~continues, axis=1, dtype=np.int32)
    return np.where(maskable, words, -1).astype(np.int32)


def word_pieces(maskable: NDArray[np.uint8]) -> list[list[str]]:
    """Return the rows as text pieces, with the words of `word_ids` and [SEP] between them."""
    ids, words = token_ids(maskable), word_ids(maskable)
    rows = []
    for row_ids_, row_words in zip(ids.tolist(), words.tolist(), strict=True):
        pieces, previous = [], -1
        for token_id, word in zip(row_ids_, row_words, strict=True):
            is_continuation = word >= 0 and word == previous
            piece = f"{CONTINUATION if is_continuation else ''}piece{token_id}"
            pieces.append(SEP if word < 0 else piece)
            previous = word
        rows.append(pieces)
    return rows


def vocabulary() -> list[str]:
    """Return the pieces that random replacements are drawn from."""
    return [f"piece{token_id}" for token_id in range(len(SPECIAL_IDS), VOCAB_SIZE)]


def record_columns(num_rows: int, row_length: int) -> dict[str, NDArray[Any]]:
    """Return rows as a build makes them: full but for the last tenth, of pieces as frequent as words."""
    generator = np.random.default_rng([SEED, num_rows, row_length, 3])
    lengths = np.full(num_rows, row_length)
    lengths[-(num_rows // 10) :] = generator.integers(3, row_length, num_rows // 10)
    is_used = np.arange(row_length) < lengths[:, None]
    ranks = generator.random((num_rows, row_length)) * np.log(VOCAB_SIZE - len(SPECIAL_IDS))
    ids = len(SPECIAL_IDS) + np.exp(ranks).astype(np.int32) - 1  # Zipf: rank r has share 1 / r
    words = np.cumsum(generator.random((num_rows, row_length)) >= CONTINUATION_SHARE, axis=1)
    return {
        "attention_mask": is_used.astype(np.int32),
        "input_ids": np.where(is_used, ids, PAD_ID).astype(np.int32),
        "row_id": row_ids(num_rows).reshape(-1, 1),
        "token_type_ids": np.zeros((num_rows, row_length), np.int32),
        "word_ids": np.where(is_used, words, 0).astype(np.int32),
    }
