# SPDX-License-Identifier: Apache-2.0
"""What the graphs and programs of `implementation="xla"` hold: operations, dtypes, memory, shapes; and its limits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from test_tf_errors import BAD_VALUES, bad_call, int_dtype
from tf_support import ROOT, maskable_rows, reference, segment_ids, word_ids
from tf_xla_support import (
    nodes_of,
    operations,
    plain_graph,
)

import tfshim
from maskcore import BackendUnavailableError
from tfshim import _place

pytestmark = pytest.mark.tensorflow

NUM_ROWS, LENGTH = 10, 40
SHAPE = (NUM_ROWS, LENGTH)
ROWS = maskable_rows(SHAPE, "uint8")
WORDS, SEGMENTS = word_ids(SHAPE), segment_ids(SHAPE)
ROW_IDS = np.random.default_rng(6).integers(0, 2**63 - 1, NUM_ROWS)


def test_operations_are_those_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/tensorflow.md lists all of them, and no other."""
    text = (ROOT / "docs" / "tensorflow.md").read_text()
    listed = re.search(r"<!-- operations -->\n(.*?)\n\n", text, re.DOTALL)
    assert listed
    used: set[str] = set()
    for words in ({}, {"word_ids": WORDS, "segment_ids": SEGMENTS}):
        for rows in (ROWS, ROWS.astype("float32")):
            given = {"maskable_positions": rows, "row_ids": ROW_IDS, "epoch": np.int64(0), **words}
            for budget in ({"num_tokens_to_mask": np.int64(7)}, {}):
                ratio = {} if budget else {"masking_ratio": 0.15}
                used |= token_operations(monkeypatch, {**given, **budget}, ratio)
    plumbing = {"Placeholder", "Identity", "NoOp", "_Arg", "_Retval"}
    assert set(re.findall(r"`(\w+)`", listed[1])) == used - plumbing


def token_operations(
    monkeypatch: pytest.MonkeyPatch, tensors: dict[str, Any], options: dict[str, Any]
) -> set[str]:
    given = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    given["input_ids"] = tf.constant(WORDS)
    specs = {  # of unknown batch size
        name: tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)
        for name, tensor in given.items()
    }
    monkeypatch.setattr(_place, "is_compiled", lambda: True)

    def both(given: dict[str, Any]) -> Any:
        tokens: dict[str, Any] = {
            "implementation": "xla",
            "mask_id": 3,
            "special_ids": [0],
            "random_ids": range(1, 200, 2),
            "max_predictions": 9,
        }
        return [
            tfshim.mask_tokens(**given, **tokens, **options, output=output)
            for output in ("labels", "positions")
        ]

    graph = tf.function(both, autograph=False).get_concrete_function(specs).graph
    return operations(graph)


