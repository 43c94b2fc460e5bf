# SPDX-License-Identifier: Apache-2.0
"""Where `implementation="xla"` runs and is chosen: eager code, maps, compiled functions, saved models.

The masks themselves are tested in test_tf_xla.py, what its graphs hold in test_tf_xla_programs.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tf_support import maskable_rows, python_example, reference, run_python, segment_ids, word_ids
from tf_xla_support import (
    TEXT_OF_PYTHON,
    expected_tokens,
    nodes_of,
    operations,
)

import tfshim
from maskcore import BackendUnavailableError

pytestmark = pytest.mark.tensorflow

NUM_ROWS, LENGTH = 10, 40
SHAPE = (NUM_ROWS, LENGTH)
ROWS = maskable_rows(SHAPE, "uint8")
WORDS, SEGMENTS = word_ids(SHAPE), segment_ids(SHAPE)
ROW_IDS = np.random.default_rng(6).integers(0, 2**63 - 1, NUM_ROWS)
OPTIONS: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": 7, "seed": 11}
TOKENS = np.random.default_rng(7).integers(0, 90, SHAPE).astype(np.int32)
OF_TOKENS: dict[str, Any] = {
    "mask_id": 3,
    "random_ids": range(10, 90),
    "special_ids": [0, 1, 2, 3],
    "masking_ratio": 0.3,
    "max_n": 3,
    "seed": 11,
}
EXPECTED = reference(ROWS, 7, seed=11, row_ids=ROW_IDS, word_ids=WORDS, segment_ids=SEGMENTS)


def masked(rows: Any, row_ids: Any, implementation: str | None = "xla", **options: Any) -> Any:
    words = {"word_ids": WORDS, "segment_ids": SEGMENTS} if rows.shape[0] == NUM_ROWS else {}
    return tfshim.get_masking_position(
        rows, row_ids=row_ids, implementation=implementation, **{**OPTIONS, **words, **options}
    )


def masked_tokens(ids: Any, row_ids: Any, implementation: str | None) -> Any:
    return tfshim.mask_tokens(ids, row_ids=row_ids, implementation=implementation, **OF_TOKENS)


def compiled_around(inner: Any) -> Any:
    """Return a compiled function that calls another one, which keeps its traces."""

    def outer(rows: Any, row_ids: Any) -> Any:
        return inner(rows, row_ids) * tf.ones((), tf.uint8)

    return tf.function(outer, jit_compile=True)


def test_eager() -> None:
    np.testing.assert_array_equal(masked(ROWS, ROW_IDS), EXPECTED)


def test_compiled_functions_take_it_without_being_told(recwarn: pytest.WarningsRecorder) -> None:
    graph = tf.function(lambda rows, ids: masked(rows, ids, None), jit_compile=True)
    np.testing.assert_array_equal(graph(ROWS, ROW_IDS), EXPECTED)
    assert not [warning for warning in recwarn if "tfshim" in str(warning.message)]


def test_compiled_functions_inside_of_others() -> None:
    inner = tf.function(lambda rows, ids: masked(rows, ids, None))
    outer = compiled_around(inner)
    np.testing.assert_array_equal(outer(ROWS, ROW_IDS), EXPECTED)


def test_an_explicit_choice_holds_where_an_inner_function_was_traced_before() -> None:
    """TensorFlow keeps the trace of the first call: it must serve in the second place, too."""
    inner = tf.function(lambda rows, ids: masked(rows, ids, "xla"))
    np.testing.assert_array_equal(inner(ROWS, ROW_IDS), EXPECTED)
    outer = compiled_around(inner)
    np.testing.assert_array_equal(outer(ROWS, ROW_IDS), EXPECTED)
    assert inner.experimental_get_tracing_count() == 1


def test_an_explicit_choice_of_tokens_holds_there_too() -> None:
    inner = tf.function(lambda ids, row_ids: masked_tokens(ids, row_ids, "xla"))
    expected = expected_tokens(input_ids=TOKENS, row_ids=ROW_IDS, **OF_TOKENS)
    for place in (inner, tf.function(lambda *given: inner(*given)._asdict(), jit_compile=True)):
        result = place(TOKENS, ROW_IDS)
        tensors = result.values() if isinstance(result, dict) else result
        for tensor, array in zip(tensors, expected, strict=True):
            np.testing.assert_array_equal(tensor, array)
    assert inner.experimental_get_tracing_count() == 1
    unnamed = tf.function(lambda ids, row_ids: masked_tokens(ids, row_ids, None), jit_compile=True)
    np.testing.assert_array_equal(unnamed(TOKENS, ROW_IDS).labels, expected.labels)


def test_the_choice_is_made_anew_at_each_call() -> None:
    """The same arguments, one implementation after the other, in eager code and in one graph."""
    names = ("custom_op", "xla", "numpy_function", "xla")
    for name in names:
        np.testing.assert_array_equal(masked(ROWS, ROW_IDS, name), EXPECTED)
    with tf.Graph().as_default() as graph:
        for name in names[:3]:
            masked(tf.constant(ROWS), ROW_IDS, name)
    assert {"Maskcore>MaskPositions", "PopulationCount", "PyFuncStateless"} <= operations(graph)


def test_what_cannot_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "which cannot run: XLA cannot compile it, as jit_compile=True and TPUs ask for"
    for name in ("custom_op", "numpy_function"):
        graph = tf.function(lambda rows, ids, name=name: masked(rows, ids, name), jit_compile=True)
        with pytest.raises(BackendUnavailableError, match=f"{name!r}, {reason}"):
            graph(ROWS, ROW_IDS)
    monkeypatch.setenv("MASKCORE_TF_IMPLEMENTATION", "custom_op")
    with pytest.raises(BackendUnavailableError, match=f"^MASKCORE_TF_IMPLEMENTATION.*{reason}"):
        tf.function(lambda rows, ids: masked(rows, ids, None), jit_compile=True)(ROWS, ROW_IDS)


def test_the_classic_op_is_not_offered() -> None:
    options: dict[str, Any] = {"max_n": 3, "num_tokens_to_mask": 2}
    text = "it does not offer get_masking_position without row_ids"
    with pytest.raises(BackendUnavailableError, match=f"'xla', which cannot run: {text}"):
        tfshim.get_masking_position(ROWS, implementation="xla", **options)
    graph = tf.function(lambda rows: tfshim.get_masking_position(rows, **options), jit_compile=True)
    with pytest.raises(BackendUnavailableError, match=text):
        graph(ROWS)


def test_environment_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKCORE_TF_IMPLEMENTATION", "xla")
    with tf.Graph().as_default() as graph:
        tfshim.get_masking_position(tf.constant(ROWS), row_ids=ROW_IDS, **OPTIONS)
    assert "PopulationCount" in operations(graph)


@pytest.mark.parametrize("calls", [None, 2, tf.data.AUTOTUNE])
def test_in_a_map(calls: int | None) -> None:
    """The last batch is smaller: another program, the same masks."""
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(4)
    dataset = dataset.map(masked, num_parallel_calls=calls)
    assert dataset.element_spec == tf.TensorSpec([None, LENGTH], tf.uint8)
    expected = reference(ROWS, 7, seed=11, row_ids=ROW_IDS)
    np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), expected)


def test_a_map_that_is_compiled_by_its_user() -> None:
    function = tf.function(lambda rows, ids: masked(rows, ids, None), jit_compile=True)
    dataset = tf.data.Dataset.from_tensors((ROWS, ROW_IDS)).map(function)
    np.testing.assert_array_equal(next(iter(dataset)), EXPECTED)


def test_an_iterator_is_restored_in_mid_epoch(tmp_path: Path) -> None:
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(2).map(masked)
    iterator = iter(dataset)
    next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.save(str(tmp_path / "at"))
    rest = [mask.numpy() for mask in iterator]
    checkpoint.restore(path)
    np.testing.assert_array_equal([mask.numpy() for mask in iterator], rest)


def test_keras_compiles_it_into_the_train_step() -> None:
    class Model(tf.keras.Model):  # type: ignore[misc]  # TensorFlow ships no types
        def __init__(self) -> None:
            super().__init__()
            self.head = tf.keras.layers.Dense(1)

        def call(self, rows: Any) -> Any:
            return self.head(rows)

        def train_step(self, rows_and_ids: Any) -> dict[str, Any]:
            rows, row_ids = rows_and_ids
            mask = tfshim.get_masking_position(rows, row_ids=row_ids, **OPTIONS)
            return {"checksum": tf.reduce_sum(mask * tf.range(1.0, LENGTH + 1))}

    model = Model()
    model.compile(optimizer="sgd", jit_compile=True)
    batches = tf.data.Dataset.from_tensors((ROWS.astype(np.float32), ROW_IDS)).repeat(2)
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history
    expected = reference(ROWS, 7, seed=11, row_ids=ROW_IDS) * np.arange(1.0, LENGTH + 1)
    assert history["checksum"] == [expected.sum()]


def test_a_tf_data_service_worker_needs_neither_python_nor_tfshim() -> None:
    """A worker in a fresh process gets the graph, and nothing else."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    worker = (
        "import sys, tensorflow as tf\n"
        "service = tf.data.experimental.service\n"
        f"config = service.WorkerConfig({dispatcher.target.split('://')[1]!r})\n"
        "worker = service.WorkerServer(config)\n"
        "print('tfshim' in sys.modules, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n"
        dataset = tf.data.Dataset.from_tensors((ROWS, ROW_IDS)).map(masked)
        dataset = dataset.apply(service.distribute("parallel_epochs", dispatcher.target))
        mask = next(iter(dataset)).numpy()
        process.kill()
    np.testing.assert_array_equal(mask, EXPECTED)


