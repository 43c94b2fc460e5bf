# SPDX-License-Identifier: Apache-2.0
"""What every bench shares: one thread, the rows, and the machine and versions in the JSON.

Knows nothing of single maskers.
"""

from __future__ import annotations

from bench import libraries

libraries.set_one_thread()  # before numpy, torch and TensorFlow are imported

import os  # noqa: E402  # as the next ones: after the environment is set
import platform  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import maskcore  # noqa: E402
from bench import backends, workload  # noqa: E402

# pytest imports every module for its doctests: this one needs TensorFlow, and takes seconds.
collect_ignore = ["peers/while_loop.py"]

_LOAD_AT_START = os.getloadavg()[0]


def pytest_configure(config: Any) -> None:
    """Let peers warn: what they deprecate is no fault of ours."""
    config.addinivalue_line("filterwarnings", "default")


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Add what a figure depends on: backends, SIMD level, versions, other load."""
    machine_info["maskcore"] = {
        "version": maskcore.__version__,
        "algorithm_version": maskcore.ALGORITHM_VERSION,
        "simd_levels": list(backends.simd_levels()),
        "backends": {
            status.name: "available" if status.is_available else status.reason
            for status in maskcore.available_backends()
        },
    }
    machine_info["packages"] = {name: libraries.version(name) for name in libraries.DISTRIBUTIONS}
    machine_info["num_cpus"] = len(os.sched_getaffinity(0))
    machine_info["load_average_at_start"] = _LOAD_AT_START
    machine_info["libc"] = " ".join(platform.libc_ver())


@pytest.fixture(scope="session")
def maskable() -> NDArray[np.uint8]:
    """Return the rows of the headline figure: (4096, 128) uint8."""
    return workload.maskable_rows()
