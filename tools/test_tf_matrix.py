# SPDX-License-Identifier: Apache-2.0
"""Run the op of a built wheel in several TensorFlows: `python test_tf_matrix.py FOLDER VERSION...`.

FOLDER holds one wheel. Each version gets a fresh environment of this interpreter, with the smaller
tensorflow-cpu where a release has one, and loses it again before the next: they are large. What is
checked is tests/tf_matrix_check.py's business.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

CHECK = Path(__file__).parents[1] / "tests" / "tf_matrix_check.py"


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
        return is_installed and subprocess.run([python, "-I", CHECK], check=False).returncode == 0


def main(folder: Path, versions: list[str]) -> int:
    """Print one line for each version; return 1 if one of them failed."""
    (wheel,) = folder.glob("*.whl")
    results = {version: check_with(version, wheel.resolve()) for version in versions}
    for version, is_right in results.items():
        print(f"TensorFlow {version}: {'passed' if is_right else 'FAILED'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
