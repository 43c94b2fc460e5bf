# SPDX-License-Identifier: Apache-2.0
"""A row as text: which pieces are masked together, which are special, where documents change.

Owns how a row is divided for `maskcore show` and the report, which colour the same parts. Knows
nothing of terminals or pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import NamedTuple, Protocol

from maskcore.records.reporting.statistics import SampleRow
from maskcore.records.tokenising.tokenise import SpecialToken
from maskcore.records.tokenising.words import WordRule

__all__ = ["RowPart", "row_parts"]


class RowPart(NamedTuple):
    """Adjacent tokens of one kind."""

    text: str
    """With the space that stands before it."""
    span: int
    """The number of their masked span; 0 where they are not masked."""
    is_special: bool
    """Whether it is one [CLS] or [SEP]."""


class _Tokeniser(Protocol):
    @property
    def special(self) -> Mapping[str, SpecialToken]: ...
    @property
    def rule(self) -> WordRule: ...


def row_parts(row: SampleRow, tokeniser: _Tokeniser) -> Iterator[RowPart]:
    """Yield the parts of a row in order; together they hold all of its text.

    Parameters
    ----------
    row : SampleRow
    tokeniser : with `special` and `rule`
        The one that the records were made with.

    """
    added = {tokeniser.special[role].id for role in ("cls", "sep")}
    kinds = zip(row.spans, (token in added for token in row.input_ids), strict=True)
    place = 0
    for (span, is_special), group in groupby(kinds):
        stop = place + sum(1 for _ in group)
        ids = row.input_ids[place:stop]
        if is_special:
            for token in ids:
                yield RowPart(" " + _name_of(token, tokeniser), 0, True)
        else:
            yield RowPart(tokeniser.rule.text(ids), span, False)
        place = stop


def _name_of(token: int, tokeniser: _Tokeniser) -> str:
    return next(special.token for special in tokeniser.special.values() if special.id == token)
