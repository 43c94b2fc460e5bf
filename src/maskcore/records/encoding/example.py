# SPDX-License-Identifier: Apache-2.0
"""Rows of fixed shape as tf.train.Example messages and back, whole batches at once.

Owns what a row consists of and which columns are accepted. Knows nothing of bytes, which `_codec`
makes, nor of record files or of what the features mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcore.errors import value_error
from maskcore.records._errors import RecordsError
from maskcore.records.encoding._codec import codec

__all__ = ["ExampleLayout", "Feature"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Columns = Mapping[str, NDArray[Any]]

# As in csrc/records/maskcore_records.h.
MAX_FEATURES = 64
MAX_LENGTH = 1 << 26
MAX_NAME_LENGTH = 1 << 10

DTYPES: Mapping[str, type[np.generic]] = {
    "int64": np.int64,
    "bytes": np.uint8,
    "float": np.float32,
}
# numpy's dtype.char -> the signed type that holds every value.
_SIGNED = {"?": np.int8, "B": np.int16, "H": np.int32, "I": np.int64}


class Feature(NamedTuple):
    """What each row holds under a name.

    >>> Feature("bytes", 256)
    Feature(kind='bytes', length=256)
    """

    kind: str
    """"int64" or "float": a list of `length` numbers; "bytes": one value of `length` bytes."""
    length: int
    """In [1, 2**26]."""


class ExampleLayout:
    """Examples whose features have fixed kinds and lengths; keys are sorted.

    Parameters
    ----------
    features : feature name -> Feature, or its length for "int64"
        At most 64; names are ASCII, of 1 to 1,024 letters.

    Raises
    ------
    ValueError
        For anything else; the text names the feature.

    Examples
    --------
    >>> layout = ExampleLayout({"row_id": 1, "input_ids": Feature("bytes", 4)})
    >>> rows = {"row_id": np.array([[300]]), "input_ids": np.array([[1, 0, 2, 0]], np.uint8)}
    >>> messages, stops = layout.encode(rows)
    >>> stops.tolist()
    [43]
    >>> layout.decode(messages, stops)["row_id"]
    array([[300]])

    """

    def __init__(self, features: Mapping[str, int | Feature]) -> None:
        self.features = {name: _checked(name, features[name]) for name in sorted(features)}
        if not 1 <= len(self.features) <= MAX_FEATURES:
            raise value_error(
                "features", f"1 to {MAX_FEATURES}", len(self.features), "merge some into one"
            )

    def encode(self, columns: Columns) -> tuple[Bytes, Ints]:
        """Return the messages one after the other, and where each ends.

        Parameters
        ----------
        columns : feature name -> array, shape (rows, length of the feature)
            Integers >= 0 of any size for "int64", uint8 for "bytes", float32 for "float".

        Returns
        -------
        uint8 array, shape (bytes of all messages,)
        int64 array, shape (rows,)

        Raises
        ------
        ValueError
            For columns of other names, types or shapes, and for a negative value; the text names
            feature, row and value.

        """
        return self.encode_as(columns, is_framed=False)

    def encode_as(self, columns: Columns, *, is_framed: bool) -> tuple[Bytes, Ints]:
        """Return the same as bare messages, or as the records of a TFRecord file."""
        checked, num_rows = self._checked_columns(columns)
        content, stops, negative = codec().encode(self.features, checked, num_rows, is_framed)
        if negative is not None:
            row, name = negative
            value = int(checked[name][row].min())
            raise value_error(
                f"columns[{name!r}][{row}]",
                ">= 0",
                value,
                "shift the values before they are stored",
            )
        return content, stops

    def decode(self, messages: Bytes, stops: Ints) -> dict[str, NDArray[Any]]:
        """Return the columns of messages that `encode` made.

        Parameters
        ----------
        messages : uint8 array
        stops : int64 array, shape (rows,)
            Where each ends, ascending.

        Returns
        -------
        dict
            Feature name -> int64, uint8 or float32 array, shape (rows, length of the feature).

        Raises
        ------
        RecordsError
            If a message has another layout; the text names its number in the batch.

        """
        return self.decode_as(messages, stops, is_framed=False)

    def decode_as(self, content: Bytes, stops: Ints, *, is_framed: bool) -> dict[str, NDArray[Any]]:
        """Return the columns of bare messages, or of records, whose checksums are not looked at."""
        stops = checked_stops(content, stops, at_least=16 if is_framed else 0)
        columns: dict[str, NDArray[Any]] = {
            name: np.empty((len(stops), feature.length), DTYPES[feature.kind])
            for name, feature in self.features.items()
        }
        bad_row = codec().decode(self.features, columns, content, stops, is_framed)
        if bad_row is not None:
            raise RecordsError(
                f"record {bad_row} does not hold the features of the manifest: {self._described()}"
            )
        return columns

    def _described(self) -> str:
        return ", ".join(f"{name} {kind}[{n}]" for name, (kind, n) in self.features.items())

    def _checked_columns(self, columns: Columns) -> tuple[dict[str, NDArray[Any]], int]:
        if columns.keys() != self.features.keys():
            raise value_error(
                "columns",
                f"those of {', '.join(self.features)}",
                f"{', '.join(columns)}",
                "pass each feature of the layout once",
            )
        num_rows = len(next(iter(columns.values())))
        return {
            name: _checked_column(name, feature, columns[name], num_rows)
            for name, feature in self.features.items()
        }, num_rows


def checked_stops(content: Bytes, stops: Ints, at_least: int) -> Ints:
    """Return where the parts of `content` end, each at least so long; raise if they do not fill it."""
    stops = np.ascontiguousarray(stops, np.int64)
    end = int(stops[-1]) if len(stops) else 0
    if (np.diff(stops, prepend=0) < at_least).any() or end != len(content):
        raise value_error(
            "stops", f"ascending up to {len(content)}", stops, "pass those that came with the bytes"
        )
    return stops


def _checked(name: str, feature: int | Feature) -> Feature:
    kind, length = feature if isinstance(feature, Feature) else Feature("int64", feature)
    if not (name.isascii() and 1 <= len(name) <= MAX_NAME_LENGTH):
        raise value_error(
            "a feature's name", f"1 to {MAX_NAME_LENGTH} letters of ASCII", repr(name), "rename it"
        )
    if kind not in DTYPES:
        raise value_error(
            f"the kind of {name!r}", f"one of {', '.join(DTYPES)}", repr(kind), "spell it so"
        )
    if not 1 <= length <= MAX_LENGTH:
        raise value_error(
            f"the length of {name!r}", f"in [1, {MAX_LENGTH}]", length, "leave out what is empty"
        )
    return Feature(kind, int(length))


def _checked_column(
    name: str, feature: Feature, column: NDArray[Any], num_rows: int
) -> NDArray[Any]:
    """Return the column as the codecs take it: contiguous, native-endian, signed where of integers."""
    wanted = {"int64": "biu", "bytes": "u", "float": "f"}[feature.kind]
    is_right = column.dtype.kind in wanted and (
        feature.kind == "int64" or column.dtype.itemsize == np.dtype(DTYPES[feature.kind]).itemsize
    )
    if not is_right or column.shape != (num_rows, feature.length):
        of_type = "integers" if feature.kind == "int64" else np.dtype(DTYPES[feature.kind]).name
        raise value_error(
            f"columns[{name!r}]",
            f"{of_type} of shape {(num_rows, feature.length)}",
            f"{column.dtype} of shape {column.shape}",
            f"its feature is {feature}",
        )
    if column.dtype.kind == "u" and column.dtype.itemsize == 8:
        if column.size and int(column.max()) >= 1 << 63:
            raise value_error(f"columns[{name!r}]", "below 2**63", int(column.max()), "shift it")
        return np.ascontiguousarray(column, np.int64)
    native = column.dtype.newbyteorder("=")
    if feature.kind == "int64":
        return np.ascontiguousarray(column, _SIGNED.get(native.char, native))
    return np.ascontiguousarray(column, native)
