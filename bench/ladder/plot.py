# SPDX-License-Identifier: Apache-2.0
"""The figures of the ladder as a picture.

Owns its look. Colours are of Okabe and Ito's palette, which can be told apart without seeing all colours; the bars
of a rung stand in the order of the legend, too.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

from bench.ladder.pipelines import MASKERS, RUNGS
from bench.ladder.report import TITLES, short
from bench.ladder.timing import STEP_SECONDS, Figures

matplotlib.use("Agg")

from matplotlib import pyplot  # after the backend is chosen, which opens no window
from matplotlib.axes import Axes  # as above
from matplotlib.ticker import FuncFormatter  # as above

COLOURS = dict(zip(MASKERS, ("#999999", "#E69F00", "#56B4E9", "#0072B2"), strict=True))
BAR = 0.2  # of the distance between two rungs
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "svg.hashsalt": "maskcore",  # the same bytes for the same figures
}


def draw(figures: Figures, path: Path) -> None:
    """Draw rows/s by every masker, and waiting by the custom op; the suffix says in which format."""
    with pyplot.rc_context(STYLE):
        picture, (rates, waiting) = pyplot.subplots(
            1, 2, figsize=(10, 7.6), width_ratios=(3, 1), sharey=True, layout="constrained"
        )
        _draw_rates(rates, figures)
        _draw_waiting(waiting, figures)
        picture.legend(loc="outside upper center", ncols=len(MASKERS), frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else {})
        pyplot.close(picture)


def _draw_rates(axes: Axes, figures: Figures) -> None:
    for place, masker in enumerate(MASKERS):
        offset = (place - (len(MASKERS) - 1) / 2) * BAR
        medians = {number: figures.median(masker, number) for number in range(len(RUNGS))}
        shown = {number: rate for number, rate in medians.items() if rate is not None}
        heights = [number + offset for number in shown]
        label = f"masks by {TITLES[masker].replace('`', '')}"
        axes.barh(heights, list(shown.values()), 0.9 * BAR, color=COLOURS[masker], label=label)
        for height, rate in zip(heights, shown.values(), strict=True):
            axes.annotate(
                short(rate),
                (rate, height),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: short(rate)))
    axes.set_xlim(left=100)
    axes.margins(x=0.12)
    axes.set_xlabel("rows/s, log scale")
    axes.set_yticks(range(len(RUNGS)), [rung.name.replace("`", "") for rung in RUNGS])
    axes.tick_params(left=False)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)


def _draw_waiting(axes: Axes, figures: Figures) -> None:
    for number in range(len(RUNGS)):
        share = figures.median_waiting(number)
        if share is None:
            continue
        axes.barh(number, 100 * share, 2 * BAR, color=COLOURS[MASKERS[-1]])
        axes.annotate(
            f"{100 * share:.0f} %",
            (100 * share, number),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(0, 100)
    axes.set_xlabel(
        f"% of time waiting for input\nbeside steps of {1000 * STEP_SECONDS:g} ms (custom op)"
    )
    axes.tick_params(left=False)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
