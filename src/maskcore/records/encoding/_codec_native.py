# SPDX-License-Identifier: Apache-2.0
"""The native codec: arrays for the compiled binding, and its statuses as results.

Conversion only; the work is in csrc/records/. The functions are those of `_codec.Codec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.records import _native
from maskcore.records._native import crc32c
from maskcore.records.encoding._codec import Check

if TYPE_CHECKING:
    from maskcore.records.encoding.example import Feature

__all__ = ["check", "crc32c", "decode", "encode", "frame"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# As in csrc/records/maskcore_records.h.
_OK, _BAD_CALL, _NEGATIVE, _OTHER_LAYOUT, _LENGTH_DAMAGED, _CONTENT_DAMAGED = range(6)
_KINDS = {"bytes": 1, "float": 2, "int64": 3}
_MEASURE, _WRITE, _READ = range(3)
_FRAME_BYTES = 16


class RowsCall(NamedTuple):
    """A batch for `_native.run_rows`."""

    columns: list[tuple[bytes, NDArray[Any], int, int, int]]
    """Name, column, its length, kind and bytes of an item."""
    num_rows: int
    is_framed: bool
    payload_bytes: Ints | None
    stops: Ints
    content: Bytes | None


def _columns_of(
    features: Mapping[str, Feature], columns: Mapping[str, NDArray[Any]]
) -> list[tuple[bytes, NDArray[Any], int, int, int]]:
    return [
        (name.encode(), columns[name], length, _KINDS[kind], columns[name].dtype.itemsize)
        for name, (kind, length) in features.items()
    ]


def _refuse(status: int) -> None:
    if status != _OK:
        raise RuntimeError(
            f"the record encoder refused a call (status {status}); did a column change meanwhile?"
        )


def encode(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[Any]],
    num_rows: int,
    is_framed: bool,
) -> tuple[Bytes, Ints, tuple[int, str] | None]:
    """Measure, allocate, write."""
    payload_bytes = np.empty((num_rows, len(features)), np.int64)
    stops = np.empty(num_rows, np.int64)
    call = RowsCall(_columns_of(features, columns), num_rows, is_framed, payload_bytes, stops, None)
    status, place = _native.run_rows(call, _MEASURE)
    if status == _NEGATIVE:
        row, feature = divmod(place, len(features))
        return np.empty(0, np.uint8), stops[:0], (row, list(features)[feature])
    _refuse(status)
    content = np.empty(int(stops[-1]) if num_rows else 0, np.uint8)
    status, _ = _native.run_rows(call._replace(content=content), _WRITE)
    _refuse(status)
    return content, stops, None


def decode(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[Any]],
    content: Bytes,
    stops: Ints,
    is_framed: bool,
) -> int | None:
    """Fill the columns."""
    call = RowsCall(_columns_of(features, columns), len(stops), is_framed, None, stops, content)
    status, place = _native.run_rows(call, _READ)
    if status == _OTHER_LAYOUT:
        return place
    _refuse(status)
    return None


def frame(messages: Bytes, stops: Ints) -> Bytes:
    """Allocate, write."""
    num_bytes = int(stops[-1]) + _FRAME_BYTES * len(stops) if len(stops) else 0
    records = np.empty(num_bytes, np.uint8)
    _refuse(_native.frame_messages(messages, stops, records))
    return records


def check(content: Bytes, max_records: int) -> Check:
    """Allocate for as many records as there can be, and check them."""
    most = len(content) // _FRAME_BYTES + 1  # the last one may be cut
    stops = np.empty(min(max_records, most), np.int64)
    status, num_records = _native.check_records(content, stops)
    damage = {_LENGTH_DAMAGED: "length", _CONTENT_DAMAGED: "content"}.get(status, "")
    if not damage:
        _refuse(status)
    return Check(stops[:num_records], damage)
