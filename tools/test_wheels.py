# SPDX-License-Identifier: Apache-2.0
"""Try the wheels of a folder: `python test_wheels.py WHEELHOUSE PYTHON...`.

Reads the compiled files of every wheel, then installs the one for this machine into a fresh
environment of every interpreter given, and the pure one, with Numba, into one of the first. An
interpreter that is missing is named; that none is there is an error.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wheel_contents import SharedLibrary, shared_libraries_in, tag_of

CHECK = Path(__file__).with_name("check_installed.py")
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
OLDEST_GLIBC = (2, 17)  # manylinux2014
# Part of every Linux with glibc. A C++ runtime is linked in, where one is needed.
SYSTEM_LIBRARIES = ("ld-linux", "libc.so", "libdl.so", "libm.so", "libpthread.so")


def wrong_with_library(library: SharedLibrary, machine: str) -> list[str]:
    """Return what keeps a compiled file from running on any manylinux2014 system."""
    wrong = []
    if library.machine != MACHINES[machine]:
        wrong.append(f"is for {library.machine}")
    if library.newest_glibc > OLDEST_GLIBC:
        wrong.append(f"uses glibc {library.newest_glibc}")
    others = [name for name in library.needed if not name.startswith(SYSTEM_LIBRARIES)]
    if others:
        wrong.append(f"needs {', '.join(others)}")
    return wrong


def check_libraries(wheelhouse: Path) -> int:
    """Print what every compiled file is like; return how many have something wrong."""
    num_wrong = 0
    for machine in MACHINES:
        (wheel,) = wheelhouse.glob(f"*manylinux2014_{machine}*.whl")
        for name, library in shared_libraries_in(wheel).items():
            wrong = wrong_with_library(library, machine)
            num_wrong += bool(wrong)
            newest = ".".join(map(str, library.newest_glibc))
            exported = ", ".join(sorted(library.exported))
            print(f"{machine} {name}: glibc {newest}; exports {exported}")
            for mistake in wrong:
                print(f"  WRONG: it {mistake}")
    return num_wrong


def check_in_fresh_environment(python: str, requirement: str, backend: str) -> int:
    """Install into a new environment, and run check_installed.py there; return 1 if it fails."""
    print(f"== {requirement} in {python}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        fresh = f"{folder}/bin/python"
        subprocess.run([fresh, "-m", "pip", "install", "--quiet", requirement], check=True)
        return subprocess.run([fresh, "-I", CHECK, backend], check=False, cwd=folder).returncode


def is_there(python: str) -> bool:
    """Whether a command runs; that of a version manager may be there for a version that is not chosen."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def main(wheelhouse: Path, pythons: list[str]) -> int:
    """Return how many checks failed."""
    present = [python for python in pythons if is_there(python)]
    for python in pythons:
        if python not in present:
            print(f"MISSING: there is no {python}; the wheel is not tried with it")
    if not present:
        print("WRONG: none of the interpreters is there; name some: WHEEL_PYTHONS='python3 ...'")
        return 1
    num_failed = check_libraries(wheelhouse)
    (wheel,) = (w for w in wheelhouse.glob("*.whl") if platform.machine() in tag_of(w))
    (pure,) = wheelhouse.glob("*-none-any.whl")
    for python in present:
        num_failed += check_in_fresh_environment(python, str(wheel.resolve()), "native")
    with_numba = f"maskcore[numba] @ {pure.resolve().as_uri()}"
    num_failed += check_in_fresh_environment(present[0], with_numba, "numba")
    print(f"{num_failed} failed")
    return num_failed


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]), sys.argv[2:]), 1))
