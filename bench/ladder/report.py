# SPDX-License-Identifier: Apache-2.0
"""The figures of the ladder as tables, and in which words.

Knows nothing of how figures come about.
"""

from __future__ import annotations

import platform

from bench import libraries, tables, workload
from bench.ladder.pipelines import BATCH_SIZE, MASKERS, RUNGS, WHILE_LOOP
from bench.ladder.timing import STEP_SECONDS, Figures
from bench.machine import processor

TITLES = {
    WHILE_LOOP: "`tf.while_loop`",
    "numpy_function": "`numpy_function`",
    "xla": "XLA",
    "custom_op": "custom op",
}


def machine() -> str:
    """Return what figures depend on, of this process."""
    versions = [f"{name} {libraries.version(name)}" for name in ("tensorflow", "numpy")]
    python = f"Python {platform.python_version()}"
    return ", ".join([processor(), python, *versions])


def conditions(figures: Figures) -> str:
    """Return one line: the machine, what was read, how often, and what else the machine did."""
    rounds = {masker: len(found[0]) for masker, found in figures.rows_per_second.items()}
    loads = ", ".join(f"{load:.1f}" for load in figures.loads)
    is_busy = max(figures.loads) > tables.BUSY_LOAD
    return (
        f"{figures.machine}; rows of {workload.ROW_LENGTH}, batches of {BATCH_SIZE}, files in the page cache; "
        f"medians of {rounds[MASKERS[-1]]} rounds, {rounds[WHILE_LOOP]} of {TITLES[WHILE_LOOP]}; "
        f"load average at the start {loads}{': other work had run, and rates are too low' if is_busy else ''}."
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

    >>> short(704.2), short(15_262), short(1e6)
    ('700', '15k', '1M')
    """
    rounded = float(f"{rate:.2g}")
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if rounded >= unit:
            return f"{rounded / unit:g}{letter}"
    return f"{rounded:g}"
