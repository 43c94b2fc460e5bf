# SPDX-License-Identifier: Apache-2.0
"""The progress display: plain lines on a pipe, bars on a terminal, and nothing left behind."""

import os
import re
import subprocess
import sys

import pytest

from maskcore._cli.progress import ProgressDisplay
from maskcore.records import Progress

STEPS = {"reading": 1.0, "tokenising": 6.0, "rows": 2.0, "writing": 1.0}


def build_progress(share, units=0):
    """Report `share` tenths of a build."""
    return Progress(
        stage="build",
        bytes_done=share * 1_000_000,
        bytes_total=10_000_000,
        documents=share * 1000,
        tokens=share * 240_000,
        rows=share * 2000,
        units_done=units,
        units_total=8,
        seconds=STEPS,
    )


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_pipe_gets_a_line_for_each_stage_and_every_few_seconds(clock, capsys):
    with ProgressDisplay(clock) as display:
        display.update(Progress("read", 0, 10, 0, 0, 0, 0, 1, {}))
        clock.now += 2
        display.update(Progress("read", 10, 10, 5, 0, 0, 1, 1, {}))
        display.update(build_progress(0))
        for _ in range(8):
            clock.now += 1
            display.update(build_progress(4, units=3))
    assert capsys.readouterr().err.splitlines() == [
        "reading ...",
        "making rows ...",
        "making rows: 40%, 4,000 documents, 192k tokens/s, 800.0 kB/s, 3 of 8 parts, about 7.5 s left",
    ]
    assert display.stage_seconds() == {"read": 2.0, "build": 8.0}
    assert display.steps() == {"reading": 0.1, "tokenising": 0.6, "rows": 0.2, "writing": 0.1}


def test_rates_leave_out_what_an_earlier_run_did(clock, capsys):
    """A build that goes on at 80 % is not four times as fast as it is."""
    with ProgressDisplay(clock) as display:
        display.update(build_progress(8, units=6))
        clock.now += 10
        display.update(build_progress(9, units=7))
    line = capsys.readouterr().err.splitlines()[-1]
    assert "24.0k tokens/s, 100.0 kB/s, 7 of 8 parts, about 10.0 s left" in line


def test_an_unknown_rate_is_not_shown(clock, capsys):
    with ProgressDisplay(clock) as display:
        display.update(build_progress(0))
        clock.now += 6
        display.update(build_progress(0))
    assert capsys.readouterr().err.splitlines()[-1] == "making rows: 0%, 0 of 8 parts"


SCRIPT = """
import sys, time
sys.path.insert(0, {here!r})
from test_cli_progress import build_progress
from maskcore._cli.progress import ProgressDisplay
from maskcore.records import Progress
with ProgressDisplay() as display:
    display.update(Progress("read", 5, 10, 7, 0, 0, 0, 1, {{}}))
    for share in range(0, 10, 3):
        display.update(build_progress(share, units=share // 2))
        time.sleep(0.3)
print("done", file=sys.stderr)
"""


def run_on_terminal(script, **environment):
    """Run Python with standard error on a pseudo-terminal of 100 columns; return what it shows."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are a matter of POSIX")
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=terminal,
        env={
            **os.environ,
            "COLUMNS": "100",
            "LINES": "30",
            "TERM": "xterm-256color",
            **environment,
        },
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:
        pass  # Linux: the other end is closed
    finally:
        os.close(main)
    assert process.wait() == 0
    return shown.decode()


def test_a_terminal_gets_bars_that_vanish():
    shown = run_on_terminal(SCRIPT.format(here=os.path.dirname(__file__)))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"reading +━{24} +100% \d+\.\d s", plain)
    assert re.search(r"making rows +[━╸╺]+ +90%", plain)
    assert re.search(r"  9,000 documents · .* tokens/s · .* MB/s · 4 of 8 parts", plain)
    assert "reading 10% · tokenising 60% · rows 20% · writing 10%" in plain
    # The cursor goes up over the four lines, erasing each, and comes back into view.
    assert shown.endswith("\x1b[1A\x1b[2K" * 4 + "done\r\n")
    assert "\x1b[?25h" in shown


def test_a_dumb_terminal_gets_lines():
    shown = run_on_terminal(SCRIPT.format(here=os.path.dirname(__file__)), TERM="dumb")
    assert shown.splitlines() == ["reading ...", "making rows ...", "done"]


def test_colour_forced_on_a_pipe_draws_no_bars():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(here=os.path.dirname(__file__))],
        env={**os.environ, "FORCE_COLOR": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines() == ["reading ...", "making rows ...", "done"]
