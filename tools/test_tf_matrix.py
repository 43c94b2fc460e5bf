# SPDX-License-Identifier: Apache-2.0
"""Run a built wheel in several TensorFlows, with Keras 2 and 3: `python test_tf_matrix.py FOLDER VERSION...`.

FOLDER holds one wheel. Each version gets a fresh environment of this interpreter, with the smaller
tensorflow-cpu where a release has one, and loses it again before the next: they are large. What is
checked is the business of tests/tf_matrix_*.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
OPS = TESTS / "tf_matrix_check.py"
TRAINING = TESTS / "tf_matrix_training.py"
FIRST_WITH_KERAS_3 = (2, 16)


def install(python: str, *requirements: str) -> bool:
    """Return whether pip could install them."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*command, *requirements], check=False).returncode == 0


def check_with(version: str, wheel: Path) -> bool:
    """Return whether the wheel's op works in this version of TensorFlow."""
    print(f"== TensorFlow {version}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        # Together with the wheel, so that one numpy serves both.
        is_installed = any(
            install(python, f"{name}=={version}", str(wheel))
            for name in ("tensorflow-cpu", "tensorflow")
        )
        if not is_installed:
            return False
        runs = [passes(python, OPS), passes(python, TRAINING)]
        major, minor = map(int, version.split(".")[:2])
        if (major, minor) >= FIRST_WITH_KERAS_3:
            legacy = install(python, f"tf-keras~={major}.{minor}.0")
            runs.append(legacy and passes(python, TRAINING, TF_USE_LEGACY_KERAS="1"))
        return all(runs)


def passes(python: str, script: Path, **environment: str) -> bool:
    """Return whether a script finds nothing wrong."""
    # As -I, which would leave out the variables, too.
    command = [python, "-s", "-P", script]
    done = subprocess.run(command, env=os.environ | environment, check=False)
    return done.returncode == 0


def main(folder: Path, versions: list[str]) -> int:
    """Print one line for each version; return 1 if one of them failed."""
    (wheel,) = folder.glob("*.whl")
    results = {version: check_with(version, wheel.resolve()) for version in versions}
    for version, is_right in results.items():
        print(f"TensorFlow {version}: {'passed' if is_right else 'FAILED'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
