# SPDX-License-Identifier: Apache-2.0
"""maskcore for TensorFlow: masks and records, in eager code, in `tf.function` and in `tf.data` maps.

Public names only; `masking.py`, `tokens.py` and `records.py` hold the functions, `_implementations.py` the dispatch. TensorFlow
is imported at the first use.
"""

from __future__ import annotations

import sys

from tfshim import raw_ops
from tfshim._implementations import ImplementationStatus, available_implementations
from tfshim._op_library import register_ops
from tfshim.dataset import masked_dataset
from tfshim.masking import get_masking_position
from tfshim.records import parse_records
from tfshim.tokens import mask_tokens

__all__ = [
    "ImplementationStatus",
    "available_implementations",
    "get_masking_position",
    "mask_tokens",
    "masked_dataset",
    "parse_records",
    "raw_ops",
    "register_ops",
]

if hasattr(sys.modules.get("tensorflow"), "load_op_library"):
    # As other op packages do: a SavedModel that holds the ops can be loaded from now on. What goes
    # wrong is told at the first use.
    register_ops(must_succeed=False)
