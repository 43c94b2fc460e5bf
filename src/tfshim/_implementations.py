# SPDX-License-Identifier: Apache-2.0
"""THE dispatch of tfshim: which implementation makes the mask.

Owns the ordered list and the environment variable MASKCORE_TF_IMPLEMENTATION. No other file names
an implementation to choose it.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import NamedTuple

from maskcore.errors import BackendUnavailableError, message
from tfshim._call import AddressedCall, ClassicCall
from tfshim._tensorflow import Tensor

__all__ = ["ImplementationStatus", "available_implementations", "choose"]

# In order of preference: (name, module with mask_rows, mask_rows_anew and why_missing).
_IMPLEMENTATIONS = (
    ("custom_op", "tfshim._custom_op"),
    ("numpy_function", "tfshim._numpy_function"),
)
_NAMES = tuple(name for name, _ in _IMPLEMENTATIONS)
ENVIRONMENT_VARIABLE = "MASKCORE_TF_IMPLEMENTATION"


class ImplementationStatus(NamedTuple):
    """One line of `available_implementations`."""

    name: str
    is_available: bool
    reason: str
    """Why it cannot run; empty where it can."""


class Implementation(NamedTuple):
    """What an implementation's module offers."""

    name: str
    mask_rows: Callable[[AddressedCall], Tensor]
    mask_rows_anew: Callable[[ClassicCall], Tensor]


_automatic: Implementation | None = None


def _load(name: str) -> tuple[Implementation, str]:
    """Return the implementation, and why it cannot run (an empty text where it can)."""
    module = importlib.import_module(dict(_IMPLEMENTATIONS)[name])
    return Implementation(name, module.mask_rows, module.mask_rows_anew), module.why_missing()


def _force(name: str, source: str) -> Implementation:
    if name not in _NAMES:
        raise ValueError(message(source, f"one of {', '.join(_NAMES)}", repr(name), "spell it so"))
    implementation, reason = _load(name)
    if reason:
        raise BackendUnavailableError(
            f"{source} asks for implementation {name!r}, which cannot run: {reason}"
        )
    return implementation


def _first_that_runs() -> Implementation:
    reasons: list[str] = []
    for name in _NAMES:
        implementation, reason = _load(name)
        if not reason:
            if reasons:
                warnings.warn(
                    f"tfshim runs on its slower {name!r} implementation. " + " ".join(reasons),
                    RuntimeWarning,
                    stacklevel=4,
                )
            return implementation
        reasons.append(f"{name!r} is missing ({reason}).")
    raise BackendUnavailableError(" ".join(reasons))


def choose(implementation: str | None) -> Implementation:
    """Return the implementation that is asked for, or the first that runs."""
    global _automatic  # noqa: PLW0603  # the choice of the process
    if implementation is not None:
        return _force(implementation, "implementation")
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    if forced:
        return _force(forced, ENVIRONMENT_VARIABLE)
    if _automatic is None:
        _automatic = _first_that_runs()
    return _automatic


def available_implementations() -> tuple[ImplementationStatus, ...]:
    """Try every implementation, in order of preference.

    Returns
    -------
    tuple of ImplementationStatus
        Name, whether it can run, and why not.

    Examples
    --------
    >>> import tfshim
    >>> [status.name for status in tfshim.available_implementations()]
    ['custom_op', 'numpy_function']
    """
    return tuple(
        ImplementationStatus(name, not reason, reason)
        for name, (_, reason) in ((name, _load(name)) for name in _NAMES)
    )
