# SPDX-License-Identifier: Apache-2.0
"""Rows of int64 features as tf.train.Example messages and back, whole batches at once.

Owns the layout of a message. In an Example of packed int64 lists every byte belongs to a varint:
tags and letters are below 0x80, so each is the varint of itself. A row of fixed shape is therefore
a fixed number of varints, and a batch is one matrix of numbers. Knows nothing of record files or of
what the features mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskcore.records._errors import RecordsError

__all__ = ["ExampleLayout", "decode_varints", "encode_varints"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# tensorflow/core/example/{example,feature}.proto: Example.features = 1, Features.feature = 1 (a
# map: key = 1, value = 2), Feature.int64_list = 3, Int64List.value = 1; all length-delimited (wire
# type 2), so tag = number << 3 | 2.
_EXAMPLE_FEATURES = 1 << 3 | 2
_FEATURES_ENTRY = 1 << 3 | 2
_ENTRY_KEY = 1 << 3 | 2
_ENTRY_VALUE = 2 << 3 | 2
_FEATURE_INT64_LIST = 3 << 3 | 2
_LIST_VALUE = 1 << 3 | 2
_MAX_VARINT_BYTES = 9  # of a number below 2**63


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
    """Return the numbers, int64 >= 0, and where each ends; the last byte must end one.

    >>> [part.tolist() for part in decode_varints(np.array([1, 172, 2], np.uint8))]
    [[1, 300], [1, 3]]
    """
    stops = np.flatnonzero(encoded < 0x80) + 1
    starts = np.concatenate([[0], stops[:-1]])
    sizes = stops - starts
    if sizes.size and int(sizes.max()) > _MAX_VARINT_BYTES:
        raise RecordsError("a number of the record is negative or above 63 bits")
    values = (encoded[starts] & 0x7F).astype(np.int64)
    shift = 1
    rest = np.flatnonzero(sizes > 1)
    while rest.size:
        values[rest] |= (encoded[starts[rest] + shift] & 0x7F).astype(np.int64) << 7 * shift
        shift += 1
        rest = rest[sizes[rest] > shift]
    return values, stops


class ExampleLayout:
    """Examples whose features are int64 lists of fixed length; keys are sorted.

    Parameters
    ----------
    lengths : feature name (ASCII) -> number of values, at least 1

    """

    def __init__(self, lengths: Mapping[str, int]) -> None:
        self.lengths = dict(sorted(lengths.items()))
        template: list[int] = [_EXAMPLE_FEATURES, 0]
        self._fixed: list[int] = [0]  # slots whose number never changes
        self._columns: dict[str, slice] = {}
        self._length_slots: dict[str, tuple[int, int, int, int]] = {}
        for name, length in self.lengths.items():
            key = name.encode("ascii")
            entry = len(template)
            template += [_FEATURES_ENTRY, 0, _ENTRY_KEY, len(key), *key]
            value = len(template)
            template += [_ENTRY_VALUE, 0, _FEATURE_INT64_LIST, 0, _LIST_VALUE, 0]
            first = len(template)
            template += [0] * length
            self._length_slots[name] = (entry + 1, value + 1, value + 3, value + 5)
            self._columns[name] = slice(first, first + length)
            self._fixed += [entry, *range(entry + 2, value + 1), value + 2, value + 4]
        self._template = np.array(template, np.int64)
        self.num_slots = len(template)

    def encode(self, columns: Mapping[str, Ints]) -> tuple[Bytes, Ints]:
        """Return the messages one after the other, and where each ends.

        Parameters
        ----------
        columns : feature name -> int64 array, shape (rows, length of the feature), every value >= 0

        """
        num_rows = len(next(iter(columns.values())))
        slots = np.repeat(self._template[None, :], num_rows, axis=0)
        for name, where in self._columns.items():
            slots[:, where] = columns[name]
        if num_rows and int(slots.min()) < 0:
            raise ValueError("features must be >= 0, got a negative value; shift them first")
        self._fill_lengths(slots)
        encoded, sizes = encode_varints(slots.reshape(-1))
        return encoded, np.cumsum(sizes.reshape(num_rows, self.num_slots).sum(axis=1))

    def _fill_lengths(self, slots: Ints) -> None:
        total = np.zeros(len(slots), np.int64)
        for name, where in self._columns.items():
            entry, feature, int64_list, packed = self._length_slots[name]
            sizes = varint_sizes(slots[:, where].reshape(-1)).reshape(len(slots), -1)
            size = sizes.sum(axis=1)
            slots[:, packed] = size
            size = 1 + varint_sizes(size) + size
            slots[:, int64_list] = size
            size = 1 + varint_sizes(size) + size
            slots[:, feature] = size
            key_bytes = 2 + len(name) if len(name) < 0x80 else 3 + len(name)
            size = key_bytes + 1 + varint_sizes(size) + size
            slots[:, entry] = size
            total += 1 + varint_sizes(size) + size
        slots[:, 1] = total

    def decode(self, messages: Bytes, stops: Ints) -> dict[str, Ints]:
        """Return the columns of messages that `encode` made.

        Raises
        ------
        RecordsError
            If a message has another layout; the text names its number in the batch.

        """
        num_rows = len(stops)
        values, value_stops = decode_varints(messages)
        ends = np.searchsorted(value_stops, stops)
        counts = np.diff(ends, prepend=-1)
        is_whole = (ends < len(value_stops)) & (
            value_stops[np.minimum(ends, len(value_stops) - 1)] == stops
        )
        self._refuse(~is_whole | (counts != self.num_slots))
        slots = values.reshape(num_rows, self.num_slots)
        fixed = np.array(self._fixed)
        self._refuse((slots[:, fixed] != self._template[fixed]).any(axis=1))
        return {name: slots[:, where].copy() for name, where in self._columns.items()}

    def _refuse(self, is_bad: NDArray[np.bool_]) -> None:
        if is_bad.any():
            names = ", ".join(f"{name} [{length}]" for name, length in self.lengths.items())
            raise RecordsError(
                f"record {int(np.argmax(is_bad))} does not hold the features of the manifest: "
                f"{names}"
            )


def row_slices(stops: Ints) -> list[tuple[int, int]]:
    """Return (start, stop) of each message.

    >>> row_slices(np.array([3, 7]))
    [(0, 3), (3, 7)]
    """
    return list(pairwise([0, *stops.tolist()]))
