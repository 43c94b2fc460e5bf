# SPDX-License-Identifier: Apache-2.0
"""How masks are drawn, as one validated and frozen value that can be stored beside the rows.

Owns the fields, their defaults and their JSON form. Knows nothing of files, tokenizers or rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any

from maskcore import _checks
from maskcore._params import MAX_NGRAM, lower_ratio, lower_span_params, weights_tuple
from maskcore.errors import value_error

__all__ = ["MASK_UNITS", "MaskConfig"]

MASK_UNITS = ("word", "token")

_SEED = _checks.IntegerRange("seed", 0, 2**63, "in [0, 2**63)", "pass 0 or more")
_MAX_N = _checks.IntegerRange(
    "max_n", 1, MAX_NGRAM + 1, f"in [1, {MAX_NGRAM}]", "it is 3 in ALBERT"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskConfig:
    """Everything but the row that a mask depends on, the epoch apart.

    Parameters
    ----------
    seed : int in [0, 2**63)
        Seed of every draw.
    max_n : int in [1, 255]
        Longest n-gram, in units.
    ngram_weights : sequence of `max_n` numbers, optional
        Relative frequency of the lengths 1 .. `max_n`; by default 1, 1/2, ..., 1/max_n [1]_.
    masking_ratio : float in (0, 1]
        Share of a row's maskable tokens to mask; 0.15 as in BERT [2]_.
    mask_unit : "word" or "token"
        Whether whole words are masked, or single tokens.
    max_predictions : int >= 1, optional
        At most this many masked tokens in a row. A build replaces None by what a full row needs.

    Raises
    ------
    TypeError, ValueError
        For a value out of its range, as `maskcore.mask_positions` does.

    References
    ----------
    .. [1] Lan et al., "ALBERT", ICLR 2020, section 3.1.
    .. [2] Devlin et al., "BERT", NAACL 2019, section 3.1.

    Examples
    --------
    >>> MaskConfig(seed=7, max_n=2).to_json()["ngram_weights"]
    ['1', '1/2']

    """

    seed: int = 0
    max_n: int = 3
    ngram_weights: tuple[Any, ...] | None = None
    masking_ratio: float = 0.15
    mask_unit: str = "word"
    max_predictions: int | None = None

    def __post_init__(self) -> None:
        seed = int(_checks.integer(_SEED, self.seed))
        max_n = int(_checks.integer(_MAX_N, self.max_n))
        if self.mask_unit not in MASK_UNITS:
            raise value_error("mask_unit", "word or token", repr(self.mask_unit), "spell it so")
        cap = _checks.predictions_or_none(self.max_predictions)
        lower_ratio(self.masking_ratio)
        weights = self.ngram_weights
        if weights is None:
            weights = tuple(Fraction(1, n) for n in range(1, max_n + 1))
        lower_span_params(max_n, weights_tuple(weights), None, None)
        exact = (Fraction(w) if isinstance(w, Rational) else Fraction(float(w)) for w in weights)
        lowered = {
            "seed": seed,  # NumPy's integers are no JSON
            "max_n": max_n,
            "ngram_weights": tuple(exact),
            "masking_ratio": float(self.masking_ratio),
            "max_predictions": None if cap is None else int(cap),
        }
        for name, value in lowered.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for `maskcore.mask_indices` and its like."""
        return {
            "seed": self.seed,
            "max_n": self.max_n,
            "ngram_weights": self.ngram_weights,
            "masking_ratio": self.masking_ratio,
            "max_predictions": self.max_predictions,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; weights as exact fractions in text."""
        return {
            "mask_unit": self.mask_unit,
            "masking_ratio": self.masking_ratio,
            "max_n": self.max_n,
            "max_predictions": self.max_predictions,
            "ngram_weights": [str(weight) for weight in self.ngram_weights or ()],
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MaskConfig:
        """Return the value that `to_json` described.

        >>> config = MaskConfig(seed=2**62, ngram_weights=(0.5, 0, 1))
        >>> MaskConfig.from_json(config.to_json()) == config
        True
        """
        weights = tuple(Fraction(text) for text in fields["ngram_weights"])
        return cls(
            seed=fields["seed"],
            max_n=fields["max_n"],
            ngram_weights=weights,
            masking_ratio=fields["masking_ratio"],
            mask_unit=fields["mask_unit"],
            max_predictions=fields["max_predictions"],
        )
