# SPDX-License-Identifier: Apache-2.0
"""Counts, sizes, shares and times as people read them.

Owns their wording, which the command line and the report share. Knows nothing of what they count.
"""

from __future__ import annotations

__all__ = ["count_of", "duration", "percent", "plural", "short_count", "size"]


def plural(noun: str, number: int) -> str:
    """Return the noun for a number of things.

    >>> plural("row", 1), plural("row", 0), plural("entry", 2)
    ('row', 'rows', 'entries')
    """
    if number == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count_of(1234, "document")
    '1,234 documents'
    """
    return f"{number:,} {plural(noun, number)}"


def short_count(number: float) -> str:
    """Return a number in three digits, for rates that change while one reads.

    >>> short_count(999), short_count(1234), short_count(12_345), short_count(2_345_678)
    ('999', '1.23k', '12.3k', '2.35M')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            value = number / limit
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
    return f"{number:.0f}"


def size(num_bytes: float) -> str:
    """Return a size in the unit that people read.

    >>> size(1_968_127), size(900), size(0), size(21_500_000_000)
    ('2.0 MB', '0.9 kB', '0.0 kB', '21.5 GB')
    """
    if num_bytes >= 1e12:
        return f"{num_bytes / 1e12:,.1f} TB"
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:,.1f} GB"
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """Return a time.

    >>> duration(0.04), duration(59.94), duration(75.2), duration(3725)
    ('0.0 s', '59.9 s', '1 min 15 s', '1 h 02 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def percent(part: float, whole: float, digits: int = 1) -> str:
    """Return a share; what is little does not look like nothing.

    >>> percent(1, 8), percent(0, 0), percent(1, 100_000), percent(99_999, 100_000)
    ('12.5%', '0%', '<0.1%', '>99.9%')
    """
    if not part:
        return "0%"
    share, least = 100 * part / whole, 10**-digits
    if share < least / 2:
        return f"<{least:g}%"
    if part < whole and share > 100 - least / 2:
        return f">{100 - least:g}%"
    return f"{share:.{digits}f}%"
