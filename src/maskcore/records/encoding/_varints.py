# SPDX-License-Identifier: Apache-2.0
"""Varints by numpy: numbers in groups of seven bits, lowest first.

Owns the varints of whole arrays (protobuf.dev/programming-guides/encoding). Knows nothing of
messages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_VARINT_BYTES", "decode_varints", "encode_varints", "varint_sizes"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

MAX_VARINT_BYTES = 9  # of a number below 2**63


def varint_sizes(values: Ints) -> Ints:
    """Return how many bytes each number below 2**63 takes."""
    sizes = np.ones(values.shape, np.int64)
    large = np.flatnonzero(values >= 1 << 7)
    bits = 7
    while large.size:
        sizes[large] += 1
        bits += 7
        if bits > 62:
            break
        large = large[values[large] >= 1 << bits]
    return sizes


def encode_varints(values: Ints) -> tuple[Bytes, Ints]:
    """Return the varints of `values`, int64 >= 0, one after the other, and the size of each.

    >>> encode_varints(np.array([1, 300]))[0].tolist()
    [1, 172, 2]
    """
    sizes = varint_sizes(values)
    ends = np.cumsum(sizes)
    places = ends - sizes
    encoded = np.empty(int(ends[-1]) if ends.size else 0, np.uint8)
    encoded[places] = values & 0x7F
    rest = np.flatnonzero(sizes > 1)
    at, value = places[rest], values[rest]
    while at.size:
        encoded[at] |= 0x80
        at, value = at + 1, value >> 7
        encoded[at] = value & 0x7F
        goes_on = value >= 1 << 7
        at, value = at[goes_on], value[goes_on]
    return encoded, sizes


def decode_varints(encoded: Bytes) -> tuple[Ints, Ints]:
    """Return the numbers, int64 >= 0, and the size of each; the last byte must end one.

    The number of a varint of more than nine bytes is not told.

    >>> [part.tolist() for part in decode_varints(np.array([1, 172, 2], np.uint8))]
    [[1, 300], [1, 2]]
    """
    stops = np.flatnonzero(encoded < 0x80) + 1
    sizes = np.diff(stops, prepend=0)
    starts = stops - sizes
    values = (encoded[starts] & 0x7F).astype(np.int64)
    shift = 1
    rest = np.flatnonzero(sizes > 1)
    while rest.size and shift < MAX_VARINT_BYTES:
        values[rest] |= (encoded[starts[rest] + shift] & 0x7F).astype(np.int64) << 7 * shift
        shift += 1
        rest = rest[sizes[rest] > shift]
    return values, sizes
