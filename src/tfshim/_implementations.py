# SPDX-License-Identifier: Apache-2.0
"""THE dispatch of tfshim: which implementation makes the mask.

Owns the ordered list and the environment variable MASKCORE_TF_IMPLEMENTATION. No other file names
an implementation to choose it. An implementation is a module with `why_missing`, those of the functions
below that it can do, and two claims, false where left out: RUNS_COMPILED, that XLA can compile it, and
NEEDS_ROW_LENGTH, that the length of the rows must be known before the graph runs.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from maskcore.errors import BackendUnavailableError, message
from tfshim import _place

__all__ = ["ImplementationStatus", "available_implementations", "choose"]

# In order of preference.
_IMPLEMENTATIONS = (
    ("custom_op", "tfshim._custom_op"),
    ("xla", "tfshim._xla"),
    ("numpy_function", "tfshim._numpy_function"),
)
_NAMES = tuple(name for name, _ in _IMPLEMENTATIONS)
ENVIRONMENT_VARIABLE = "MASKCORE_TF_IMPLEMENTATION"

# The functions of an implementation, each of one argument of _call.py, and what they are to a user.
_FUNCTIONS = {
    "mask_rows": "get_masking_position with row_ids",
    "mask_rows_anew": "get_masking_position without row_ids",
    "mask_tokens": "mask_tokens",
}


class ImplementationStatus(NamedTuple):
    """One line of `available_implementations`."""

    name: str
    is_available: bool
    reason: str
    """Why it cannot run; empty where it can."""


class _Call(NamedTuple):
    """What a choice depends on."""

    function: str
    is_compiled: bool
    knows_row_length: bool


_automatic: dict[_Call, Callable[[Any], Any]] = {}
_warned: set[str] = set()


def _module(name: str) -> Any:
    return importlib.import_module(dict(_IMPLEMENTATIONS)[name])


def _load(call: _Call, name: str) -> tuple[Callable[[Any], Any] | None, str]:
    """Return the function of an implementation, or None and why it cannot run."""
    module = _module(name)
    reason: str = module.why_missing()
    if not reason and not hasattr(module, call.function):
        reason = f"it does not offer {_FUNCTIONS[call.function]}"
    if not reason and call.is_compiled and not getattr(module, "RUNS_COMPILED", False):
        reason = "XLA cannot compile it, as jit_compile=True and TPUs ask for"
    if not reason and not call.knows_row_length and getattr(module, "NEEDS_ROW_LENGTH", False):
        reason = "the length of the rows must be known: use tf.ensure_shape(rows, [None, length])"
    return (None if reason else getattr(module, call.function)), reason


def _force(call: _Call, name: str, source: str) -> Callable[[Any], Any]:
    if name not in _NAMES:
        raise ValueError(message(source, f"one of {', '.join(_NAMES)}", repr(name), "spell it so"))
    forced, reason = _load(call, name)
    if forced is None:
        raise _unavailable(f"{source} asks for implementation {name!r}, which cannot run: {reason}")
    return forced


def _first_that_runs(call: _Call) -> Callable[[Any], Any]:
    reasons: list[str] = []
    for name in _NAMES:
        found, reason = _load(call, name)
        if found is not None:
            if reasons and not call.is_compiled:
                _warn_once(
                    f"tfshim runs on its slower {name!r} implementation. " + " ".join(reasons)
                )
            return found
        reasons.append(f"{name!r} is missing ({reason}).")
    raise _unavailable(" ".join(reasons))


def _unavailable(text: str) -> BackendUnavailableError:
    error = BackendUnavailableError(text)
    # AutoGraph makes a class of its own of errors that it does not know; this mark keeps it from that.
    error.__dict__["ag_pass_through"] = True
    return error


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=5)


def choose(
    function: str, implementation: str | None, shape: tuple[int | None, ...] | None
) -> Callable[[Any], Any]:
    """Return `function` of the implementation that is asked for, or of the first that runs here.

    `shape` is what is known of the rows' shape.
    """
    knows_row_length = shape is not None and shape[-1] is not None
    call = _Call(function, _place.is_compiled(), knows_row_length)
    if implementation is not None:
        return _force(call, implementation, "implementation")
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    if forced:
        return _force(call, forced, ENVIRONMENT_VARIABLE)
    if call not in _automatic:
        _automatic[call] = _first_that_runs(call)
    return _automatic[call]


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
    ['custom_op', 'xla', 'numpy_function']
    """
    return tuple(
        ImplementationStatus(name, not reason, reason)
        for name, reason in ((name, _module(name).why_missing()) for name in _NAMES)
    )
