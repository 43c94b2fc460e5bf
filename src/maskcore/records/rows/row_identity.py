# SPDX-License-Identifier: Apache-2.0
"""What documents and rows are called: keys of bytes, and the hashes made of them.

Owns the bits of docs/records.md, section "Rows"; they never change, since masks, buckets and orders
follow from them. Knows nothing of tokens or of what is in a row.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bucket_hash",
    "document_hash",
    "document_key",
    "row_id_of",
    "row_ids",
    "user_document_key",
]

# RFC 7693, section 2.8: up to 16 bytes that keep the uses of a hash apart.
_ROW_ID = b"maskcore-row-id"
_DOCUMENT = b"maskcore-doc-key"
_BUCKET = b"maskcore-bucket"


def document_key(name: str, offset: int) -> bytes:
    r"""Return the key of a document that is called by its place.

    Parameters
    ----------
    name : str
        The file's path below what was given, with ``/``.
    offset : int in [0, 2**64)
        Byte offset of the document's first line in the file.

    >>> document_key("a.txt", 258)
    b'path\x00a.txt\x00\x02\x01\x00\x00\x00\x00\x00\x00'
    """
    encoded = name.encode("utf-8", "surrogateescape")
    return b"path\0" + encoded + b"\0" + struct.pack("<Q", offset)


def user_document_key(user_id: str) -> bytes:
    r"""Return the key of a document that carries an id of its own.

    >>> user_document_key("Q42")
    b'id\x00Q42'
    """
    return b"id\0" + user_id.encode("utf-8", "surrogateescape")


def _hash63(message: bytes, person: bytes) -> int:
    digest = hashlib.blake2b(message, digest_size=8, person=person).digest()
    return int.from_bytes(digest, "little") >> 1


def row_id_of(key: bytes, index: int, duplicate: int = 0) -> int:
    """Return the 63-bit identity of a row.

    BLAKE2b (RFC 7693) of 8 bytes, personalised `maskcore-row-id`, over the document's key and, as
    64-bit little-endian numbers, the row's number in it and the duplicate; read as little-endian
    and shifted right by one.

    >>> row_id_of(document_key("a.txt", 0), 0)
    8910017425970107781
    """
    return _hash63(key + struct.pack("<QQ", index, duplicate), _ROW_ID)


def row_ids(keys: Sequence[bytes], num_rows: Sequence[int], duplicate: int) -> NDArray[np.int64]:
    """Return the ids of rows 0 .. `num_rows[d]` - 1 of each document `d`, one after the other.

    >>> row_ids([document_key("a.txt", 0)], [2], 0).tolist()
    [8910017425970107781, 6772617760955676472]
    """
    most = max(num_rows, default=0)
    numbers = struct.pack(
        f"<{2 * most}Q", *(n for index in range(most) for n in (index, duplicate))
    )
    tails = [numbers[at : at + 16] for at in range(0, len(numbers), 16)]
    blake2b = hashlib.blake2b
    digests = [
        blake2b(key + tail, digest_size=8, person=_ROW_ID).digest()
        for key, count in zip(keys, num_rows, strict=True)
        for tail in tails[:count]
    ]
    return (np.frombuffer(b"".join(digests), "<u8") >> np.uint64(1)).astype(np.int64)


def document_hash(key: bytes) -> int:
    """Return 63 bits of a document's key: the address of its draws, as a row's id is of its masks.

    BLAKE2b as for `row_id_of`, personalised `maskcore-doc-key`, over the key alone.
    """
    return _hash63(key, _DOCUMENT)


def bucket_hash(key: bytes, seed: int) -> int:
    """Return the 64 bits that decide a document's bucket, and its place in the bucket.

    The bucket is their remainder by the number of buckets. They are BLAKE2b of 8 bytes keyed with
    the seed (64 bits, little-endian), personalised `maskcore-bucket`.
    """
    digest = hashlib.blake2b(
        key, digest_size=8, key=struct.pack("<Q", seed), person=_BUCKET
    ).digest()
    return int.from_bytes(digest, "little")
