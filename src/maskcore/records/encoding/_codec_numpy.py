# SPDX-License-Identifier: Apache-2.0
"""The numpy codec: the same bytes as the native one, where nothing compiles.

Owns Examples and frames by numpy, with google-crc32c. All rows of a batch are written, and read, in
step: one field of every row at a time. The functions are those of `_codec.Codec`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import require
from maskcore.records.encoding._codec import Check
from maskcore.records.encoding._varints import (
    MAX_VARINT_BYTES,
    decode_varints,
    encode_varints,
    varint_sizes,
)

if TYPE_CHECKING:
    from maskcore.records.encoding.example import Feature

__all__ = ["check", "crc32c", "decode", "encode", "frame"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

# tensorflow/core/example/{example,feature}.proto: Example.features = 1, Features.feature = 1 (a
# map: key = 1, value = 2), Feature.{bytes,float,int64}_list = 1, 2, 3, and value = 1 of each list;
# all length-delimited (wire type 2), so tag = number << 3 | 2.
_EXAMPLE_FEATURES = 1 << 3 | 2
_FEATURES_ENTRY = 1 << 3 | 2
_ENTRY_KEY = 1 << 3 | 2
_ENTRY_VALUE = 2 << 3 | 2
_LIST = {"bytes": 1 << 3 | 2, "float": 2 << 3 | 2, "int64": 3 << 3 | 2}
_LIST_VALUE = 1 << 3 | 2

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_BYTES_BEFORE = _HEADER.size
_BYTES_BEHIND = _FOOTER.size

_value_of = require(
    "google_crc32c"
).value  # here, so that the choice of a codec can name what is missing


def crc32c(content: bytes | memoryview) -> int:
    """Return the checksum."""
    checksum: int = _value_of(bytes(content))
    return checksum


def encode(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[Any]],
    num_rows: int,
    is_framed: bool,
) -> tuple[Bytes, Ints, tuple[int, str] | None]:
    """Measure from the inside out, write from the outside in."""
    negative = _first_negative(features, columns)
    if negative is not None:
        return np.empty(0, np.uint8), np.empty(0, np.int64), negative
    payloads = {name: _payload(kind, columns[name]) for name, (kind, _) in features.items()}
    sizes = {name: _feature_sizes(name, size) for name, (_, size) in payloads.items()}
    all_features = sum((levels[-1] for levels in sizes.values()), np.zeros(num_rows, np.int64))
    stops = np.cumsum(_with_tag_and_length(all_features))
    writer = _Writer(stops)
    writer.open(_EXAMPLE_FEATURES, all_features)
    for name, (kind, _) in features.items():
        payload, payload_bytes = payloads[name]
        in_list, in_value, in_entry, _ = sizes[name]
        writer.open(_FEATURES_ENTRY, in_entry)
        writer.open(_ENTRY_KEY, np.full(num_rows, len(name)))
        writer.bytes(np.tile(np.frombuffer(name.encode(), np.uint8), num_rows), len(name))
        writer.open(_ENTRY_VALUE, in_value)
        writer.open(_LIST[kind], in_list)
        writer.open(_LIST_VALUE, payload_bytes)
        writer.bytes(payload, payload_bytes)
    if not is_framed:
        return writer.content, stops, None
    frame_bytes = _BYTES_BEFORE + _BYTES_BEHIND
    return frame(writer.content, stops), stops + frame_bytes * np.arange(1, num_rows + 1), None


def _first_negative(
    features: Mapping[str, Feature], columns: Mapping[str, NDArray[Any]]
) -> tuple[int, str] | None:
    found = []
    for name, (kind, _) in features.items():
        is_negative = (columns[name] < 0).any(axis=1) if kind == "int64" else np.zeros(1, np.bool_)
        if is_negative.any():
            found.append((int(np.argmax(is_negative)), name))
    return min(found, default=None)


def _payload(kind: str, column: NDArray[Any]) -> tuple[Bytes, Ints]:
    """Return the bytes of all lists one after the other, and how many each takes."""
    num_rows, length = column.shape
    if kind != "int64":
        return column.reshape(-1).view(np.uint8), np.full(num_rows, length * column.itemsize)
    encoded, sizes = encode_varints(column.reshape(-1).astype(np.int64))
    return encoded, sizes.reshape(num_rows, length).sum(axis=1)


def _with_tag_and_length(content_bytes: Ints) -> Ints:
    return 1 + varint_sizes(content_bytes) + content_bytes


def _feature_sizes(name: str, payload_bytes: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the bytes in a feature's list, in its value, in its entry, and of the whole."""
    in_list = _with_tag_and_length(payload_bytes)
    in_value = _with_tag_and_length(in_list)
    key = _with_tag_and_length(np.full(payload_bytes.shape, len(name)))
    in_entry = key + _with_tag_and_length(in_value)
    return in_list, in_value, in_entry, _with_tag_and_length(in_entry)


