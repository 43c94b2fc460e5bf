# SPDX-License-Identifier: Apache-2.0
"""How far a build has come: the value that engine, display and users' functions share.

Owns the names of stages and steps. Knows nothing of how work is done or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["STAGES", "STEPS", "OnProgress", "Progress"]

STAGES = ("read", "train", "build", "verify")
"""In this order; "train" only without a tokenizer, "verify" only where it is asked for."""
STEPS = ("reading", "tokenising", "rows", "masks", "writing")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build has come.

    Counts belong to the stage, work of an earlier, interrupted run included; only `seconds` goes on
    from stage to stage and counts this run alone.
    """

    stage: str
    """"read" (the corpus into buckets), "train", "build" (buckets into shards) or "verify"."""
    bytes_done: int
    """Of the corpus's files in "read", of its text in "train" and "build", of shards in "verify"."""
    bytes_total: int
    documents: int
    tokens: int
    """Tokens of text, each duplicate counted."""
    rows: int
    units_done: int
    """Slices of the corpus in "read", shard groups in "build" and "verify"."""
    units_total: int
    seconds: Mapping[str, float]
    """Step (one of `STEPS`) -> seconds of all workers together."""


OnProgress = Callable[[Progress], None]
