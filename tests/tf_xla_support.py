# SPDX-License-Identifier: Apache-2.0
"""What the tests of the XLA implementation share: ways to run it, rows that differ in everything, and what graphs hold.

A program takes seconds to compile, and half a second to trace: so most cases run as plain operations (`in_a_graph`), and some are
compiled. Owns no expected values but those of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import maskable_rows, reference, segment_ids, word_ids

import maskcore
import tfshim
from tfshim import _place

NUM_ROWS = 9
EPOCHS = [0, 1, 2**31 - 1, 5, 6, 7, 8, 9, 10]
ROW_IDS = [0, 2**32, 2**63 - 1, 7, 8, 9, 2**31, 2**32 - 1, 10]
TEXT_OF_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


@contextmanager
def as_plain_operations() -> Iterator[None]:
    """Make graphs of the operations themselves, which TensorFlow then runs one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_place, "is_compiled", lambda: True)
        yield


def in_a_graph(function: Callable[..., Any], options: dict[str, Any], **tensors: Any) -> Any:
    """Run `function` as plain operations, with `tensors` as inputs of known shape."""
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    with as_plain_operations():
        graph = tf.function(lambda given: function(**given, **options), autograph=False)
        return graph(given)


def compiled(function: Callable[..., Any], options: dict[str, Any], **tensors: Any) -> Any:
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    graph = tf.function(
        lambda given: function(**given, **options), jit_compile=True, autograph=False
    )
    return graph(given)


RUNS = pytest.mark.parametrize("run", [in_a_graph, compiled], ids=["plain", "compiled"])


def kind_of_rows(kind: str, shape: tuple[int, ...]) -> dict[str, Any]:
    words = {"word_ids": word_ids(shape)} if "words" in kind else {}
    return words | ({"segment_ids": segment_ids(shape)} if "segments" in kind else {})


def batch(kind: str, length: int) -> dict[str, Any]:
    """Return rows that differ in budget, epoch and both halves of their ids."""
    shape = (NUM_ROWS, length)
    budgets = [0, 1, 2, length // 7, length // 3, length // 2, max(0, length - 1), length, 2**62]
    return {
        "maskable_positions": maskable_rows(shape, "uint8"),
        "num_tokens_to_mask": np.array(budgets),
        "epoch": np.array(EPOCHS),
        "row_ids": np.array(ROW_IDS),
        **kind_of_rows(kind, shape),
    }


def assert_same(result: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert type(result) is type(expected)
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)
        return
    assert result.dtype.as_numpy_dtype == expected.dtype
    np.testing.assert_array_equal(result.numpy(), expected, strict=True)


def masked_positions(**options: Any) -> Any:
    return tfshim.get_masking_position(implementation="xla", **options)


def masked_tokens(**options: Any) -> Any:
    return tfshim.mask_tokens(implementation="xla", **options)


def expected_positions(**options: Any) -> Any:
    rows = options.pop("maskable_positions")
    return reference(rows, options.pop("num_tokens_to_mask", None), **options)


def expected_tokens(**options: Any) -> Any:
    with maskcore.use_backend("reference"):
        return maskcore.mask_tokens(**options)


def nodes_of(graph: Any) -> list[Any]:
    """Return all nodes of a GraphDef, those of its functions included."""
    return [
        *graph.node,
        *(node for function in graph.library.function for node in function.node_def),
    ]


def operations(graph: Any) -> set[str]:
    return {node.op for node in nodes_of(graph.as_graph_def())}


def plain_graph(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Any:
    """Return the graph of the operations themselves, with `arguments` as its inputs."""
    given = {name: tf.convert_to_tensor(value) for name, value in arguments.items()}
    monkeypatch.setattr(_place, "is_compiled", lambda: True)
    function = tf.function(
        lambda given: tfshim.get_masking_position(implementation="xla", max_n=3, **given),
        autograph=False,
    )
    return function.get_concrete_function(given).graph
