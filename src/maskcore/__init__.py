# SPDX-License-Identifier: Apache-2.0
"""Which tokens of each row must a masked model predict: fast, reproducible, never across a boundary.

Public names only; `masking.py` holds the functions, `_backends.py` the dispatch, `docs/algorithm.md` the algorithm.
Modules are loaded at the first use of what they hold: the command line must be there before them, so that
Ctrl-C while NumPy loads is one line.
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
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

_NAMES = {
    "_backends": ("BackendStatus", "active_backend", "available_backends", "use_backend"),
    "errors": ("BackendUnavailableError",),
    "masking": ("MaskedIndices", "mask_indices", "mask_positions", "mask_spans"),
    "tokens": ("MaskedTokens", "PredictionTokens", "allowed_ids", "mask_tokens"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

if not _typing.TYPE_CHECKING:  # it would make every name known to a type checker

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
