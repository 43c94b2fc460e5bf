# SPDX-License-Identifier: Apache-2.0
"""Where a call is made: in eager code, in a graph, or in what XLA will compile. Knows nothing of masking."""

from __future__ import annotations

import importlib

from tfshim._tensorflow import tensorflow


def is_compiled() -> bool:
    """Tell whether the graph that is being made will be compiled by XLA as a whole.

    That is so inside of `tf.function(jit_compile=True)` and of what TPUStrategy runs, at any depth. TensorFlow keeps it as a
    context of the graph, and its own layers ask in this way.
    """
    tf = tensorflow()
    if tf.executing_eagerly():
        return False
    contexts = importlib.import_module("tensorflow.python.ops.control_flow_util")
    return bool(contexts.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
