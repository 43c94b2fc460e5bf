# SPDX-License-Identifier: Apache-2.0
"""report.html: the figures of report.json as one page that needs nothing else.

Owns the words around the figures; report.html.jinja beside this file owns the page. Everything that
comes from a corpus is escaped. Knows nothing of where the figures come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maskcore._numbers import percent, plural, short_count, size
from maskcore.records._errors import require
from maskcore.records.reporting.hints import hints

__all__ = ["render_page"]

TEMPLATE = Path(__file__).with_name("report.html.jinja")
# More than this does not help a reader; report.json names all.
NUM_SHOWN_INPUTS = 20
FAR_FROM_RATIO = 0.1

ALWAYS_SHOWN = {"documents", "sentences", "tokens_read", "tokens_written", "unknown_tokens"}
SHOWN_ELSEWHERE = {"rows_per_bin", "labels"}
COUNT_NAMES = {
    "documents": "documents",
    "documents_cut": "documents cut into parts, being long",
    "documents_empty": "documents without text",
    "documents_skipped": "documents skipped, their text being bad",
    "documents_without_tokens": "documents without a token",
    "bytes_skipped": "bytes skipped, being bad text",
    "characters_replaced": "characters in place of bad text",
    "lines_cut": "lines cut, being long",
    "sentences": "sentences",
    "sentences_without_tokens": "sentences without a token",
    "sentences_cut": "sentences that did not fit, cut at a word",
    "words_cut": "words longer than a row, cut",
    "tokens_read": "tokens read",
    "tokens_written": "tokens written",
    "tokens_truncated": "tokens truncated",
    "tokens_skipped": "tokens skipped",
    "tokens_borrowed": "tokens borrowed as second segments",
    "unknown_tokens": "unknown tokens",
    "special_tokens_in_text": "special tokens in the text, never masked",
    "special_tokens_added": "special tokens added",
    "padding_tokens": "padding",
    "rows": "rows",
    "rows_with_short_target": "rows that aim at a shorter length",
    "pairs_without_partner": "pairs that follow on, for want of another document",
    "pairs_with_forced_partner": "pairs with another document, for want of a second sentence",
    "masked_tokens": "masked tokens of the stored epochs",
}


def render_page(fields: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    fields : the content of report.json

    Raises
    ------
    ImportError
        If jinja2 is missing.

    """
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        comma=lambda number: f"{number:,}",
        percent=lambda share, digits=1: percent(share, 1, digits),
        plural=plural,
        short=short_count,
        size=size,
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page: str = template.render(
        report=fields,
        counts=list(_flat_counts(fields["counts"])),
        notes=list(_notes(fields)),
        shown_inputs=fields["inputs"][:NUM_SHOWN_INPUTS],
    )
    return page


def _flat_counts(counts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the manifest's counts as names and numbers; what did not happen is left out."""
    for name, value in counts.items():
        if name in SHOWN_ELSEWHERE or (not value and name not in ALWAYS_SHOWN):
            continue
        words = COUNT_NAMES.get(name, name.replace("_", " "))
        if isinstance(value, Mapping):
            for inner, number in _flat_counts(value):
                yield f"{words}: {inner}", number
        elif isinstance(value, list):
            if value:
                yield words, ", ".join(f"{number:,}" for number in value)
        elif isinstance(value, int):
            yield words, f"{value:,}"
        else:
            yield words, str(value)


def _notes(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader should know before training."""
    counts, masks = fields["counts"], fields["masks"]
    for hint in hints(counts, fields["options"]):
        yield f"{hint}."
    ratio = fields["options"]["mask"]["masking_ratio"]
    if abs(masks["rate"] - ratio) > FAR_FROM_RATIO * ratio:
        yield (
            f"{percent(masks['rate'], 1)} of the tokens are masked, {percent(ratio, 1)} were asked "
            "for; short rows and long words round to whole units."
        )
    for name, words in (
        ("documents_without_tokens", "gave no token"),
        ("sentences_without_tokens", "gave no token"),
        ("words_cut", "had to be cut to fit a row"),
    ):
        if counts.get(name):
            noun = name.partition("_")[0]
            yield f"{counts[name]:,} {plural(noun.removesuffix('s'), counts[name])} {words}."
