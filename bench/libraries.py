# SPDX-License-Identifier: Apache-2.0
"""The libraries that are compared: their versions, and their import with one thread.

Owns how a library is set to one thread and how a missing one is told. Knows nothing of maskers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from types import ModuleType

import pytest

# Import name -> name on the package index. What is not installed is reported, never dropped.
DISTRIBUTIONS = {
    "numpy": "numpy",
    "numba": "numba",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "transformers": "transformers",
    "tensorflow_text": "tensorflow-text",
    "keras_hub": "keras-hub",
    "tokenizers": "tokenizers",
    "sentencepiece": "sentencepiece",
}

# Read when the libraries are imported, so conftest.py sets them first. NUMBA_NUM_THREADS is left
# alone: rows are shared among as many threads as a call asks for, and the bench asks for one.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "HF_HUB_OFFLINE": "1"}


def set_one_thread() -> None:
    """Set the environment that libraries read; must run before the first is imported."""
    os.environ.update(ONE_THREAD)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def version(module: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS[module])
    except importlib.metadata.PackageNotFoundError:
        return None


def load(module: str) -> ModuleType:
    """Import a library with one thread, or skip the bench with the way to install it."""
    if version(module) is None:
        pytest.skip(f"{module} is missing: pip install {DISTRIBUTIONS[module]}")
    loaded = importlib.import_module(module)
    if module == "torch":
        loaded.set_num_threads(1)
        assert loaded.get_num_threads() == 1
    return loaded
