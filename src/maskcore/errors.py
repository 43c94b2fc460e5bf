# SPDX-License-Identifier: Apache-2.0
"""How errors are worded, and the one error class of our own.

Owns the form of every message: argument, constraint, value received, way out. Knows nothing of what is checked.
"""

from __future__ import annotations

__all__ = ["BackendUnavailableError"]


class BackendUnavailableError(RuntimeError):
    """A backend was forced that cannot run here."""


def message(argument: str, constraint: str, received: object, remedy: str) -> str:
    """Return the text of an error about one argument.

    >>> message("max_n", "in [1, 255]", 0, "pass 1 to mask single tokens")
    'max_n must be in [1, 255], got 0; pass 1 to mask single tokens'
    """
    return f"{argument} must be {constraint}, got {received}; {remedy}"


def value_error(argument: str, constraint: str, received: object, remedy: str) -> ValueError:
    """Return a ValueError in the common form."""
    return ValueError(message(argument, constraint, received, remedy))


def type_error(argument: str, constraint: str, received: object, remedy: str) -> TypeError:
    """Return a TypeError in the common form."""
    return TypeError(message(argument, constraint, received, remedy))
