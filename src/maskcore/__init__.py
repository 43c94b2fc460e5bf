# SPDX-License-Identifier: Apache-2.0
"""Which tokens of each row must a masked model predict: fast, reproducible, never across a boundary.

Public names only; `masking.py` holds the functions, `_backends.py` the dispatch, `docs/algorithm.md` the algorithm.
"""

from __future__ import annotations

from maskcore._backends import BackendStatus, active_backend, available_backends, use_backend
from maskcore.errors import BackendUnavailableError
from maskcore.masking import MaskedIndices, mask_indices, mask_positions, mask_spans
from maskcore.tokens import MaskedTokens, PredictionTokens, allowed_ids, mask_tokens

__all__ = [
    "ALGORITHM_VERSION",
    "BackendStatus",
    "BackendUnavailableError",
    "MaskedIndices",
    "MaskedTokens",
    "PredictionTokens",
    "__version__",
    "active_backend",
    "allowed_ids",
    "available_backends",
    "mask_indices",
    "mask_positions",
    "mask_spans",
    "mask_tokens",
    "use_backend",
]

ALGORITHM_VERSION = 1
"""Version of docs/algorithm.md; the bits of a mask change only with it."""

__version__ = "0.1.0"
