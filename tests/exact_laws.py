# SPDX-License-Identifier: Apache-2.0
"""Exact probabilities of docs/algorithm.md, to hold drawn masks against, without sampling.

Owns its own reading of sections 3 to 5 and must not import maskcore, so that an error there
cannot hide here.
`python tests/exact_laws.py` prints the tables of section 10.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, permutations, product

DEFAULT_WEIGHTS = (Fraction(1), Fraction(1, 2), Fraction(1, 3))
LENGTH_DRAWS = 2**16


def length_law(weights: Sequence[Fraction | float]) -> list[Fraction]:
    """Return the probability of each piece length, after rounding to thresholds (section 3)."""
    exact = [Fraction(weight) for weight in weights]
    shares = [sum(exact[:j]) / sum(exact) for j in range(len(exact) + 1)]
    edges = [math.floor(LENGTH_DRAWS * share + Fraction(1, 2)) for share in shares]
    return [Fraction(b - a, LENGTH_DRAWS) for a, b in pairwise(edges)]


def mean_length(law: Sequence[Fraction | float]) -> float:
    """Return the mean of a law of lengths 1, 2, ..."""
    return float(sum(n * p for n, p in enumerate(law, 1)))


def renewal(law: Sequence[Fraction | float], stop: int) -> list[float]:
    """Return, for i in [0, stop), the probability that a piece begins at unit i."""
    starts = [1.0]
    for i in range(1, stop):
        starts.append(sum(float(p) * starts[i - n] for n, p in enumerate(law, 1) if n <= i))
    return starts


# One tiny row: every outcome with its probability.


def _units(words: Sequence[int]) -> list[list[int]]:
    units: list[list[int]] = []
    for t, word in enumerate(words):
        if t > 0 and word >= 0 and word == words[t - 1]:
            units[-1].append(t)
        else:
            units.append([t])
    return units


def _cuts(num_units: int, law: Sequence[Fraction]) -> Iterator[tuple[frozenset[int], Fraction]]:
    """Yield each set of units at which a piece begins, with its probability."""

    def extend(
        cuts: tuple[int, ...], chance: Fraction
    ) -> Iterator[tuple[frozenset[int], Fraction]]:
        for n, p in enumerate(law, 1):
            if p == 0:
                continue
            if cuts[-1] + n >= num_units:
                yield frozenset(cuts), chance * p
            else:
                yield from extend((*cuts, cuts[-1] + n), chance * p)

    yield from extend((0,), Fraction(1))


def _candidates(
    units: list[list[int]], cuts: frozenset[int], eligible: list[bool], segments: Sequence[int]
) -> list[list[int]]:
    spans: list[list[int]] = []
    for u, unit in enumerate(units):
        if eligible[u]:
            is_joined = (
                u > 0
                and eligible[u - 1]
                and u not in cuts
                and segments[unit[0]] == segments[unit[0] - 1]
            )
            if is_joined:
                spans[-1].append(u)
            else:
                spans.append([u])
    return spans


def _fill(parts: list[list[list[int]]], budget: int) -> set[int]:
    masked: set[int] = set()
    for part in parts:
        for tokens in part:
            if len(masked) + len(tokens) > budget:
                if masked:
                    return masked
                break
            masked.update(tokens)
    return masked


def _number(masked: set[int], starts: set[int], length: int) -> tuple[int, ...]:
    numbers, current = [], 0
    for t in range(length):
        current += t in masked and (t in starts or t - 1 not in masked)
        numbers.append(current if t in masked else 0)
    return tuple(numbers)


def arrangement_probabilities(
    maskable: Sequence[int],
    budget: int,
    weights: Sequence[Fraction | float] = DEFAULT_WEIGHTS,
    words: Sequence[int] | None = None,
    segments: Sequence[int] | None = None,
) -> dict[tuple[int, ...], Fraction]:
    """Return {span numbers of the row: probability} over all cuts, anchors and shuffles."""
    length = len(maskable)
    words = [-1] * length if words is None else words
    segments = [0] * length if segments is None else segments
    units = _units(words)
    eligible = [
        all(maskable[t] for t in unit) and len({segments[t] for t in unit}) == 1 for unit in units
    ]
    num_eligible = sum(len(unit) for unit, ok in zip(units, eligible, strict=True) if ok)
    chance_of_candidates: dict[tuple[tuple[int, ...], ...], Fraction] = defaultdict(Fraction)
    for cuts, chance in _cuts(len(units), length_law(weights)):
        spans = _candidates(units, cuts, eligible, segments)
        chance_of_candidates[tuple(map(tuple, spans))] += chance
    result: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for spans, chance in chance_of_candidates.items():
        starts = {units[span[0]][0] for span in spans}
        for first, span in enumerate(spans):
            others = [[units[u] for u in other] for c, other in enumerate(spans) if c != first]
            each = chance / num_eligible / math.factorial(len(others))
            for k in range(len(span)):
                tail, head = [units[u] for u in span[k:]], [units[u] for u in span[:k]]
                for order in permutations(others):
                    masked = _fill([tail, *order, head], min(budget, num_eligible))
                    result[_number(masked, starts, length)] += each * len(tail[0])
    return dict(result)


# Rows of any length, without words: which span lengths are realised.


def candidate_counts(
    maskable: Sequence[int], weights: Sequence[Fraction | float]
) -> dict[int, float]:
    """Return the expected number of candidates of each length in a row."""
    law = [float(p) for p in length_law(weights)]
    starts = renewal(law, len(maskable))
    counts: dict[int, float] = defaultdict(float)
    for begin in range(len(maskable)):
        if not maskable[begin] or (begin > 0 and maskable[begin - 1]):
            continue
        stop = next((t for t in range(begin, len(maskable)) if not maskable[t]), len(maskable))
        for first in range(begin, stop):
            piece_starts = [first] if first > begin else range(begin + 1)
            for cut, (n, p) in product(piece_starts, enumerate(law, 1)):
                if cut + n > first:
                    counts[min(cut + n, stop) - first] += starts[cut] * p
    return dict(counts)


def _runs(candidate: int, start: int, budget: int, circle: int) -> Iterator[int]:
    """Yield the runs of a candidate's tokens that the window from `start` on covers."""
    run = 0
    for t in range(candidate):
        if (t - start) % circle < budget:
            run += 1
        elif run:
            yield run
            run = 0
    if run:
        yield run