def _places(starts: Ints, sizes: Ints) -> Ints:
    """Return the numbers of all bytes of runs.

    >>> _places(np.array([10, 20]), np.array([2, 3])).tolist()
    [10, 11, 20, 21, 22]
    """
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))


class _Writer:
    """Messages that grow in step."""

    def __init__(self, stops: Ints) -> None:
        self.content: Bytes = np.empty(int(stops[-1]) if stops.size else 0, np.uint8)
        self._at = np.concatenate([np.zeros(min(1, len(stops)), np.int64), stops[:-1]])

    def bytes(self, content: Bytes, sizes: Ints | int) -> None:
        """Append to each message its part of `content`."""
        sizes = np.broadcast_to(np.asarray(sizes, np.int64), self._at.shape)
        self.content[_places(self._at, sizes)] = content
        self._at = self._at + sizes

    def open(self, tag: int, content_bytes: Ints) -> None:
        """Append a tag and the length of what follows."""
        self.bytes(np.full(len(self._at), tag, np.uint8), 1)
        self.bytes(*encode_varints(content_bytes))


def decode(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[Any]],
    content: Bytes,
    stops: Ints,
    is_framed: bool,
) -> int | None:
    """Read from the outside in."""
    starts = np.concatenate([np.zeros(min(1, len(stops)), np.int64), stops[:-1]])
    if is_framed:
        starts, stops = starts + _BYTES_BEFORE, stops - _BYTES_BEHIND
    message = _Reader(content, starts, stops, np.ones(len(stops), np.bool_))
    entries = message.open(_EXAMPLE_FEATURES)
    message.finish()
    for name, (kind, length) in features.items():
        entry = entries.open(_FEATURES_ENTRY)
        entry.open(_ENTRY_KEY).expect(name.encode())
        value = entry.open(_ENTRY_VALUE)
        a_list = value.open(_LIST[kind])
        payload = a_list.open(_LIST_VALUE)
        for reader in (entry, value, a_list):
            reader.finish()
        if kind == "int64":
            payload.read_varints(columns[name], length)
        else:
            payload.read_bytes(columns[name])
    entries.finish()
    return None if message.is_sound.all() else int(np.argmin(message.is_sound))


