# SPDX-License-Identifier: Apache-2.0
"""From configuration to the integers that backends compute with: docs/algorithm.md, sections 3 and 6.

Owns the last fractions; after this file there are integers only. Knows nothing of arrays of rows or of backends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from numbers import Rational
from typing import Any

import numpy as np

from maskcore._call import SpanParams
from maskcore.errors import type_error, value_error

__all__ = ["lower_ratio", "lower_span_params", "ratio_number", "thresholds", "weights_tuple"]

MAX_NGRAM = 255
LENGTH_BITS = 16
REPLACEMENT_BITS = 32
RATIO_UNIT = 10**9


def _fraction(argument: str, weight: object) -> Fraction:
    if isinstance(weight, Rational):
        return Fraction(weight)
    try:
        if isinstance(weight, (str, bytes)):
            raise TypeError  # float() would read a number from it
        value = float(weight)  # type: ignore[arg-type]  # what cannot be a float raises here
    except (TypeError, ValueError):
        raise type_error(argument, "numbers", repr(weight), "pass numbers such as 0.5") from None
    if not math.isfinite(value):
        raise value_error(argument, "finite numbers", value, "leave NaN and infinity out")
    return Fraction(value)


def thresholds(argument: str, weights: Sequence[object], bits: int) -> tuple[int, ...]:
    """Return the cumulative thresholds of `weights` in units of 2**-bits (section 3).

    >>> thresholds("weights", [6, 3, 2], 16)
    (35747, 53620)
    """
    fractions = [_fraction(argument, weight) for weight in weights]
    for weight, fraction in zip(weights, fractions, strict=True):
        if fraction < 0:
            raise value_error(argument, "weights >= 0", weight, "use 0 for what must not occur")
    total = sum(fractions)
    if total == 0:
        raise value_error(
            argument, "weights with a positive sum", list(weights), "give one a positive weight"
        )
    scale, half = 2**bits, Fraction(1, 2)
    cumulative = Fraction(0)
    edges = [0]
    for weight, fraction in zip(weights, fractions, strict=True):
        cumulative += fraction
        edges.append(math.floor(scale * cumulative / total + half))
        if fraction > 0 and edges[-1] == edges[-2]:
            raise value_error(
                argument,
                f"0 or at least about 2**-{bits} of their sum",
                weight,
                "a smaller weight would never be drawn; raise it or use 0",
            )
    return tuple(edges[1:-1])


def weights_tuple(ngram_weights: Any) -> tuple[object, ...]:
    """Return `ngram_weights` as a tuple of what may be numbers."""
    try:
        weights = tuple(ngram_weights)
        hash(weights)  # arrays and lists are not numbers
    except TypeError:
        raise type_error(
            "ngram_weights",
            "a sequence of numbers",
            repr(ngram_weights)[:80],
            "give one weight for each length 1 .. max_n",
        ) from None
    return weights


def ratio_number(masking_ratio: Any) -> float:
    """Return `masking_ratio` as a float; a text is none."""
    try:
        if not isinstance(masking_ratio, (str, bytes)):
            return float(masking_ratio)
    except (TypeError, ValueError):
        pass  # the error below says more
    raise type_error(
        "masking_ratio", "a number in (0, 1]", repr(masking_ratio)[:80], "pass for example 0.15"
    )


def lower_ratio(masking_ratio: float) -> int:
    """Return `masking_ratio` in units of 1e-9, from its shortest decimal text (section 6).

    >>> lower_ratio(0.15)
    150000000
    """
    text = repr(ratio_number(masking_ratio))
    decimal = Decimal(text)
    if not (decimal.is_finite() and 0 < decimal <= 1):
        raise value_error(
            "masking_ratio", "in (0, 1]", text, "pass a fraction such as 0.15, not a percentage"
        )
    ratio_e9 = int((decimal * RATIO_UNIT).to_integral_value(ROUND_HALF_UP))
    if ratio_e9 == 0:
        raise value_error(
            "masking_ratio", "at least 5e-10", text, "a smaller ratio would be rounded to nothing"
        )
    return ratio_e9


@lru_cache(maxsize=256)
def lower_span_params(
    max_n: int,
    ngram_weights: tuple[object, ...] | None,
    masking_ratio: float | None,
    max_predictions: int | None,
) -> SpanParams:
    """Return the integers that decide how spans are chosen."""
    if not 1 <= max_n <= MAX_NGRAM:
        raise value_error(
            "max_n", f"in [1, {MAX_NGRAM}]", max_n, "it is the longest n-gram in units, 3 in ALBERT"
        )
    if ngram_weights is None:
        ngram_weights = tuple(Fraction(1, n) for n in range(1, max_n + 1))
    if len(ngram_weights) != max_n:
        raise value_error(
            "ngram_weights",
            f"max_n = {max_n} numbers",
            f"{len(ngram_weights)} numbers",
            "give one weight for each length 1 .. max_n",
        )
    lengths = np.array(thresholds("ngram_weights", ngram_weights, LENGTH_BITS), dtype=np.uint32)
    lengths.flags.writeable = False
    return SpanParams(
        length_thresholds=lengths,
        length_thresholds_bytes=lengths.tobytes(),
        ratio_e9=0 if masking_ratio is None else lower_ratio(masking_ratio),
        budget_cap=-1 if max_predictions is None else max_predictions,
    )
