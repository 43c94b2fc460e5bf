# SPDX-License-Identifier: Apache-2.0
"""The figures of the ladder as tables, and in which words.

Knows nothing of how figures come about.
"""

from __future__ import annotations

import os
import platform

from bench import libraries, machine, tables
from bench.ladder.pipelines import BATCH_SIZE, MASKERS, RUNGS, WHILE_LOOP
from bench.ladder.timing import LOOP_ROUNDS, STEP_SECONDS, Figures

TITLES = {
    WHILE_LOOP: "`tf.while_loop`",
    "numpy_function": "`numpy_function`",
    "xla": "XLA",
    "custom_op": "custom op",
}


def machine_line(rounds: int) -> str:
    """Return what the figures depend on."""
    versions = [f"{name} {libraries.version(name)}" for name in ("tensorflow", "numpy")]
    return (
        f"{machine.processor()}, Python {platform.python_version()}, {', '.join(versions)}; rows of 128, "
        f"batches of {BATCH_SIZE}, files in the page cache; medians of {rounds} rounds, "
        f"{LOOP_ROUNDS} of `tf.while_loop`; load average at the start {os.getloadavg()[0]:.2f}."
    )


def rates_table(figures: Figures) -> tables.Table:
    """Return rows a second of every rung by every masker."""
    rows = [
        (rung.name, *(_rate(figures.median(masker, number)) for masker in MASKERS))
        for number, rung in enumerate(RUNGS)
    ]
    header = ("rows/s, masks by", *(TITLES[masker] for masker in MASKERS))
    return tables.Table("Rows a second", header, rows)


def steps_table(figures: Figures) -> tables.Table:
    """Return what each rung adds, what that brings, and what it costs in memory; by the custom op."""
    rows = []
    for number, rung in enumerate(RUNGS):
        rate = figures.median(MASKERS[-1], number)
        before = figures.median(MASKERS[-1], number - 1) if number else None
        times = f"{tables.significant(rate / before)} times" if rate and before else ""
        waiting = figures.median_waiting(number)
        held = figures.bytes_per_row.get(number)
        rows.append(
            (
                rung.name,
                rung.adds,
                times,
                "" if waiting is None else f"{100 * waiting:.0f} %",
                "" if held is None else f"{held:,.0f}",
            )
        )
    header = (
        "technique",
        "what it adds",
        "rows/s over the line above",
        f"waiting beside steps of {1000 * STEP_SECONDS:g} ms",
        "bytes kept a row",
    )
    return tables.Table("Techniques, masks by the custom op", header, rows)


def _rate(rate: float | None) -> str:
    return "" if rate is None else tables.significant(rate)


def short(rate: float) -> str:
    """Return a rate in few characters.

    >>> short(704.2), short(15_262), short(312_120)
    ('700', '15k', '310k')
    """
    rounded = float(f"{rate:.2g}")
    return f"{rounded / 1000:g}k" if rounded >= 1000 else f"{rounded:g}"