class _Reader:
    """Parts of messages that are read in step; those of the same messages share `is_sound`.

    A part of a message that is not sound is empty.
    """

    def __init__(self, content: Bytes, starts: Ints, stops: Ints, is_sound: Bools) -> None:
        self._content = content
        self._at = starts
        self._stops = stops
        self.is_sound = is_sound

    def _require(self, is_right: Bools) -> None:
        self.is_sound &= is_right
        self._at = np.where(self.is_sound, self._at, self._stops)

    def _next_bytes(self, are_wanted: Bools) -> Bytes:
        """Go past a byte of each message that is wanted, and return it; 0 for the others."""
        self._require(~are_wanted | (self._at < self._stops))
        are_there = are_wanted & self.is_sound
        found = np.zeros(len(self._at), np.uint8)
        found[are_there] = self._content[self._at[are_there]]
        self._at = self._at + are_there
        return found

    def open(self, tag: int) -> _Reader:
        """Go past a field, and return what it holds."""
        everywhere = np.ones(len(self._at), np.bool_)
        self._require(self._next_bytes(everywhere) == tag)
        length = np.zeros(len(self._at), np.int64)
        goes_on = everywhere
        for group in range(MAX_VARINT_BYTES):
            byte = self._next_bytes(goes_on)
            length |= (byte & 0x7F).astype(np.int64) << 7 * group
            goes_on = byte >= 0x80
        self._require(~goes_on & (length <= self._stops - self._at))
        starts = self._at
        self._at = np.where(self.is_sound, starts + length, self._stops)
        return _Reader(self._content, starts, self._at, self.is_sound)

    def finish(self) -> None:
        """Require that nothing is left."""
        self._require(self._at == self._stops)

    def expect(self, expected: bytes) -> None:
        """Require that these bytes are all there is."""
        self._require(self._stops - self._at == len(expected))
        for byte in expected:
            self._require(self._next_bytes(self.is_sound) == byte)

    def read_bytes(self, column: NDArray[Any]) -> None:
        """Fill a column with the bytes that are left."""
        row_bytes = column.shape[1] * column.itemsize
        self._require(self._stops - self._at == row_bytes)
        rows = np.flatnonzero(self.is_sound)
        places = self._at[rows, None] + np.arange(row_bytes)
        column.view(np.uint8)[rows] = self._content[places]

    def read_varints(self, column: NDArray[Any], length: int) -> None:
        """Fill a column with the numbers that are left."""
        sizes = np.where(self.is_sound, self._stops - self._at, 0)
        packed = self._content[_places(self._at, sizes)]
        ends_before = np.concatenate([[0], np.cumsum(packed < 0x80)])
        stops = np.cumsum(sizes)
        num_ends = ends_before[stops] - ends_before[stops - sizes]
        is_whole = (num_ends == length) & (sizes > 0)
        is_whole[is_whole] = packed[stops[is_whole] - 1] < 0x80
        self._require(is_whole)
        rows = np.flatnonzero(self.is_sound)
        values, value_sizes = decode_varints(packed[np.repeat(self.is_sound, sizes)])
        is_short = (value_sizes.reshape(-1, length) <= MAX_VARINT_BYTES).all(axis=1)
        column[rows] = values.reshape(-1, length)
        self.is_sound[rows] &= is_short


def _masked_crc(content: bytes | memoryview) -> bytes:
    """Return the checksum as it is stored: tensorflow/core/lib/hash/crc32c.h."""
    crc = crc32c(content)
    return _FOOTER.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(messages: Bytes, stops: Ints) -> Bytes:
    """Return messages as records."""
    content = messages.tobytes()
    parts = []
    for start, stop in pairwise([0, *stops.tolist()]):
        message = content[start:stop]
        length = len(message).to_bytes(8, "little")
        parts += [length, _masked_crc(length), message, _masked_crc(message)]
    return np.frombuffer(b"".join(parts), np.uint8)


def check(content: Bytes, max_records: int) -> Check:
    """Verify the checksums of records."""
    whole = content.data
    stops: list[int] = []
    start, damage = 0, ""
    while len(stops) < max_records and len(whole) - start >= _BYTES_BEFORE:
        length, length_crc = _HEADER.unpack_from(whole, start)
        if _FOOTER.pack(length_crc) != _masked_crc(whole[start : start + 8]):
            damage = "length"
            break
        first, stop = start + _BYTES_BEFORE, start + _BYTES_BEFORE + length
        if stop + _BYTES_BEHIND > len(whole):
            break
        if whole[stop : stop + _BYTES_BEHIND] != _masked_crc(whole[first:stop]):
            damage = "content"
            break
        start = stop + _BYTES_BEHIND
        stops.append(start)
    return Check(np.array(stops, np.int64), damage)
