# SPDX-License-Identifier: Apache-2.0
"""The ops as TensorFlow generated them; the op library is loaded at the first use.

`get_masking_position(maskable_positions, max_n, num_tokens_to_mask, seed=23)` is the classic op,
stateful and float32 only.
`mask_positions(maskable_positions, num_tokens_to_mask, length_thresholds, seed, epoch, row_ids,
word_ids, segment_ids)` and `mask_tokens(input_ids, ...)` are stateless; what need not be given is a
list of at most one tensor. docs/tensorflow.md describes them all.
"""

from __future__ import annotations

from typing import Any

from tfshim import _op_library

__all__ = ["get_masking_position", "mask_positions", "mask_tokens"]  # noqa: F822  # defined by __getattr__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return _op_library.wrapper(name)


def __dir__() -> list[str]:
    return __all__
