# SPDX-License-Identifier: Apache-2.0
"""From configuration to integers: docs/algorithm.md, sections 3 and 6, against values worked out by hand.

Owns the last fractions. What backends make of the integers is tested elsewhere.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from maskcore._params import lower_ratio, lower_span_params, thresholds


@pytest.mark.parametrize(
    ("weights", "bits", "expected"),
    [
        ((1,), 16, ()),
        ((1, 1), 16, (32768,)),
        ((6, 3, 2), 16, (35747, 53620)),  # 65536 * 6/11 = 35746.9, 65536 * 9/11 = 53620.4
        ((0, 1, 0), 16, (0, 65536)),
        ((0, 0, 5), 16, (0, 0)),
        ((1, 2**17 - 1), 16, (1,)),  # 65536 / 2**17 is exactly one half, and goes up
        ((0.8, 0.1, 0.1), 32, (3435973837, 3865470566)),  # 3435973836.8, 3865470566.4
        ((0.1, 0.9), 32, (429496730,)),  # 429496729.6
        ((Fraction(1, 3), Fraction(2, 3)), 32, (1431655765,)),  # 1431655765.3
        ((1, 0, 0), 32, (2**32, 2**32)),
    ],
)
def test_thresholds(weights: tuple[object, ...], bits: int, expected: tuple[int, ...]) -> None:
    assert thresholds("weights", weights, bits) == expected


def test_a_weight_just_too_small() -> None:
    with pytest.raises(ValueError, match="a smaller weight would never be drawn"):
        thresholds("weights", (1, 2**17), 16)


def test_scale_does_not_matter() -> None:
    assert thresholds("w", (2**-1000, 2**-1001), 16) == thresholds("w", (2.0**1000, 2.0**999), 16)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.15, 150_000_000),
        (1, 1_000_000_000),
        (1 / 3, 333_333_333),
        (2 / 3, 666_666_667),
        (5e-10, 1),
        (0.1234567885, 123_456_789),  # the tenth digit is a 5, and goes up
        (np.float32(0.5), 500_000_000),
    ],
)
def test_ratios_in_billionths(ratio: float, expected: int) -> None:
    assert lower_ratio(ratio) == expected


def test_default_lengths_are_those_of_albert() -> None:
    """Weights 1, 1/2, ..., 1/n: 65536 * 12/25 = 31457.3, * 18/25 = 47185.9, * 22/25 = 57671.7."""
    params = lower_span_params(4, None, None, None)
    assert params.length_thresholds.tolist() == [31457, 47186, 57672]
    assert params.length_thresholds.dtype == np.uint32
    assert (params.ratio_e9, params.budget_cap) == (0, -1)
    assert lower_span_params(1, None, 0.15, 20).length_thresholds.tolist() == []
    assert lower_span_params(1, None, 0.15, 20).ratio_e9 == 150_000_000
    assert lower_span_params(1, None, 0.15, 20).budget_cap == 20