def span_counts(
    maskable: Sequence[int], budget: int, weights: Sequence[Fraction | float]
) -> dict[int, float]:
    """Return the expected number of masked spans of each length in a row (without words)."""
    circle = sum(maskable)
    counts: dict[int, float] = defaultdict(float)
    for candidate, expected in candidate_counts(maskable, weights).items():
        for start in range(circle):
            for run in _runs(candidate, start, budget, circle):
                counts[run] += expected / circle
    return dict(sorted(counts.items()))


# Words.


def undershoot_limit(word_law: Sequence[Fraction | float]) -> float:
    """Return E[X(X-1)] / (2 E[X]): what a large budget leaves over on average, in tokens."""
    return float(sum(n * (n - 1) * p for n, p in enumerate(word_law, 1))) / (
        2 * mean_length(word_law)
    )


def word_probability(
    size: int, word_law: Sequence[Fraction | float], budget: int, num_tokens: int
) -> float:
    """Return P(a word of `size` tokens is masked) where independent words fill `num_tokens`.

    Section 9, law 2: the mean size of the block of whole words, at most `budget` tokens, that
    ends with the word, divided by the number of tokens.
    """
    others = num_tokens - size
    if size > budget:
        return 0.0
    if others <= budget - size:
        return 1.0
    ends = renewal(word_law, num_tokens + 1)
    block = 0.0
    for before in range(budget - size + 1):
        for n, p in enumerate(word_law, 1):
            if budget - size < before + n <= others:
                block += (size + before) * ends[before] * float(p) * ends[others - before - n]
    return block / ends[others] / num_tokens


def tables() -> str:
    """Return the tables of section 10."""
    lines = []
    rows = {
        "6/1": ([0, *[1] * 6, 0], 1),
        "14/2": ([0, *[1] * 14, 0], 2),
        "126/19": ([0, *[1] * 126, 0], 19),
        "126/19, runs of 13": ([0, *[1] * 13] * 9 + [0, *[1] * 9, 0], 19),
        "126/120": ([0, *[1] * 126, 0], 120),
    }
    weights_of = {
        "1, 1/2, 1/3": DEFAULT_WEIGHTS,
        "0, 0, 1": (0, 0, 1),
        "1, 1/2, ..., 1/10": tuple(Fraction(1, n) for n in range(1, 11)),
    }
    for title, weights in weights_of.items():
        law = length_law(weights)
        shares = " ".join(f"{float(p):.3f}" for p in law)
        lines.append(f"weights {title}: {shares}, mean {mean_length(law):.3f}")
        for name, (maskable, budget) in rows.items():
            counts = span_counts(maskable, budget, weights)
            total = sum(counts.values())
            shares = " ".join(f"{counts.get(n, 0.0) / total:.3f}" for n in range(1, len(law) + 1))
            lines.append(f"  {name:>18}: {shares}, mean {budget / total:.3f}")
    word_law = [Fraction(12, 25 * n) for n in range(1, 5)]
    limit = undershoot_limit(word_law)
    lines.append(f"words of 1 to 4 tokens, P(n) ~ 1/n: limit of the undershoot {limit:.4f} tokens")
    for budget in (4, 6, 10, 19, 60):
        chances = " ".join(f"{word_probability(n, word_law, budget, 126):.7f}" for n in range(1, 5))
        lines.append(f"  {f'126/{budget}':>18}: {chances}, limit {(budget - limit) / 126:.7f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(tables())
