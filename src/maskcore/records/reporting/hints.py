# SPDX-License-Identifier: Apache-2.0
"""What somebody should know of records before training on them, and which option helps.

Owns the limits above which the summary of a build and the report say so. Knows nothing of how it is
shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maskcore._numbers import count_of, percent

__all__ = ["hints"]

# Above these a corpus and its tokenizer do not fit well, or computing time goes to nothing.
HIGH_UNKNOWN_SHARE = 0.01
HIGH_PADDING_SHARE = 0.25
# Labels of fair coins leave the middle by this in one of 16,000 builds: four standard deviations.
LEANING_DEVIATIONS = 4.0
LEANING_SHARE = 0.02


def hints(counts: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line, without a full stop, for each thing that is so.

    Parameters
    ----------
    counts : mapping
        Of the manifest.
    options : mapping
        `bins`, `pairs`, `pack`, `schema` and `dupe_factor` of the manifest.

    """
    yield from _unknown(counts, options)
    yield from _padding(counts, options)
    yield from _labels(counts)


def _unknown(counts: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    tokens = counts["tokens_read"] // options["dupe_factor"]
    if counts["unknown_tokens"] > HIGH_UNKNOWN_SHARE * tokens:
        yield (
            f"{percent(counts['unknown_tokens'], tokens)} of the tokens are unknown to the tokenizer: "
            "train one on such text (maskcore train-tokenizer; its kind byte-bpe knows every text), "
            "or check language and encoding"
        )


def _padding(counts: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    places = sum(int(length) * rows for length, rows in counts["rows_per_bin"].items())
    if counts["padding_tokens"] <= HIGH_PADDING_SHARE * places:
        return
    ways = ["--bins of several lengths" if len(options["bins"]) == 1 else "smaller --bins"]
    if not options["pack"] and options["pairs"] == "none" and options["schema"] != "bert":
        ways.append("--pack")
    yield (
        f"{percent(counts['padding_tokens'], places)} of the places are padding: less with "
        f"{' or '.join(ways)}"
    )


def _labels(counts: Mapping[str, Any]) -> Iterator[str]:
    ones, rows = counts.get("labels", {}).get("1", 0), sum(counts.get("labels", {}).values())
    lean = abs(ones - rows / 2)
    if lean <= max(LEANING_SHARE * rows, LEANING_DEVIATIONS * rows**0.5 / 2):
        return
    forced, alone = counts["pairs_with_forced_partner"], counts["pairs_without_partner"]
    if 2 * ones > rows and forced:
        why = (
            f"{count_of(forced, 'row')} had one sentence only, and took another document's: shorter "
            "sentences (--split-sentences) or a longer --seq-length make fewer"
        )
    elif 2 * ones < rows and alone:
        why = (
            f"{count_of(alone, 'row')} found no other document in their part of the corpus: more "
            "documents or fewer --num-shards help"
        )
    else:
        return
    yield f"{percent(ones, rows)} of the labels are 1, as {why}"
