# SPDX-License-Identifier: Apache-2.0
"""The op library: found, loaded once, and the reason kept where it cannot be.

Owns the names under which the ops are registered. Knows nothing of their arguments.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
from types import ModuleType
from typing import Any

from maskcore.errors import BackendUnavailableError
from tfshim._tensorflow import tensorflow

__all__ = ["register_ops", "why_missing", "wrapper"]

_OPS = ("Maskcore>GetMaskingPosition", "Maskcore>MaskPositions", "Maskcore>MaskTokens")
_WRAPPERS = ("maskcore_get_masking_position", "maskcore_mask_positions", "maskcore_mask_tokens")
_FILE_NAME = "_tfop.so"

_lock = threading.Lock()
_wrappers: ModuleType | None = None
_reason: str | None = None  # None: not tried yet; empty: loaded


def _library_path() -> str | None:
    # In an editable install the library lies in another directory than this file.
    package_path = sys.modules[__package__].__path__
    candidates = (os.path.join(directory, _FILE_NAME) for directory in package_path)
    return next(filter(os.path.isfile, candidates), None)


def _loaded_wrappers() -> ModuleType | None:
    """Return the wrappers that `tf.load_op_library` made earlier in this process, if it did."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and all(name in vars(module) for name in _WRAPPERS):
            return module
    return None


def _missing_function(path: str) -> str:
    missing = ctypes.CDLL(path).maskcore_tf_missing_function
    missing.restype = ctypes.c_char_p
    name: bytes | None = missing()
    return "a registration" if name is None else name.decode()


def _load() -> tuple[ModuleType | None, str]:
    """Return the wrappers, or None and the reason."""
    tf = tensorflow()
    registry = importlib.import_module("tensorflow.python.framework.op_def_registry")
    if registry.get(_OPS[0]) is not None:
        # TensorFlow accepts a second library of the same ops, and then runs neither.
        wrappers = _loaded_wrappers()
        return wrappers, "" if wrappers else "another library has registered its ops here"
    path = _library_path()
    if path is None:
        return None, f"{_FILE_NAME} is not installed; install a wheel with compiled code"
    try:
        wrappers = tf.load_op_library(path)
    except (tf.errors.OpError, RuntimeError, OSError) as error:
        return None, f"{type(error).__name__}: {error}"
    if not all(hasattr(wrappers, name) for name in _WRAPPERS):
        return None, f"TensorFlow {tf.__version__} lacks {_missing_function(path)}; 2.15 has it"
    for op in _OPS:
        tf.no_gradient(op)
    return wrappers, ""


def why_missing() -> str:
    """Load the library if that was not tried; return why it cannot be used, or an empty text."""
    global _wrappers, _reason
    with _lock:
        if _reason is None:
            _wrappers, _reason = _load()
        return _reason


def wrapper(name: str) -> Any:
    """Return the generated Python function of the op `name`, in snake case, without namespace."""
    reason = why_missing()
    if reason:
        raise BackendUnavailableError(f"the op library of tfshim cannot be used: {reason}")
    return getattr(_wrappers, f"maskcore_{name}")


def register_ops(*, must_succeed: bool = True) -> None:
    """Register the ops with TensorFlow, so that a SavedModel that holds them can be loaded.

    `import tfshim` does this where TensorFlow has been imported before, and every use of the ops
    does.

    Parameters
    ----------
    must_succeed : bool
        False leaves the reason of a failure to the first use.

    Raises
    ------
    BackendUnavailableError
        If the op library cannot be loaded; the text says why.
    """
    reason = why_missing()
    if reason and must_succeed:
        raise BackendUnavailableError(f"the op library of tfshim cannot be used: {reason}")
