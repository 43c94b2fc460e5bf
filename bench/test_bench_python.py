# SPDX-License-Identifier: Apache-2.0
"""What a row costs in a Python record builder of ALBERT's kind.

N-grams over whole words with 80/10/10 replacement (`bench/peers/albert_style.py`), lengths drawn
as published and more cheaply.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import workload
from bench.measure import measure
from bench.peers import albert_style

NUM_ROWS = 64
DRAWS = {"numpy": albert_style.numpy_lengths, "stdlib": albert_style.stdlib_lengths}


def _check(rows: list[list[str]], masked_rows: list[albert_style.MaskedRow]) -> None:
    for tokens, masked in zip(rows, masked_rows, strict=True):
        assert len(masked.positions) <= workload.NUM_TOKENS_TO_MASK
        assert masked.positions == sorted(set(masked.positions))
        assert masked.labels == [tokens[position] for position in masked.positions]
        assert albert_style.SEP not in masked.labels
        for word in albert_style.words_of(tokens):
            assert len({position in masked.positions for position in word}) == 1, (
                "a word is half masked"
            )
    mean = sum(len(masked.positions) for masked in masked_rows) / len(masked_rows)
    assert mean > workload.NUM_TOKENS_TO_MASK - 1  # a word that does not fit leaves a gap, rarely


@pytest.mark.parametrize("draws", DRAWS)
def test_albert_style(benchmark: Any, draws: str, maskable: NDArray[np.uint8]) -> None:
    rows = workload.word_pieces(maskable[:NUM_ROWS])
    vocabulary = workload.vocabulary()
    rng = random.Random(workload.SEED)
    draw_length: Callable[[int], int] = DRAWS[draws](workload.SEED)

    def mask_rows() -> list[albert_style.MaskedRow]:
        return [
            albert_style.mask_row(tokens, workload.NUM_TOKENS_TO_MASK, vocabulary, rng, draw_length)
            for tokens in rows
        ]

    _check(rows, mask_rows())
    measure(benchmark, f"albert-style-{draws}", mask_rows, rows_per_call=NUM_ROWS)
