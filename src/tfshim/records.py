# SPDX-License-Identifier: Apache-2.0
"""Records as tensors: one function for every layout of TFRecord files, in TensorFlow's own ops.

Owns how docs/records.md, "The records", reads in a graph. Knows nothing of files or of how records
are made; it needs neither the builder's libraries nor the compiled op.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from maskcore.errors import type_error, value_error
from tfshim._tensorflow import Tensor, tensorflow

__all__ = ["parse_records"]

# Features of compact records: docs/records.md.
_NUM_TOKENS = "num_tokens"
_TOKEN_TYPE_START = "token_type_start"
_WORD_BASES = "word_bases"
_WORD_BLOCK = 128  # places that share a base

_RAW_TYPES = ("uint8", "uint16", "int32")


def parse_records(
    serialized: Any, manifest: Any, seq_length: int | None = None
) -> dict[str, Tensor]:
    """Parse a batch of records, whatever their layout.

    Batch before you parse: a call costs about as much for one record as for a hundred.

    Parameters
    ----------
    serialized : string tensor, shape (batch,)
        Records of a `tf.data.TFRecordDataset`.
    manifest : maskcore.records.Manifest, or mapping of feature names to (length, dtype)
        What the records hold: the manifest of their folder, or its `features` for one bin.
    seq_length : int, optional
        Which bin of the manifest the records are of; needed where it has several.

    Returns
    -------
    dict of tensors
        The columns of docs/records.md, int32 of shape (batch, length), which every accelerator takes;
        `row_id` int64 of shape (batch, 1), and `masked_lm_weights` of schema "bert" float32. The
        lengths are static, and so is the batch where that of `serialized` is.

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind than stated, and a bin that the manifest does not have.
    tf.errors.InvalidArgumentError
        When the graph runs, for records that do not hold these features.

    Examples
    --------
    >>> import tensorflow as tf, tfshim
    >>> values = tf.train.Int64List(value=[7, 8])
    >>> feature = {"input_ids": tf.train.Feature(int64_list=values)}
    >>> example = tf.train.Example(features=tf.train.Features(feature=feature))
    >>> batch = tf.constant([example.SerializeToString()])
    >>> tfshim.parse_records(batch, {"input_ids": (2, "int64")})["input_ids"].numpy()
    array([[7, 8]], dtype=int32)

    """
    return parse_columns(serialized, _features(manifest, seq_length))


# AutoGraph takes the function as it is: it holds no control flow on tensors. The mark is what
# `tf.autograph.experimental.do_not_convert` sets, which cannot be called before TensorFlow is
# imported.
parse_records.__dict__["autograph_info__"] = {}


def parse_columns(
    serialized: Any, features: Mapping[str, tuple[int, str]], as_stored: Container[str] = ()
) -> dict[str, Tensor]:
    """Parse as `parse_records` does, but leave the columns `as_stored` in the dtype of their feature."""
    tf = tensorflow()
    serialized = tf.convert_to_tensor(serialized, tf.string)
    if serialized.shape.rank not in (None, 1):
        raise value_error(
            "serialized",
            "a batch, of shape (batch,)",
            f"shape {serialized.shape}",
            "batch the records before they are parsed",
        )
    specification = {name: _specification(*entry) for name, entry in features.items()}
    parsed = tf.io.parse_example(serialized, specification)
    columns = {name: _numbers(parsed[name], *entry) for name, entry in features.items()}
    if _NUM_TOKENS in columns:
        columns = _expanded(columns, features["input_ids"][0])
    batch = serialized.shape[0] if serialized.shape.rank == 1 else None
    finished = {}
    for name in sorted(columns):
        column = columns[name]
        if name != "row_id" and name not in as_stored and column.dtype.is_integer:
            column = tf.cast(column, tf.int32)
        finished[name] = tf.ensure_shape(column, [batch, column.shape[1]])
    return finished


def _features(manifest: Any, seq_length: int | None) -> dict[str, tuple[int, str]]:
    """Return the features of the records' bin."""
    if isinstance(manifest, Mapping):
        features = manifest
    elif not hasattr(manifest, "features") or not hasattr(manifest, "bins"):
        raise type_error(
            "manifest",
            "a maskcore.records.Manifest, or the features of one bin",
            type(manifest).__name__,
            "pass maskcore.records.open(folder).manifest",
        )
    else:
        if manifest.file_format != "tfrecord":
            raise value_error(
                "manifest", "one of TFRecord files", manifest.file_format, "read them with pyarrow"
            )
        bins = tuple(manifest.bins)
        if seq_length is None and len(bins) == 1:
            seq_length = bins[0]
        if seq_length not in bins:
            raise value_error(
                "seq_length",
                f"one of {', '.join(map(str, bins))}",
                seq_length,
                "a call takes one bin",
            )
        features = manifest.features[seq_length]
    return {name: (int(length), str(dtype)) for name, (length, dtype) in features.items()}


def _specification(length: int, dtype: str) -> Any:
    tf = tensorflow()
    if dtype in ("int64", "float32"):
        return tf.io.FixedLenFeature([length], tf.dtypes.as_dtype(dtype))
    if dtype in _RAW_TYPES:
        return tf.io.FixedLenFeature([], tf.string)
    raise value_error(
        "dtype of a feature",
        f"one of int64, float32, {', '.join(_RAW_TYPES)}",
        repr(dtype),
        "use the tfshim of the maskcore that wrote the records",
    )


def _numbers(parsed: Tensor, length: int, dtype: str) -> Tensor:
    """Return the values of a feature, as they are stored."""
    tf = tensorflow()
    if dtype not in _RAW_TYPES:
        return parsed
    raw = tf.io.decode_raw(parsed, tf.dtypes.as_dtype(dtype), little_endian=True)
    # Not tf.ensure_shape: of no records at all, decode_raw makes a tensor of shape (0, 0).
    return tf.reshape(raw, [tf.shape(parsed)[0], length])


def _expanded(columns: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    """Return the columns of compact records."""
    tf = tensorflow()
    place = tf.range(length, dtype=tf.int32)[None, :]
    is_used = place < tf.cast(columns.pop(_NUM_TOKENS), tf.int32)
    columns["attention_mask"] = tf.cast(is_used, tf.int32)
    starts = columns.pop(_TOKEN_TYPE_START, None)
    if starts is None:
        columns["token_type_ids"] = tf.zeros_like(columns["attention_mask"])
    else:
        is_second = is_used & (place >= tf.cast(starts, tf.int32))
        columns["token_type_ids"] = tf.cast(is_second, tf.int32)
    bases = columns.pop(_WORD_BASES, None)
    if bases is not None:
        columns["word_ids"] = _word_ids(columns["word_ids"], bases, length)
    return columns


def _word_ids(above: Tensor, bases: Tensor, length: int) -> Tensor:
    """Add to each word number the base of its block; 0 stays 0."""
    tf = tensorflow()
    above, bases = tf.cast(above, tf.int32), tf.cast(bases, tf.int32)
    is_word = tf.minimum(above, 1)
    if length % _WORD_BLOCK:
        base = tf.repeat(bases, _WORD_BLOCK, axis=1)[:, :length]
        return above + base * is_word
    blocks = [-1, length // _WORD_BLOCK, _WORD_BLOCK]
    base = tf.reshape(is_word, blocks) * bases[:, :, None]
    return above + tf.reshape(base, [-1, length])
