# SPDX-License-Identifier: Apache-2.0
"""What the tests of `tfshim.mask_tokens` share: ids, options, the reference's answers.

Owns no expected values: they come from the reference backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskcore

IMPLEMENTATIONS = ("custom_op", "xla", "numpy_function")
# In graphs "xla" asks for rows of known length, and clamps what the others refuse: test_tf_xla_*.py.
WITHOUT_XLA = ("custom_op", "numpy_function")
OUTPUTS = ("labels", "positions")
SPECIAL = (0, 1, 2, 3, 90, 92)
MASK_ID = 3
OPTIONS: dict[str, Any] = {
    "mask_id": MASK_ID,
    "random_ids": [range(10, 60), (100, 130)],
    "replacement": (0.5, 0.3, 0.2),
    "special_ids": SPECIAL,
    "seed": 2**62 + 5,
}


def token_ids(shape: tuple[int, ...], dtype: str = "int32", seed: int = 3) -> NDArray[Any]:
    """Return ids of which some are special."""
    return np.random.default_rng(seed).integers(0, 130, shape).astype(dtype)


def reference(ids: Any, *arguments: Any, **options: Any) -> Any:
    """Return what the readable backend makes of it."""
    with maskcore.use_backend("reference"):
        return maskcore.mask_tokens(ids, *arguments, **options)


def assert_same(result: Any, expected: Any) -> None:
    assert type(result) is type(expected)
    for name, tensor, array in zip(result._fields, result, expected, strict=True):
        assert tensor.dtype.as_numpy_dtype == array.dtype, name
        np.testing.assert_array_equal(tensor.numpy(), array, name, strict=True)