def test_32_bit_arguments_need_no_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In no operation, those in loops included."""
    graph = plain_graph(
        monkeypatch,
        maskable_positions=ROWS.astype(np.int32),
        num_tokens_to_mask=np.full(NUM_ROWS, 7, np.int32),
        epoch=np.zeros(NUM_ROWS, np.int32),
        row_ids=ROW_IDS.view(np.uint32).reshape(-1, 2),
        seed=np.array([11, 0], np.uint32),
        word_ids=WORDS,
        segment_ids=SEGMENTS,
    )
    wide = {types_pb2.DT_INT64, types_pb2.DT_UINT64, types_pb2.DT_DOUBLE}
    for node in nodes_of(graph.as_graph_def()):
        for attribute in node.attr.values():
            assert not wide & {attribute.type, *attribute.list.type}, node


@pytest.mark.parametrize("words", [{}, {"word_ids": 0, "segment_ids": 0}], ids=["tokens", "words"])
def test_memory_grows_with_the_batch_and_the_length_only(words: dict[str, Any]) -> None:
    """No array of the compiled program has more than two elements a token, whatever the budget."""
    rows, length = 8, 256
    given = {
        "maskable_positions": tf.ones((rows, length), tf.int32),
        "row_ids": tf.range(rows, dtype=tf.int64),
        "num_tokens_to_mask": tf.constant(200),
        **{name: tf.zeros((rows, length), tf.int32) for name in words},
    }
    function = tf.function(
        lambda given: tfshim.get_masking_position(max_n=3, **given), jit_compile=True
    )
    text = function.experimental_get_compiler_ir(given)(stage="optimized_hlo")
    outside_of_fusions = [
        line
        for block in re.split(r"\n\n", text)
        if not block.startswith("%fused")
        for line in block.splitlines()
    ]
    arrays = re.findall(r"= \w+\[([\d,]+)\]", "\n".join(outside_of_fusions))
    sizes = [int(np.prod([int(n) for n in shape.split(",")])) for shape in arrays]
    assert len(sizes) > 50
    assert max(sizes) <= 2 * rows * length


def test_one_program_for_each_shape() -> None:
    """Values decide nothing: other rows, budgets and ids run the program that is there."""
    function = tf.function(
        lambda rows, ids, budget: tfshim.get_masking_position(
            rows, max_n=3, num_tokens_to_mask=budget, row_ids=ids
        ),
        jit_compile=True,
    )
    for seed, budget in ((1, 3), (2, 30), (3, -4)):
        rows = maskable_rows((4, 20), seed=seed)
        result = function(rows, np.arange(4) + seed, tf.constant(budget))
        expected = reference(rows, max(0, budget), seed=23, row_ids=np.arange(4) + seed)
        np.testing.assert_array_equal(result, expected)
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("spec", [[None, 8], [3, 8], [8]], ids=str)
def test_static_shapes_are_inferred(spec: list[int | None]) -> None:
    @tf.function(
        input_signature=[tf.TensorSpec(spec, tf.int32), tf.TensorSpec(spec[:-1], tf.int64)]
    )
    def function(rows: tf.Tensor, row_ids: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            rows, max_n=2, num_tokens_to_mask=1, row_ids=row_ids, implementation="xla"
        )

    assert function.get_concrete_function().output_shapes == tf.TensorShape(spec)


@pytest.mark.parametrize("spec", [None, [None, None], [None]], ids=str)
def test_the_length_of_the_rows_must_be_known(spec: list[None] | None) -> None:
    text = "the length of the rows must be known: use tf.ensure_shape"
    with tf.Graph().as_default():
        rows = tf.compat.v1.placeholder(tf.float32, spec)
        with pytest.raises(BackendUnavailableError, match=text):
            tfshim.get_masking_position(
                rows, max_n=2, num_tokens_to_mask=1, row_ids=[1], implementation="xla"
            )


def test_long_rows_are_refused() -> None:
    text = (
        "maskable_positions must be rows of at most 2**20 tokens, for the implementation 'xla', "
        "got 1048577; pass implementation='custom_op'"
    )
    with pytest.raises(ValueError, match=r".") as caught:
        tfshim.get_masking_position(
            np.zeros(2**20 + 1, bool),
            max_n=2,
            num_tokens_to_mask=1,
            row_ids=1,
            implementation="xla",
        )
    assert str(caught.value) == text


def test_predictions_need_a_size_that_is_known() -> None:
    with tf.Graph().as_default():
        budget = tf.compat.v1.placeholder(tf.int32, [])
        with pytest.raises(ValueError, match=r"^max_predictions must be given where the budget"):
            tfshim.mask_tokens(
                WORDS, None, budget, mask_id=3, special_ids=[0], random_ids=[5], row_ids=ROW_IDS,
                output="positions", implementation="xla",
            )  # fmt: skip


@pytest.mark.parametrize("name", BAD_VALUES)
def test_values_known_in_eager_code_raise_what_maskcore_raises(name: str) -> None:
    rows, arguments, text = bad_call(name)
    with pytest.raises(ValueError, match=r".") as caught:
        tfshim.get_masking_position(rows, implementation="xla", **arguments)
    assert str(caught.value) == text
    tensors = {key: as_tensor(key, value) for key, value in arguments.items()}
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught_of_tensors:
        tfshim.get_masking_position(tf.constant(rows), implementation="xla", **tensors)
    assert text in str(caught_of_tensors.value)


def as_tensor(key: str, value: Any) -> Any:
    return value if key == "max_n" else tf.constant(value, int_dtype(key, value))


def test_compiled_programs_clamp_what_they_cannot_refuse() -> None:
    """A budget below 0 is 0, one above `max_predictions` is that; more bits than there are do not count."""
    function = tf.function(
        lambda budget, epoch: tfshim.get_masking_position(
            np.ones((3, 20), np.int32),
            max_n=3,
            num_tokens_to_mask=budget,
            max_predictions=9,
            epoch=epoch,
            row_ids=[1, 2, 3],
        ),
        jit_compile=True,
    )
    mask = function(tf.constant([-(2**40), 2**40, 4]), tf.constant(2**32 + 5, tf.int64))
    assert tf.reduce_sum(mask, 1).numpy().tolist() == [0, 9, 4]
    expected = reference(np.ones((3, 20), np.int32), [0, 9, 4], seed=23, epoch=5, row_ids=[1, 2, 3])
    np.testing.assert_array_equal(mask, expected)


def test_numbers_that_are_not_one_for_each_row_fail() -> None:
    """Broadcasting would mask, and be wrong."""
    function = tf.function(
        lambda budget: tfshim.get_masking_position(
            tf.ones((3, 20)), max_n=3, num_tokens_to_mask=budget, row_ids=[1, 2, 3]
        ),
        input_signature=[tf.TensorSpec([None], tf.int32)],
        jit_compile=True,
    )
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        function(tf.constant([4]))


def test_there_is_no_gradient() -> None:
    rows = tf.Variable([1.0, 1.0, 1.0])
    with tf.GradientTape() as tape:
        mask = tfshim.get_masking_position(
            rows, max_n=2, num_tokens_to_mask=2, row_ids=4, implementation="xla"
        )
        loss = tf.reduce_sum(mask)
    assert tape.gradient(loss, rows) is None
