# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs: the op, or numpy_function with the reason; what is forced and cannot run raises."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tensorflow as tf
from tf_support import run_python

import tfshim

pytestmark = pytest.mark.tensorflow

ROW = [1, 1, 1, 1]


def op_types() -> set[str]:
    with tf.Graph().as_default() as graph:
        tfshim.get_masking_position(ROW, max_n=2, num_tokens_to_mask=1, row_ids=4)
    return {operation.type for operation in graph.get_operations()} - {"Const"}


def test_the_op_loads_here() -> None:
    """A required implementation fails rather than skips."""
    status = tfshim.available_implementations()
    assert [(line.name, line.reason) for line in status] == [
        (name, "") for name in ("custom_op", "xla", "numpy_function")
    ]
    assert all(line.is_available for line in status)


def test_the_op_is_the_first_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKCORE_TF_IMPLEMENTATION", raising=False)
    assert op_types() == {"Maskcore>MaskPositions"}


def test_environment_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKCORE_TF_IMPLEMENTATION", "numpy_function")
    assert op_types() == {"PyFuncStateless"}
    monkeypatch.setenv("MASKCORE_TF_IMPLEMENTATION", "custom_op")
    assert op_types() == {"Maskcore>MaskPositions"}
    monkeypatch.setenv("MASKCORE_TF_IMPLEMENTATION", "opencl")
    with pytest.raises(
        ValueError,
        match=r"^MASKCORE_TF_IMPLEMENTATION must be one of custom_op, xla, numpy_function, got 'opencl'",
    ):
        op_types()  # fmt: skip


def test_where_the_op_is_missing() -> None:
    """A wheel without compiled code: the reason is told once, and what is forced raises."""
    code = """
import warnings
import tfshim._op_library
tfshim._op_library._FILE_NAME = "_absent.so"
import numpy as np, maskcore
from maskcore import BackendUnavailableError
rows = np.ones((2, 9))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    masks = [tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=4, row_ids=[1, 2]).numpy() for _ in range(3)]
    tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=4)
told = [str(warning.message) for warning in told if issubclass(warning.category, RuntimeWarning)]
expected = maskcore.mask_positions(rows, 4, seed=23, row_ids=[1, 2])
assert all((mask == expected).all() for mask in masks)
for force in (
    lambda: tfshim.get_masking_position(rows, max_n=3, num_tokens_to_mask=4, implementation="custom_op"),
    lambda: tfshim.raw_ops.mask_positions,
    lambda: tfshim.register_ops(),
):
    try:
        force()
    except BackendUnavailableError as error:
        told.append(str(error))
print(*told, sep="\\n")
print(tfshim.available_implementations()[0])
"""
    reason = "_absent.so is not installed; install a wheel with compiled code"
    assert run_python(code).splitlines() == [
        f"tfshim runs on its slower 'xla' implementation. 'custom_op' is missing ({reason}).",
        "tfshim runs on its slower 'numpy_function' implementation. "
        f"'custom_op' is missing ({reason}). "
        "'xla' is missing (it does not offer get_masking_position without row_ids).",
        f"implementation asks for implementation 'custom_op', which cannot run: {reason}",
        f"the op library of tfshim cannot be used: {reason}",
        f"the op library of tfshim cannot be used: {reason}",
        f"ImplementationStatus(name='custom_op', is_available=False, reason='{reason}')",
    ]


def test_without_tensorflow() -> None:
    """Importing tfshim needs no TensorFlow; using it names the way to get it."""
    code = """
import sys
sys.modules["tensorflow"] = None
import tfshim
try:
    tfshim.get_masking_position([1], max_n=1, num_tokens_to_mask=1)
except ImportError as error:
    print(error)
"""
    assert run_python(code) == (
        "tfshim needs TensorFlow (import of tensorflow halted; None in sys.modules): "
        "pip install 'maskcore[tensorflow]'\n"
    )


def test_import_does_not_load_tensorflow() -> None:
    code = "import sys, tfshim, tfshim.raw_ops; print('tensorflow' in sys.modules)"
    assert run_python(code) == "False\n"


def test_the_op_library_is_loaded_once_however_often_asked() -> None:
    assert tfshim.raw_ops.mask_positions is tfshim.raw_ops.mask_positions
    tfshim.register_ops()
    with pytest.raises(
        AttributeError, match=r"has no attribute 'mask_spans'; it has get_masking_position"
    ):
        _ = tfshim.raw_ops.mask_spans
    assert dir(tfshim.raw_ops) == ["get_masking_position", "mask_positions", "mask_tokens"]


def test_op_library_loads_without_tensorflow_and_says_what_is_missing() -> None:
    """It binds to the TensorFlow of the process, and registers nothing where there is none."""
    code = (
        "import ctypes, tfshim._op_library as library\n"
        "print(library._missing_function(library._library_path()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout in ("libtensorflow_framework.so.2\n", "libtensorflow_framework.2.dylib\n")
