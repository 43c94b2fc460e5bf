# SPDX-License-Identifier: Apache-2.0
"""How far a command has come: bars on a terminal, a line every few seconds elsewhere.

Owns what is shown on standard error while records are made or checked. Knows nothing of how that is
done but the value `Progress`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from maskcore._cli.console import make_console
from maskcore._numbers import count_of, duration, percent, short_count, size
from maskcore.records import Progress
from maskcore.records._errors import require
from maskcore.records._progress import STEPS

__all__ = ["STAGE_NAMES", "ProgressDisplay"]

SECONDS_BETWEEN_LINES = 5.0
REFRESHES_PER_SECOND = 8
BAR_WIDTH = 24
LEAST_SHARE = 0.005
# A remaining time from less than this is a guess that frightens or pleases for nothing.
SECONDS_BEFORE_ESTIMATE = 2.0
STAGE_NAMES = {
    "read": "reading",
    "train": "learning the vocabulary",
    "build": "making rows",
    "verify": "checking",
}


class _Stage:
    """One stage as this run sees it: rates leave out what an earlier run has done."""

    def __init__(self, first: Progress, now: float) -> None:
        self.first = self.last = first
        self.started = now
        self.stopped: float | None = None

    def seconds(self, now: float) -> float:
        """Return how long it has taken."""
        return (now if self.stopped is None else self.stopped) - self.started

    def rate(self, name: str, now: float) -> float:
        """Return what was done in a second."""
        done = getattr(self.last, name) - getattr(self.first, name)
        return float(done / max(self.seconds(now), 1e-3))

    def remaining(self, now: float) -> float | None:
        """Return the seconds that are left at the rate so far; None where that is a guess."""
        rate = self.rate("bytes_done", now)
        if now - self.started < SECONDS_BEFORE_ESTIMATE or not rate:
            return None
        return (self.last.bytes_total - self.last.bytes_done) / rate

    def facts(self, now: float) -> list[str]:
        """Return what there is to say, the most important first."""
        last = self.last
        facts = []
        if last.documents:
            facts.append(count_of(last.documents, "document"))
        if last.stage == "verify" and last.rows:
            facts.append(count_of(last.rows, "row"))
        if last.tokens > self.first.tokens:
            facts.append(f"{short_count(self.rate('tokens', now))} tokens/s")
        if last.bytes_done > self.first.bytes_done:
            facts.append(f"{size(self.rate('bytes_done', now))}/s")
        if last.units_total > 1:
            facts.append(f"{last.units_done:,} of {count_of(last.units_total, 'part')}")
        return facts


def _line(stage: _Stage, now: float) -> str:
    shares = [percent(stage.last.bytes_done, stage.last.bytes_total, 0), *stage.facts(now)]
    remaining = stage.remaining(now)
    if remaining is not None:
        shares.append(f"about {duration(remaining)} left")
    return f"{STAGE_NAMES[stage.last.stage]}: {', '.join(shares)}"


class ProgressDisplay:
    """Shows each `Progress` it is given.

    Parameters
    ----------
    clock : function without arguments, optional
        Returns seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._last_line = clock()
        console = make_console(stderr=True)
        self._live: Any = None
        # FORCE_COLOR makes rich take a pipe for a terminal.
        if console.is_interactive and sys.stderr.isatty():
            self._live = require("rich.live").Live(
                self, console=console, transient=True, refresh_per_second=REFRESHES_PER_SECOND
            )

    def __enter__(self) -> ProgressDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop_stage(self._clock())
        if self._live is not None:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the command is."""
        now = self._clock()
        stage = self._stages.get(progress.stage)
        if stage is None:
            self._stop_stage(now)
            stage = self._stages[progress.stage] = _Stage(progress, now)
            self._print(f"{STAGE_NAMES[progress.stage]} ...", now)
        stage.last = progress
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print(_line(stage, now), now)

    def _print(self, line: str, now: float) -> None:
        self._last_line = now
        if self._live is None:
            # The build is worth more than its progress: it goes on when nobody reads that.
            with suppress(BrokenPipeError):
                print(line, file=sys.stderr, flush=True)

    def _stop_stage(self, now: float) -> None:
        for stage in self._stages.values():
            if stage.stopped is None:
                stage.stopped = now

    def stage_seconds(self) -> dict[str, float]:
        """Return the wall-clock seconds of each stage, in the order in which they began."""
        now = self._clock()
        return {name: stage.seconds(now) for name, stage in self._stages.items()}

    def tokens_done(self) -> int:
        """Return the tokens of the rows that this run made."""
        stage = self._stages.get("build")
        return stage.last.tokens - stage.first.tokens if stage else 0

    def steps(self) -> dict[str, float]:
        """Return the share of each step in the time of all workers, of those that took any."""
        if not self._stages:
            return {}
        seconds = next(reversed(self._stages.values())).last.seconds
        total = sum(seconds.values())
        return {name: seconds[name] / total for name in STEPS if seconds.get(name)}

    def __rich__(self) -> Any:
        """Return what the terminal shows now: a bar for each stage, and the facts of the last."""
        now = self._clock()
        stages = list(self._stages.values())  # another thread may add one
        table = require("rich.table").Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(width=BAR_WIDTH)
        table.add_column(justify="right", width=5)
        table.add_column(no_wrap=True)
        for stage in stages:
            table.add_row(*self._cells(stage, now, is_current=stage is stages[-1]))
        lines = [" · ".join(stages[-1].facts(now))] if stages else []
        steps = self.steps()
        if steps:
            shown = [f"{name} {share:.0%}" for name, share in steps.items() if share >= LEAST_SHARE]
            lines.append(" · ".join(shown))
        text = require("rich.text").Text
        facts = [
            text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in lines
        ]
        return require("rich.console").Group(table, *facts)

    def _cells(self, stage: _Stage, now: float, is_current: bool) -> tuple[Any, ...]:
        last, whole = stage.last, max(stage.last.bytes_total, 1)
        done = last.bytes_done if is_current else whole
        # The vocabulary is made after all text is read; how long that takes nobody knows.
        is_open_end = is_current and last.stage == "train" and done >= whole
        bar = require("rich.progress_bar").ProgressBar(
            total=None if is_open_end else whole, completed=done, animation_time=now
        )
        remaining = stage.remaining(now) if is_current and done < whole else None
        time_text = duration(stage.seconds(now))
        if remaining is not None:
            time_text = f"{duration(remaining)} left"
        share = "" if is_open_end else percent(done, whole, 0)
        return STAGE_NAMES[last.stage], bar, share, time_text
