# SPDX-License-Identifier: Apache-2.0
"""TensorFlow, imported when it is needed. Knows nothing of masking."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

Tensor = Any
"""A `tf.Tensor`; TensorFlow ships no types."""


@cache
def tensorflow() -> Any:
    """Return the module `tensorflow`."""
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise ImportError(
            f"tfshim needs TensorFlow ({error}): pip install 'maskcore[tensorflow]'"
        ) from error
