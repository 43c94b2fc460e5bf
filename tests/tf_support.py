# SPDX-License-Identifier: Apache-2.0
"""What the TensorFlow tests share: rows, the reference's answers, fresh processes.

Owns no expected values: they come from the reference backend, which tests/kat and the statistics hold to account.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskcore

ROOT = Path(__file__).resolve().parent.parent
IMPLEMENTATIONS = ("custom_op", "numpy_function")
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
)  # fmt: skip

SHAPES = (
    (0,), (1,), (2,),  # nothing, and rows with one choice
    (63,), (64,), (65,),  # around a word of bits
    (0, 5), (3, 0), (0, 0),  # batches without rows, without tokens
    (1, 1), (4, 17), (3, 129),  # batches; across a second word of bits
)  # fmt: skip


def maskable_rows(shape: tuple[int, ...], dtype: str = "float32", seed: int = 1) -> NDArray[Any]:
    """Return rows of which four in five tokens may be masked."""
    return (np.random.default_rng(seed).random(shape) < 0.8).astype(dtype)


def word_ids(shape: tuple[int, ...], seed: int = 2) -> NDArray[np.int32]:
    """Return words of 1 to 4 tokens that count from 0 in each row, and some tokens without a word."""
    random = np.random.default_rng(seed)
    ids = (random.random(shape) < 0.5).cumsum(axis=-1).astype(np.int32)
    return np.where(random.random(shape) < 0.1, -1, ids).astype(np.int32)


def segment_ids(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return segments of 5 tokens."""
    return np.broadcast_to(np.arange(shape[-1], dtype=np.int32) // 5, shape).copy()


def reference(maskable: Any, num_tokens_to_mask: Any, **options: Any) -> NDArray[Any]:
    """Return the masks of the readable backend."""
    with maskcore.use_backend("reference"):
        return maskcore.mask_positions(maskable, num_tokens_to_mask, **options)


def text_of_error(*arguments: Any, **options: Any) -> str:
    """Return the text of the ValueError or TypeError that maskcore raises."""
    try:
        maskcore.mask_positions(*arguments, **options)
    except (ValueError, TypeError) as error:
        return str(error)
    raise AssertionError("maskcore raised nothing")


def python_example(containing: str) -> str:
    """Return the Python example of docs/tensorflow.md that contains a text."""
    text = (ROOT / "docs" / "tensorflow.md").read_text()
    (example,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if containing in block
    )
    return str(example)


def run_python(code: str, directory: Path = ROOT) -> str:
    """Run `code` in a fresh interpreter and return what it printed; its failure is the test's."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
