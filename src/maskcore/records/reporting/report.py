# SPDX-License-Identifier: Apache-2.0
"""report.json: the figures of a folder of records, from its manifest and the statistics of its rows.

Owns which figures there are and what they are called; docs/records.md lists them. Nothing in them
depends on the time, the machine or the place, so that the same build gives the same bytes. Knows
nothing of how they look: report_page.py does.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from maskcore.config import MaskConfig
from maskcore.records._errors import RecordsError
from maskcore.records.encoding.schema import row_format
from maskcore.records.engine.folder import write_file
from maskcore.records.manifest import Manifest
from maskcore.records.reader import Records, open_records
from maskcore.records.reporting.build_report import keep_masks_of_build
from maskcore.records.reporting.manifest_facts import manifest_facts
from maskcore.records.reporting.mask_statistics import MaskCounts, expected_shares
from maskcore.records.reporting.masked_rows import unmasked_rows
from maskcore.records.reporting.report_page import render_page
from maskcore.records.reporting.row_text import row_parts
from maskcore.records.reporting.statistics import SAMPLE_EPOCH, BinStatistics, SampleRow, Statistics
from maskcore.records.tokenising.tokenise import Tokeniser, load_tokeniser

__all__ = [
    "LABEL_MEANINGS",
    "REPORT_FILE",
    "REPORT_PAGE",
    "make_report",
    "report_fields",
    "write_report",
]

REPORT_FILE = "report.json"
REPORT_PAGE = "report.html"
NUM_TOP_TOKENS = 30
# Of all bins together; each shows two at least.
NUM_SHOWN_ROWS = 8
BATCH_ROWS = 1024
DIGITS = 6
BARE_SPACE = "␣"
# Rows of schema "bert" do not say which tokens are words.
MASKED_UNIT = "token"
LABEL_MEANINGS = {
    "sop": ("segments in their order", "segments swapped"),
    "nsp": ("the text that follows", "text of another document"),
}
"""`pairs` -> what the labels 0 and 1 say."""


def _share(part: float, whole: float) -> float:
    return round(part / whole, DIGITS) if whole else 0.0


def report_fields(
    manifest: Manifest, tokeniser: Tokeniser, statistics: Statistics, span_unit: str | None = None
) -> dict[str, Any]:
    """Return the content of report.json.

    Parameters
    ----------
    manifest : Manifest
    tokeniser : the tokenizer beside the records
    statistics : Statistics
        Of all rows.
    span_unit : "word" or "token", optional
        What spans were counted in, where it is not the unit in which they were drawn.

    """
    bins = [counts for _, counts in sorted(statistics.bins.items())]
    masks = {counts.seq_length: counts.sample.counts() for counts in bins}
    facts = manifest_facts(manifest)
    padding = sum(counts.padding for counts in bins)
    places = sum(counts.rows * counts.seq_length for counts in bins)
    return {
        **facts,
        "records": {
            "rows": facts["records"]["rows"],
            "tokens": sum(counts.tokens for counts in bins),
            "padding": padding,
            "padding_share": _share(padding, places),
            "unknown_tokens": sum(counts.unknown_tokens for counts in bins),
            "shards": facts["records"]["shards"],
            "bytes": facts["records"]["bytes"],
        },
        "bins": [
            _bin(counts, masks[counts.seq_length], _max_predictions(manifest, counts.seq_length))
            for counts in bins
        ],
        "labels": _labels(manifest, bins),
        "masks": _masks(manifest.mask, bins, masks, tokeniser, span_unit),
        "sentences_by_tokens": _doublings(manifest.counts["sentences_by_tokens"]),
        "documents_by_tokens": _doublings(manifest.counts["documents_by_tokens"]),
        "sample_rows": [
            _sample_row(row, tokeniser)
            for counts in bins
            for row in counts.sample_rows[: max(2, NUM_SHOWN_ROWS // len(bins))]
        ],
    }


def _cells(seq_length: int, num_cells: int) -> list[tuple[int, int]]:
    """Return the first and the last place of each cell: `place * num_cells // seq_length`."""
    starts = [-(-cell * seq_length // num_cells) for cell in range(num_cells + 1)]
    return [(start, stop - 1) for start, stop in pairwise(starts)]


def _max_predictions(manifest: Manifest, seq_length: int) -> int:
    entry = manifest.tokenizer
    return row_format(manifest, seq_length, entry.vocab_size, entry.special_tokens).max_predictions


def _bin(counts: BinStatistics, masks: MaskCounts, max_predictions: int) -> dict[str, Any]:
    length = counts.seq_length
    lengths = _cells(length, len(counts.lengths))
    places = _cells(length, len(masks.masked))
    return {
        "seq_length": length,
        "rows": counts.rows,
        "tokens": counts.tokens,
        "padding": counts.padding,
        "padding_share": _share(counts.padding, counts.rows * length),
        "unknown_tokens": counts.unknown_tokens,
        "documents_in_a_row": _share(counts.segments, counts.rows) if counts.segments else None,
        "rows_by_length": [
            {"first": first + 1, "last": last + 1, "rows": rows}
            for (first, last), rows in zip(lengths, counts.lengths.tolist(), strict=True)
        ],
        "masks_by_place": [
            {
                "first": first,
                "last": last,
                "maskable": maskable,
                "masked": masked,
                "rate": _share(masked, maskable) if maskable else None,
            }
            for (first, last), maskable, masked in zip(
                places, masks.maskable.tolist(), masks.masked.tolist(), strict=True
            )
        ],
        "sampled_rows": masks.rows,
        "fewest_masked": min(masks.fewest, masks.most),
        "most_masked": masks.most,
        "max_predictions": max_predictions,
    }


def _labels(manifest: Manifest, bins: list[BinStatistics]) -> list[dict[str, Any]]:
    totals = [
        sum(values)
        for values in zip(*(c.labels.tolist() for c in bins if len(c.labels)), strict=True)
    ]
    return [
        {"label": label, "meaning": meaning, "rows": rows, "share": _share(rows, sum(totals))}
        for label, (meaning, rows) in enumerate(
            zip(LABEL_MEANINGS.get(manifest.pairs, ()), totals, strict=False)
        )
    ]


def _masks(
    mask: MaskConfig,
    bins: list[BinStatistics],
    masks: dict[int, MaskCounts],
    tokeniser: Tokeniser,
    span_unit: str | None,
) -> dict[str, Any]:
    # A sample stands for all rows of its bin.
    weights = {c.seq_length: c.rows / max(masks[c.seq_length].rows, 1) for c in bins}
    masked = sum(weights[n] * int(c.masked.sum()) for n, c in masks.items())
    maskable = sum(weights[n] * int(c.maskable.sum()) for n, c in masks.items())
    return {
        "epoch": SAMPLE_EPOCH,
        "sampled_rows": sum(counts.rows for counts in masks.values()),
        "rate": _share(masked, maskable),
        "masked_in_a_row": _share(masked, sum(counts.rows for counts in bins)),
        "span_unit": span_unit or mask.mask_unit,
        "spans": _spans(mask, weights, masks, is_expected=span_unit in {None, mask.mask_unit}),
        "top_tokens": _top_tokens(weights, masks, masked, tokeniser),
    }


def _spans(
    mask: MaskConfig, weights: dict[int, float], masks: dict[int, MaskCounts], is_expected: bool
) -> list[dict[str, Any]]:
    longest = max([mask.max_n, *(len(counts.span_lengths) - 1 for counts in masks.values())])
    realised, expected = np.zeros(longest + 1), np.zeros(longest + 1)
    for seq_length, counts in masks.items():
        realised[: len(counts.span_lengths)] += weights[seq_length] * counts.span_lengths
        num_spans = weights[seq_length] * int(counts.span_lengths.sum())
        expected[1 : mask.max_n + 1] += num_spans * np.array(expected_shares(mask, counts))
    return [
        {
            "units": units,
            "share": _share(realised[units].item(), realised.sum().item()),
            "expected": _share(expected[units].item(), expected.sum().item())
            if is_expected
            else None,
        }
        for units in range(1, longest + 1)
    ]


def _top_tokens(
    weights: dict[int, float],
    masks: dict[int, MaskCounts],
    masked: float,
    tokeniser: Tokeniser,
) -> list[dict[str, Any]]:
    totals = np.zeros(max((len(counts.tokens) for counts in masks.values()), default=0))
    for seq_length, counts in masks.items():
        totals[: len(counts.tokens)] += weights[seq_length] * counts.tokens
    best = np.argsort(-totals, kind="stable")[:NUM_TOP_TOKENS]
    return [
        {
            "id": token,
            "text": tokeniser.rule.text([token]).strip() or BARE_SPACE,
            "share": _share(totals[token].item(), masked),
        }
        for token in best.tolist()
        if totals[token]
    ]


def _doublings(counts: list[int]) -> list[dict[str, int]]:
    """Name the cells 0, 1, 2 to 3, 4 to 7, ...; empty ones at the ends are left out."""
    used = [cell for cell, count in enumerate(counts) if count]
    if not used:
        return []
    return [
        {"first": (1 << cell) >> 1, "last": (1 << cell) - 1, "count": counts[cell]}
        for cell in range(used[0], used[-1] + 1)
    ]


def _sample_row(row: SampleRow, tokeniser: Tokeniser) -> dict[str, Any]:
    return {
        "row_id": row.row_id,
        "seq_length": row.seq_length,
        "tokens": len(row.input_ids),
        "masked": sum(1 for span in row.spans if span),
        "label": row.label,
        "documents": max(row.segment_ids) if row.segment_ids else None,
        "parts": [
            {"text": part.text, "span": part.span, "special": part.is_special}
            for part in row_parts(row, tokeniser)
        ],
    }


def make_report(
    manifest: Manifest, tokeniser: Tokeniser, statistics: Statistics
) -> tuple[str, str]:
    """Return the contents of report.json and report.html; parameters are those of `report_fields`.

    Raises
    ------
    ImportError
        If jinja2, of the extra `build`, is missing.

    """
    return _files(report_fields(manifest, tokeniser, statistics))


def _files(fields: dict[str, Any]) -> tuple[str, str]:
    text = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
    return text, render_page(json.loads(text))


def _statistics_of(opened: Records, tokeniser: Tokeniser) -> Statistics:
    mask, special = opened.manifest.mask, tokeniser.special
    statistics = Statistics(special["unk"].id if "unk" in special else -1)
    for columns in opened.batches(BATCH_ROWS):
        if opened.manifest.schema == "bert":
            rows, spans = unmasked_rows(columns, special, opened.manifest.pairs != "none")
            statistics.add(rows, replace(mask, mask_unit=MASKED_UNIT), spans)
        else:
            statistics.add(columns, mask)
    return statistics


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Read all records of a folder and write its report.json and report.html anew.

    Parameters
    ----------
    folder : path
        A folder that `build` made.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RecordsError
        If the folder is no finished build, or a record is damaged.
    ImportError
        If a library of ``maskcore[build]`` is missing.

    Notes
    -----
    **Reproducibility.** The files depend on the records alone, and are those that the build wrote. Rows
    of schema "bert" hold neither words nor ids: the figures of their masks are kept from the
    report.json that is there, if it is of the same rows, and else counted in tokens.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence.")
    >>> _ = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=8)
    >>> maskcore.records.report(folder / "records").name
    'report.html'

    """
    opened = open_records(folder)
    entry = opened.manifest.tokenizer
    tokeniser = load_tokeniser(opened.folder / entry.file)
    if tokeniser.sha256 != entry.sha256:
        raise RecordsError(
            f"{opened.folder / entry.file}: not the tokenizer that the records were made with; "
            "copy the whole folder again"
        )
    is_bert = opened.manifest.schema == "bert"
    statistics, unit = _statistics_of(opened, tokeniser), MASKED_UNIT if is_bert else None
    fields = report_fields(opened.manifest, tokeniser, statistics, unit)
    if is_bert:
        fields = keep_masks_of_build(fields, opened.folder / REPORT_FILE)
    for name, content in zip((REPORT_FILE, REPORT_PAGE), _files(fields), strict=True):
        write_file(opened.folder / name, content)
    return opened.folder / REPORT_PAGE
