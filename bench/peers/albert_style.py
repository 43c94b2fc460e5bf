# SPDX-License-Identifier: Apache-2.0
"""The n-gram masker of ALBERT's record builder, in Python, for one row of word pieces.

Our own version of the algorithm as Lan et al. describe it (ALBERT, ICLR 2020, section 3.1) and as
`create_masked_lm_predictions` of the google-research/albert record builder carries it out: every
word opens a candidate for each length, the candidates are shuffled, a length is drawn from what
fits, and words that are masked already are skipped. Knows nothing of arrays.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CLS, SEP, MASK = "[CLS]", "[SEP]", "[MASK]"
CONTINUATION = "##"
LONGEST_NGRAM = 3
MASK_SHARE, KEPT_SHARE_OF_REST = 0.8, 0.5  # 80/10/10, Devlin et al. 2019, section 3.1
_LENGTHS = np.arange(1, LONGEST_NGRAM + 1, dtype=np.int64)
_LENGTH_WEIGHTS = 1.0 / _LENGTHS

DrawLength = Callable[[int], int]
"""From the longest n-gram that fits to the length drawn."""


@dataclass(frozen=True)
class MaskedRow:
    """What the record builder stores of one row."""

    tokens: list[str]
    positions: list[int]
    labels: list[str]


def numpy_lengths(seed: int) -> DrawLength:
    """Draw lengths as published: `numpy.random.choice` with the weights of those that fit."""
    generator = np.random.RandomState(seed)

    def draw_length(longest: int) -> int:
        weights = _LENGTH_WEIGHTS[:longest]
        return int(generator.choice(_LENGTHS[:longest], p=weights / weights.sum()))

    return draw_length


def stdlib_lengths(seed: int) -> DrawLength:
    """Draw lengths from the standard library, the weights summed beforehand: cheaper."""
    generator = random.Random(seed)
    lengths = [range(1, longest + 1) for longest in range(LONGEST_NGRAM + 1)]
    sums = [np.cumsum(_LENGTH_WEIGHTS[:longest]).tolist() for longest in range(LONGEST_NGRAM + 1)]

    def draw_length(longest: int) -> int:
        return generator.choices(lengths[longest], cum_weights=sums[longest])[0]

    return draw_length


def words_of(tokens: Sequence[str]) -> list[list[int]]:
    """Return the positions of each word, continuations included; [CLS] and [SEP] are none."""
    words: list[list[int]] = []
    for position, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if words and token.startswith(CONTINUATION):
            words[-1].append(position)
        else:
            words.append([position])
    return words


def replacement(token: str, vocabulary: Sequence[str], rng: random.Random) -> str:
    """Return [MASK] in 80 % of cases, the token in 10 %, a random one in 10 %."""
    if rng.random() < MASK_SHARE:
        return MASK
    return (
        token
        if rng.random() < KEPT_SHARE_OF_REST
        else vocabulary[rng.randint(0, len(vocabulary) - 1)]
    )


def mask_row(
    tokens: Sequence[str],
    num_to_predict: int,
    vocabulary: Sequence[str],
    rng: random.Random,
    draw_length: DrawLength,
) -> MaskedRow:
    """Mask n-grams of words until `num_to_predict` positions are covered or none is left."""
    words = words_of(tokens)
    ngrams = [
        [words[first : first + length] for length in range(1, LONGEST_NGRAM + 1)]
        for first in range(len(words))
    ]
    rng.shuffle(ngrams)

    output = list(tokens)
    covered: set[int] = set()
    for by_length in ngrams:
        if len(covered) >= num_to_predict:
            break
        if any(position in covered for word in by_length[0] for position in word):
            continue
        fitting = len(by_length[-1])
        length = draw_length(fitting)
        positions = [position for word in by_length[length - 1] for position in word]
        while len(covered) + len(positions) > num_to_predict and length > 1:
            length -= 1
            positions = [position for word in by_length[length - 1] for position in word]
        if len(covered) + len(positions) > num_to_predict:
            continue
        if any(position in covered for position in positions):
            continue
        for position in positions:
            covered.add(position)
            output[position] = replacement(tokens[position], vocabulary, rng)

    masked = sorted(covered)
    return MaskedRow(output, masked, [tokens[position] for position in masked])