def test_example_of_the_document() -> None:
    rows = {"attention_mask": ROWS, "row_id": ROW_IDS}
    scope: dict[str, Any] = {"dataset": tf.data.Dataset.from_tensor_slices(rows).repeat(26)}
    exec(python_example("def split_ids"), scope)
    (mask,) = scope["masks"].as_numpy_iterator()
    row_ids = np.tile(ROW_IDS, 26)[:256]
    expected = reference(np.tile(ROWS, (26, 1))[:256], 20, seed=7, row_ids=row_ids)
    np.testing.assert_array_equal(mask, expected)


class Masker(tf.Module):
    @tf.function(
        input_signature=[tf.TensorSpec([None, LENGTH], tf.uint8), tf.TensorSpec([None], tf.int64)]
    )
    def __call__(self, rows: Any, row_ids: Any) -> Any:
        return masked(rows, row_ids)

    @tf.function(
        input_signature=[tf.TensorSpec([None, LENGTH], tf.int32), tf.TensorSpec([None], tf.int64)]
    )
    def tokens(self, ids: Any, row_ids: Any) -> Any:
        return masked_tokens(ids, row_ids, "xla").labels


def test_a_saved_model_needs_neither_python_nor_tfshim(tmp_path: Path) -> None:
    tf.saved_model.save(Masker(), str(tmp_path))
    np.save(tmp_path / "rows.npy", ROWS)
    np.save(tmp_path / "ids.npy", ROW_IDS)
    np.save(tmp_path / "tokens.npy", TOKENS)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load('.')\n"
        "np.save('mask.npy', model(np.load('rows.npy'), np.load('ids.npy')))\n"
        "np.save('labels.npy', model.tokens(np.load('tokens.npy'), np.load('ids.npy')))\n"
        "print('tfshim' in sys.modules, 'maskcore' in sys.modules)\n"
    )
    assert run_python(code, tmp_path) == "False False\n"
    expected = reference(ROWS, 7, seed=11, row_ids=ROW_IDS)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)
    labels = expected_tokens(input_ids=TOKENS, row_ids=ROW_IDS, **OF_TOKENS).labels
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), labels)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    types = {node.op for node in nodes_of(saved.meta_graphs[0].graph_def)}
    assert "PopulationCount" in types
    assert not types & set(TEXT_OF_PYTHON)
    assert not [name for name in types if ">" in name]
