# SPDX-License-Identifier: Apache-2.0
"""What rows are made by, as one validated and frozen value.

Owns the fields, their ranges and the integers that follow from them. Knows nothing of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from numbers import Real

from maskcore import _checks
from maskcore.errors import type_error, value_error

__all__ = ["PAIRS", "RowRecipe"]

PAIRS = ("none", "sop", "nsp")
# [CLS] text [SEP], and [CLS] text [SEP] text [SEP]: Devlin et al. 2019, figure 2.
_SINGLE_SPECIAL_TOKENS = 2
_PAIR_SPECIAL_TOKENS = 3

_DUPE_FACTOR = _checks.IntegerRange(
    "dupe_factor", 1, 2**31, "in [1, 2**31)", "it is 10 in BERT's script; 1 makes each row once"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRecipe:
    """Everything but the text that rows depend on.

    Parameters
    ----------
    seq_length : int in [3, 2**26], or in [5, 2**26] with pairs
        Tokens in the longest row, special tokens and padding included.
    bins : sequence of int, optional
        Lengths of rows, ascending, the last one `seq_length`; by default that alone. A row goes to
        the smallest bin that holds it.
    pairs : "none", "sop" or "nsp"
        One text in a row; two consecutive segments, half of them swapped [1]_; or two segments, the
        second one half the time from another document [2]_.
    short_seq_prob : float in [0, 1]
        Share of rows with a drawn, shorter target length; 0.1 in [1]_ and [2]_.
    pack : bool
        Fill rows with several texts; `pairs` must be "none".
    dupe_factor : int in [1, 2**31)
        How often to make rows of the text, each time with other draws.
    seed : int in [0, 2**63)
        Of all draws.

    Raises
    ------
    TypeError, ValueError
        For a value out of its range.

    References
    ----------
    .. [1] Lan et al., "ALBERT", ICLR 2020, sections 3.1 and 4.1.
    .. [2] Devlin et al., "BERT", NAACL 2019, section 3.1 and appendix A; create_pretraining_data.py
       of google-research/bert.

    Examples
    --------
    >>> recipe = RowRecipe(seq_length=128, pairs="sop", short_seq_prob=0.1)
    >>> recipe.bins, recipe.capacity
    ((128,), 125)

    """

    seq_length: int
    bins: tuple[int, ...] | None = None
    pairs: str = "none"
    short_seq_prob: float = 0.0
    pack: bool = False
    dupe_factor: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the fields, and make them plain."""
        if self.pairs not in PAIRS:
            raise value_error(
                "pairs", '"none", "sop" or "nsp"', repr(self.pairs), "pass one of the three"
            )
        if not isinstance(self.pack, bool):
            raise type_error("pack", "True or False", repr(self.pack), "pass a bool")
        if self.pack and self.pairs != "none":
            raise value_error(
                "pack",
                f'False with pairs "{self.pairs}"',
                True,
                'a packed row has no segments A and B; pass pairs "none", or leave pack out',
            )
        seq_length = _checks.integer(self._length_range("seq_length"), self.seq_length)
        plain = {
            "seq_length": seq_length,
            "bins": (seq_length,) if self.bins is None else self._checked_bins(seq_length),
            "short_seq_prob": _probability(self.short_seq_prob),
            "dupe_factor": _checks.integer(_DUPE_FACTOR, self.dupe_factor),
            "seed": _checks.integer(_checks.SEED, self.seed),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def _length_range(self, argument: str) -> _checks.IntegerRange:
        shortest = self.num_special_tokens + (1 if self.pairs == "none" else 2)
        return _checks.IntegerRange(
            argument,
            shortest,
            _checks.MAX_ROW_LENGTH + 1,
            f"in [{shortest}, {_checks.MAX_ROW_LENGTH}]",
            f'a row of pairs "{self.pairs}" has {self.num_special_tokens} special tokens',
        )

    def _checked_bins(self, seq_length: int) -> tuple[int, ...]:
        limits = self._length_range("bins")
        bins = tuple(_checks.integer(limits, length) for length in self.bins or ())
        if not bins or list(bins) != sorted(set(bins)):
            raise value_error("bins", "ascending lengths", bins, "pass for example (64, 128)")
        if bins[-1] != seq_length:
            raise value_error(
                "seq_length", f"the largest bin, {bins[-1]}", seq_length, "rows are filled up to it"
            )
        return bins

    @property
    def num_special_tokens(self) -> int:
        """Special tokens of a row, or of each text in a packed row."""
        return _SINGLE_SPECIAL_TOKENS if self.pairs == "none" else _PAIR_SPECIAL_TOKENS

    @property
    def capacity(self) -> int:
        """Tokens of text in the longest row."""
        return self.seq_length - self.num_special_tokens

    @property
    def short_threshold(self) -> int:
        """`short_seq_prob` in units of 2**-32, from its shortest decimal text, rounded half up."""
        scaled = Decimal(repr(self.short_seq_prob)) * 2**32
        return int(scaled.to_integral_value(ROUND_HALF_UP))


def _probability(given: object) -> float:
    remedy = "it is 0.1 in BERT and ALBERT; 0 draws no shorter rows"
    if isinstance(given, bool) or not isinstance(given, Real):
        raise type_error("short_seq_prob", "a number in [0, 1]", repr(given)[:80], remedy)
    probability = float(given)
    if not 0 <= probability <= 1:
        raise value_error("short_seq_prob", "in [0, 1]", given, remedy)
    return probability
