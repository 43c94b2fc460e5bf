# SPDX-License-Identifier: Apache-2.0
"""What the tests of the records share."""

import hashlib
import importlib
import os

import numpy as np


def hashes(folder, names=None):
    """Return {file name: SHA-256} of a folder, or of some of its files."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(os.listdir(folder) if names is None else names)
    }


def use_codec(monkeypatch, name):
    """Make and read records with a codec until the test ends."""
    from maskcore.records.encoding import _codec

    module = importlib.import_module(f"maskcore.records.encoding._codec_{name}")
    monkeypatch.setattr(_codec, "_chosen", lambda: (name, module))


def random_columns(rng, layout, num_rows):
    """Return columns for a layout whose numbers take one to nine bytes."""
    columns = {}
    for name, (kind, length) in layout.features.items():
        shape = (num_rows, length)
        if kind == "int64":
            values = rng.integers(0, 2**63, shape, dtype=np.int64)
            columns[name] = values >> rng.integers(0, 64, shape)
        elif kind == "bytes":
            columns[name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            columns[name] = rng.normal(size=shape).astype(np.float32)
    return columns


def example_bytes(columns, row):
    """Return the message that TensorFlow makes of a row: lists of integers and floats, and bytes."""
    import tensorflow as tf

    features = {}
    for name, column in columns.items():
        values = column[row]
        if values.dtype == np.uint8:
            value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[values.tobytes()]))
        elif values.dtype == np.float32:
            value = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            value = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        features[name] = value
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
