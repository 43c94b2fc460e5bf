# SPDX-License-Identifier: Apache-2.0
"""THE dispatch: which backend computes the masks.

Owns the ordered list, the environment variable MASKCORE_BACKEND and `use_backend`. No other file names a backend to choose it.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from maskcore._call import MaskCall
from maskcore.errors import BackendUnavailableError, message

__all__ = ["BackendStatus", "active_backend", "available_backends", "mask_rows", "use_backend"]

# In order of preference: (name, module with mask_rows, how to get it).
_BACKENDS = (
    ("native", "maskcore._native", "install a wheel with compiled code, or build with a compiler"),
    ("numba", "maskcore._numba", ""),  # its own error names the pip line
    ("reference", "maskcore._reference", ""),
)
_NAMES = tuple(name for name, _, _ in _BACKENDS)
ENVIRONMENT_VARIABLE = "MASKCORE_BACKEND"

MaskRows = Callable[[MaskCall], None]


class BackendStatus(NamedTuple):
    """One line of `available_backends`."""

    name: str
    is_available: bool
    reason: str
    """Why it is missing and how to get it; empty where it is available."""


class _Active(NamedTuple):
    name: str
    mask_rows: MaskRows


_active: _Active | None = None


def _load(name: str) -> tuple[MaskRows | None, str]:
    """Return the backend's function, or None and the reason."""
    module, remedy = next((module, remedy) for n, module, remedy in _BACKENDS if n == name)
    try:
        return importlib.import_module(module).mask_rows, ""
    except (ImportError, SystemError) as error:
        # SystemError: a free-threaded interpreter that finds a limited-API extension raises it.
        reason = f"{type(error).__name__}: {error}"
        return None, f"{reason}; {remedy}" if remedy else reason


def _force(name: str, source: str) -> _Active:
    if name not in _NAMES:
        raise ValueError(message(source, f"one of {', '.join(_NAMES)}", repr(name), "spell it so"))
    function, reason = _load(name)
    if function is None:
        raise BackendUnavailableError(
            f"{source} asks for backend {name!r}, which cannot run: {reason}"
        )
    return _Active(name, function)


def _choose() -> _Active:
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    if forced:
        return _force(forced, ENVIRONMENT_VARIABLE)
    reasons: list[str] = []
    for name in _NAMES:
        function, reason = _load(name)
        if function is not None:
            if reasons:
                warnings.warn(
                    f"maskcore runs on its slower {name!r} backend. " + " ".join(reasons),
                    RuntimeWarning,
                    stacklevel=4,
                )
            return _Active(name, function)
        reasons.append(f"{name!r} is missing ({reason}).")
    raise BackendUnavailableError(" ".join(reasons))


def mask_rows(call: MaskCall) -> None:
    """Fill the outputs of `call` on the active backend, chosen at the first call."""
    global _active
    if _active is None:
        _active = _choose()
    _active.mask_rows(call)


def active_backend() -> str:
    """Return the name of the backend that computes the masks.

    >>> import maskcore
    >>> with maskcore.use_backend("reference"):
    ...     maskcore.active_backend()
    'reference'
    """
    global _active
    if _active is None:
        _active = _choose()
    return _active.name


def available_backends() -> tuple[BackendStatus, ...]:
    """Try every backend, in order of preference.

    Returns
    -------
    tuple of BackendStatus
        Name, whether it can run, and why not with the way to get it.

    Examples
    --------
    >>> import maskcore
    >>> [status.name for status in maskcore.available_backends()]
    ['native', 'numba', 'reference']
    """
    return tuple(map(_status, _NAMES))


def _status(name: str) -> BackendStatus:
    try:
        function, reason = _load(name)
    except BackendUnavailableError as error:  # something was forced that cannot run
        return BackendStatus(name, False, f"{type(error).__name__}: {error}")
    return BackendStatus(name, function is not None, reason)


class use_backend:  # noqa: N801  # used like a function: `use_backend("numba")`
    """Force a backend, from now on or for a `with` block; process-wide.

    Parameters
    ----------
    name : str
        One of the names of `available_backends`.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    BackendUnavailableError
        If it cannot run here; the text says why. Nothing is changed then.

    Notes
    -----
    The bits do not depend on the backend, only the speed does. The environment variable ``MASKCORE_BACKEND`` does the same, read at
    the first call.

    Examples
    --------
    >>> import maskcore
    >>> with maskcore.use_backend("reference"):
    ...     maskcore.mask_positions([1, 1, 0], 3, seed=1)
    array([1, 1, 0])
    """

    def __init__(self, name: str) -> None:
        global _active
        forced = _force(name, "use_backend")
        self._previous = _active
        _active = forced

    def __enter__(self) -> use_backend:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global _active
        _active = self._previous
