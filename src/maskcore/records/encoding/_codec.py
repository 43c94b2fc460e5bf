# SPDX-License-Identifier: Apache-2.0
"""THE choice of what makes, checks and reads the bytes of records.

Owns the ordered list of codecs and the environment variable MASKCORE_RECORDS. Both make the same
bytes; tests hold them against each other. No other file chooses one.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import BackendUnavailableError, value_error

if TYPE_CHECKING:
    from maskcore.records.encoding.example import Feature

__all__ = ["Check", "Codec", "codec", "codec_name", "codecs"]

# In order of preference: (name, module, how to get it).
_CODECS = (
    ("native", "maskcore.records.encoding._codec_native", "install a wheel with compiled code"),
    ("numpy", "maskcore.records.encoding._codec_numpy", ""),  # its own error names the pip line
)
ENVIRONMENT_VARIABLE = "MASKCORE_RECORDS"

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class Check(NamedTuple):
    """What records are like, from the first on."""

    stops: Ints
    """Where each sound record ends."""
    damage: str
    """What is wrong with the next one: its "length" or its "content"; else empty."""


class Codec(Protocol):
    """What a codec's module holds. Arguments are checked; `Feature`s are in the order of names."""

    def crc32c(self, content: bytes | memoryview) -> int:
        """Return the CRC-32C of RFC 3720."""

    def encode(
        self,
        features: Mapping[str, Feature],
        columns: Mapping[str, NDArray[Any]],
        num_rows: int,
        is_framed: bool,
    ) -> tuple[Bytes, Ints, tuple[int, str] | None]:
        """Return the rows' bytes and where each ends; or row and name of the first negative value."""

    def decode(
        self,
        features: Mapping[str, Feature],
        columns: Mapping[str, NDArray[Any]],
        content: Bytes,
        stops: Ints,
        is_framed: bool,
    ) -> int | None:
        """Fill the columns; return the first row that has other features."""

    def frame(self, messages: Bytes, stops: Ints) -> Bytes:
        """Return messages as records."""

    def check(self, content: Bytes, max_records: int) -> Check:
        """Verify checksums until the bytes end, also within a record, or one does not match."""


def _load(name: str) -> tuple[Codec | None, str]:
    """Return a codec, or None and the reason."""
    module, remedy = next((module, remedy) for n, module, remedy in _CODECS if n == name)
    try:
        return cast("Codec", importlib.import_module(module)), ""
    except (ImportError, SystemError) as error:
        # SystemError: a free-threaded interpreter that finds a limited-API extension raises it.
        reason = f"{type(error).__name__}: {error}"
        return None, f"{reason}; {remedy}" if remedy else reason


@lru_cache(maxsize=1)
def _chosen() -> tuple[str, Codec]:
    names = [name for name, _, _ in _CODECS]
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    if forced and forced not in names:
        raise value_error(
            ENVIRONMENT_VARIABLE, f"one of {', '.join(names)}", repr(forced), "spell it so"
        )
    reasons: list[str] = []
    for name in [forced] if forced else names:
        found, reason = _load(name)
        if found is not None:
            if reasons:
                warnings.warn(
                    f"maskcore makes records with its slower {name!r} codec. {' '.join(reasons)}",
                    RuntimeWarning,
                    stacklevel=4,
                )
            return name, found
        reasons.append(f"{name!r} is missing ({reason}).")
    source = f"{ENVIRONMENT_VARIABLE} asks for a codec that cannot run: " if forced else ""
    raise BackendUnavailableError(source + " ".join(reasons))


def codec() -> Codec:
    """Return the codec of this process, chosen at the first call.

    Raises
    ------
    BackendUnavailableError
        If none can run, or MASKCORE_RECORDS names one that cannot; the text says why.
    ValueError
        If MASKCORE_RECORDS names none.

    Notes
    -----
    Where the native one is missing, a RuntimeWarning says why, once.

    """
    return _chosen()[1]


def codec_name() -> str:
    """Return the name of the codec of this process.

    >>> codec_name() in ("native", "numpy")
    True
    """
    return _chosen()[0]


def codecs() -> dict[str, Codec | str]:
    """Return by name, in the order of preference, each codec or why it cannot run."""
    found = {name: _load(name) for name, _, _ in _CODECS}
    return {name: loaded or reason for name, (loaded, reason) in found.items()}
