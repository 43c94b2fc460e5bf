# SPDX-License-Identifier: Apache-2.0
"""What the report of a build knows and its rows of schema "bert" do not: words, and ids of rows.

Owns when the figures that the build counted are kept. Knows nothing of how any is counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["keep_masks_of_build"]

# Those that words, or the sample by row ids, decide; all others can be counted again.
_OF_MASKS = {"masks", "sample_rows"}
_OF_MASKS_IN_BINS = {"masks_by_place", "sampled_rows", "fewest_masked", "most_masked"}


def keep_masks_of_build(counted: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the report that is there, where it is one of the same rows; else the one `counted`.

    Parameters
    ----------
    counted : the content of a report.json
        As counted from the rows.
    path : Path
        Of the report.json that may be there.

    """
    try:
        found = json.loads(path.read_bytes())
        is_same = _without_masks(found) == _without_masks(counted)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return counted  # no report, or no whole one
    return found if is_same else counted


def _without_masks(report: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in report.items() if name not in _OF_MASKS}
    fields["bins"] = [
        {name: value for name, value in of_bin.items() if name not in _OF_MASKS_IN_BINS}
        for of_bin in report["bins"]
    ]
    return fields
