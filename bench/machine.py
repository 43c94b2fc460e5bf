# SPDX-License-Identifier: Apache-2.0
"""What a figure depends on besides the code: the processor and how many of its cores there are.

Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """Return the processor's name and the cores that this process may use."""
    return f"{_name()} ({len(os.sched_getaffinity(0))} CPUs)"


def _name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()
