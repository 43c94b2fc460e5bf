# SPDX-License-Identifier: Apache-2.0
"""What a row costs in TensorFlow operations around a `tf.while_loop`.

N-gram masking of one row, as the published sketch does it (`bench/peers/while_loop.py`), in
`tf.function` and eagerly. Rows that `tf.map_fn` or a `tf.data` map hands to it cost more, so the
figure is that of one call for one row. TensorFlow's seed is left alone: a global seed gives every
eager operation a kernel of its own and makes it slower. The checks hold for every draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import checks, libraries, workload
from bench.measure import measure


def _check(mask_row: Any, tf: Any, rows: NDArray[np.uint8], num_tokens_to_mask: Any) -> None:
    masks = [
        mask_row(tf.constant(row, tf.float32), num_tokens_to_mask, workload.MAX_N).numpy()
        for row in rows
    ]
    checks.exact_mask(np.stack(masks), rows, np.full(len(rows), workload.NUM_TOKENS_TO_MASK))


def test_function(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    from bench.peers import while_loop

    mask_row = tf.function(while_loop.mask_row)
    row, budget = tf.constant(maskable[0], tf.float32), tf.constant(workload.NUM_TOKENS_TO_MASK)
    _check(mask_row, tf, maskable[:16], budget)
    measure(
        benchmark,
        "while-loop-function",
        lambda: mask_row(row, budget, workload.MAX_N),
        rows_per_call=1,
        seconds=2.0,
    )


def test_eager(benchmark: Any, maskable: NDArray[np.uint8]) -> None:
    tf = libraries.load("tensorflow")
    from bench.peers import while_loop

    row, budget = tf.constant(maskable[0], tf.float32), tf.constant(workload.NUM_TOKENS_TO_MASK)
    _check(while_loop.mask_row, tf, maskable[:2], budget)
    measure(
        benchmark,
        "while-loop-eager",
        lambda: while_loop.mask_row(row, budget, workload.MAX_N),
        rows_per_call=1,
        seconds=2.0,
    )
