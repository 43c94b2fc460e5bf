# SPDX-License-Identifier: Apache-2.0
"""The native backend: the binding's `mask_rows`, and the instruction-set levels as Python sees them.

Conversion only; the kernel is csrc/.
"""

from __future__ import annotations

from maskcore import _core
from maskcore._core import mask_rows
from maskcore.errors import BackendUnavailableError

__all__ = ["active_simd_level", "mask_rows", "simd_levels", "use_simd_level"]


def simd_levels() -> tuple[str, ...]:
    """Return the instruction-set levels that this machine can run, best first."""
    levels: list[str] = []
    while (name := _core.simd_level(len(levels))) is not None:
        levels.append(name)
    return tuple(levels)


def active_simd_level() -> str | None:
    """Return the level in use: the best, or the one that MASKCORE_SIMD names (None if it cannot run)."""
    return _core.active_simd_level()


def use_simd_level(name: str) -> None:
    """Force a level for the whole process; the bits are the same on all of them."""
    if not _core.use_simd_level(name):
        raise BackendUnavailableError(
            f"SIMD level {name!r} cannot run here; choose one of {', '.join(simd_levels())}"
        )


if active_simd_level() is None:
    # Not an ImportError, which would make another backend of a choice that was forced.
    raise BackendUnavailableError(
        f"MASKCORE_SIMD names no level that can run here; choose one of {', '.join(simd_levels())}"
    )
