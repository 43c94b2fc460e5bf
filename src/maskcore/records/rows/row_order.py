# SPDX-License-Identifier: Apache-2.0
"""The order of rows in a bucket.

Owns the keyed mix of docs/records.md, section "Order". Knows nothing of what rows hold.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_order"]


def row_order(row_ids: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the places of rows in the order in which they are written.

    Ascending by `((r * a) ^ (r * a >> 32)) * b` modulo 2**64, where a and b are the two numbers of 64
    bits, little-endian and made odd, of BLAKE2b of 16 bytes over nothing, keyed with the seed and
    personalised `maskcore-order`. The row ids are hashes, so an odd factor and a shift
    are enough to make the order of one seed tell nothing of that of another; as a permutation of
    numbers it never makes two rows equal.

    >>> row_order(np.array([1, 2, 3, 4]), seed=0).tolist()
    [1, 3, 2, 0]
    """
    digest = hashlib.blake2b(
        digest_size=16, key=struct.pack("<Q", seed), person=b"maskcore-order"
    ).digest()
    a, b = np.frombuffer(digest, "<u8").astype(np.uint64) | np.uint64(1)
    mixed = row_ids.astype(np.uint64) * a
    mixed = (mixed ^ mixed >> np.uint64(32)) * b
    return np.argsort(mixed, kind="stable")
