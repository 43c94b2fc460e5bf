# SPDX-License-Identifier: Apache-2.0
"""Run the installed wheel on the installed TensorFlow: `python tests/tf_matrix_check.py`.

`make test-tf-matrix` runs it in fresh environments, one for each TensorFlow, which hold the wheel and TensorFlow and nothing else: so it is
plain Python. Prints what it ran; exits with 1 where anything is wrong. Expected masks come from maskcore's own backends. Records and Keras
are those of tf_matrix_training.py.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import maskcore
import tfshim

SHAPE = (12, 40)
RANDOM = np.random.default_rng(1)
ROWS = (RANDOM.random(SHAPE) < 0.8).astype(np.float32)
WORDS = (RANDOM.random(SHAPE) < 0.5).cumsum(axis=1)
SEGMENTS = np.broadcast_to(np.arange(SHAPE[1]) // 9, SHAPE)
ROW_IDS = RANDOM.integers(0, 2**63 - 1, SHAPE[0])
OPTIONS: dict[str, Any] = {
    "max_n": 4,
    "num_tokens_to_mask": 7,
    "seed": 2**62,
    "epoch": 3,
    "row_ids": ROW_IDS,
}
IDS = RANDOM.integers(0, 500, SHAPE)
TOKENS: dict[str, Any] = {
    "mask_id": 4,
    "random_ids": range(10, 500),
    "special_ids": [0, 1, 2, 3, 4],
    "masking_ratio": 0.3,
    "word_ids": WORDS,
    "seed": 2**62,
    "epoch": 3,
    "row_ids": ROW_IDS,
}
OUTPUTS: tuple[dict[str, Any], ...] = ({}, {"output": "positions", "max_predictions": 9})
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64"


def expected(rows: Any = ROWS, **options: Any) -> Any:
    return maskcore.mask_positions(rows, **{**OPTIONS, **options})


def check(is_right: bool, what: str) -> None:
    if not is_right:
        raise AssertionError(what)


def check_mask(mask: Any, wanted: Any, what: str) -> None:
    check(np.asarray(mask).dtype == wanted.dtype and np.array_equal(mask, wanted), what)


def all_implementations_run() -> None:
    for status in tfshim.available_implementations():
        check(status.is_available, str(status))


def classic_op_begins_at_row_0() -> None:
    """First of all: it looks at the counter of the process."""
    for first in (0, 12):
        mask = tfshim.get_masking_position(ROWS, max_n=4, num_tokens_to_mask=7)
        wanted = expected(seed=23, epoch=0, row_ids=np.arange(first, first + 12))
        check_mask(mask, wanted, f"rows from {first}")


def eager() -> None:
    for implementation in ("custom_op", "numpy_function"):
        for dtype in DTYPES.split():
            rows = ROWS.astype(dtype)
            mask = tfshim.get_masking_position(
                tf.constant(rows), implementation=implementation, **OPTIONS
            )
            check_mask(mask, expected(rows), f"{implementation} {dtype}")


def eager_with_words_and_segments() -> None:
    given = {"word_ids": WORDS, "segment_ids": SEGMENTS, "num_tokens_to_mask": np.arange(12)}
    for implementation in ("custom_op", "xla", "numpy_function"):
        mask = tfshim.get_masking_position(
            ROWS, implementation=implementation, **{**OPTIONS, **given}
        )
        check_mask(mask, expected(**given), implementation)


def ratios() -> None:
    options = {**OPTIONS, "num_tokens_to_mask": None, "masking_ratio": 0.15, "max_predictions": 4}
    for implementation in ("custom_op", "xla", "numpy_function"):
        mask = tfshim.get_masking_position(ROWS, implementation=implementation, **options)
        check_mask(mask, maskcore.mask_positions(ROWS, **options), implementation)


def check_tokens(masked: Any, wanted: Any, what: str) -> None:
    check(len(masked) == len(wanted), what)
    for tensor, array in zip(masked, wanted, strict=True):
        check_mask(tensor, array, what)


def mask_tokens() -> None:
    for dtype in ("int16", "int32", "int64"):
        ids = IDS.astype(dtype)
        for output in OUTPUTS:
            wanted = maskcore.mask_tokens(ids, ROWS, **TOKENS, **output)
            for implementation in ("custom_op", "xla", "numpy_function"):
                options = {**TOKENS, **output, "implementation": implementation}
                what = f"{implementation} {dtype} {output}"
                check_tokens(tfshim.mask_tokens(ids, ROWS, **options), wanted, what)
                function = tf.function(
                    lambda ids, rows, options=options: tfshim.mask_tokens(ids, rows, **options),
                    input_signature=[tf.TensorSpec([None, 40], dtype), tf.TensorSpec(None)],
                )
                check_tokens(function(ids, ROWS), wanted, f"{what} in a function")
                inferred = function.get_concrete_function().structured_outputs[-1].shape
                # Twelve row ids say how many rows there are to whom looks at them.
                sizes = [12 if implementation == "xla" else None, 9 if output else 40]
                check(inferred.as_list() == sizes, f"{what} is {inferred}")


def mask_tokens_in_a_dataset() -> None:
    options = {name: value for name, value in TOKENS.items() if name not in ("row_ids", "word_ids")}
    dataset = tf.data.Dataset.from_tensor_slices((IDS, ROW_IDS)).batch(5)
    for output in OUTPUTS:
        masked = dataset.map(
            lambda ids, row_ids, output=output: tfshim.mask_tokens(
                ids, row_ids=row_ids, **options, **output
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        batches = zip(*masked.as_numpy_iterator(), strict=True)
        wanted = maskcore.mask_tokens(IDS, row_ids=ROW_IDS, **options, **output)
        check_tokens([np.concatenate(parts) for parts in batches], wanted, str(output))


def compiled_by_xla() -> None:
    """Where XLA compiles, nothing names an implementation; the same operations run one by one, too."""
    function = tf.function(
        lambda rows: tfshim.get_masking_position(rows, **OPTIONS), jit_compile=True
    )
    check_mask(function(ROWS), expected(), "jit_compile")
    is_compiled = tfshim._place.is_compiled
    tfshim._place.is_compiled = lambda: True
    try:
        function = tf.function(lambda rows: tfshim.get_masking_position(rows, **OPTIONS))
        check_mask(function(ROWS), expected(), "op by op")
    finally:
        tfshim._place.is_compiled = is_compiled


def in_a_function() -> None:
    for spec in (None, [None, None], [None, 40], [12, 40]):
        function = tf.function(
            lambda rows: tfshim.get_masking_position(rows, **OPTIONS),
            input_signature=[tf.TensorSpec(spec, tf.float32)],
        )
        check_mask(function(ROWS), expected(), str(spec))
        inferred = function.get_concrete_function().output_shapes
        check(inferred == tf.TensorShape(spec), f"{spec} became {inferred}")


def in_a_dataset() -> None:
    options = {name: value for name, value in OPTIONS.items() if name != "row_ids"}
    dataset = tf.data.Dataset.from_tensor_slices((ROWS, ROW_IDS)).batch(5)
    for calls in (None, 2, tf.data.AUTOTUNE):
        masked = dataset.map(
            lambda rows, row_ids: tfshim.get_masking_position(rows, row_ids=row_ids, **options),
            num_parallel_calls=calls,
        )
        check_mask(np.concatenate(list(masked.as_numpy_iterator())), expected(), f"{calls} calls")


def classic_op_masks_anew() -> None:
    row = np.ones(64, np.float32)
    dataset = tf.data.Dataset.from_tensors(row).repeat(4)
    masked = dataset.map(
        lambda row: tfshim.get_masking_position(row, max_n=3, num_tokens_to_mask=30)
    )
    masks = [mask.numpy() for mask in [*masked, *masked]]
    masks.append(tfshim.raw_ops.get_masking_position(row, 3, 30).numpy())
    check(len({mask.tobytes() for mask in masks}) == 9, "masks were repeated")
    check(all(mask.sum() == 30 for mask in masks), "budget")


def errors_in_graphs() -> None:
    rows = np.array([[1, 0], [1, np.nan]], np.float32)
    options = {"max_n": 2, "num_tokens_to_mask": [1, -1], "row_ids": [1, 2]}
    for wrong in (
        {"maskable_positions": rows},
        {"maskable_positions": np.ones((2, 2), np.float32)},
    ):
        arguments = {**options, **wrong}
        try:
            maskcore.mask_positions(**arguments)
        except ValueError as error:
            text = str(error)
        tensors = {name: tf.constant(value) for name, value in arguments.items() if name != "max_n"}
        try:
            tf.function(lambda tensors: tfshim.get_masking_position(max_n=2, **tensors))(tensors)
        except tf.errors.InvalidArgumentError as error:
            check(text in str(error), f"{error} does not say: {text}")
        else:
            raise AssertionError(f"nothing raised: {text}")


class Masker(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def __call__(self, rows: Any) -> Any:
        return tfshim.get_masking_position(rows, **OPTIONS)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def tokens(self, ids: Any) -> Any:
        return tfshim.mask_tokens(ids, **TOKENS).input_ids


def saved_model_in_a_fresh_process() -> None:
    """It runs where tfshim is imported; the error names the op where it is not."""
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(Masker(), f"{directory}/model")
        np.savez(f"{directory}/rows.npz", rows=ROWS, ids=IDS)
        code = (
            "import sys, numpy as np, tensorflow as tf, tfshim\n"
            "model = tf.saved_model.load(sys.argv[1] + '/model')\n"
            "given = np.load(sys.argv[1] + '/rows.npz')\n"
            "np.savez(sys.argv[1] + '/mask.npz', mask=model(given['rows']), ids=model.tokens(given['ids']))\n"
        )
        subprocess.run([sys.executable, "-c", code, directory], check=True)
        loaded = np.load(f"{directory}/mask.npz")
        check_mask(loaded["mask"], expected(), "loaded model")
        check_mask(loaded["ids"], maskcore.mask_tokens(IDS, **TOKENS).input_ids, "loaded tokens")
        without = "import sys, tensorflow as tf\ntf.saved_model.load(sys.argv[1] + '/model')\n"
        failed = subprocess.run(
            [sys.executable, "-c", without, directory], capture_output=True, text=True, check=False
        )
        check("Op type not registered 'Maskcore>Mask" in failed.stderr, failed.stderr[-500:])


CHECKS: tuple[Callable[[], None], ...] = (
    all_implementations_run,
    classic_op_begins_at_row_0,
    eager,
    eager_with_words_and_segments,
    ratios,
    mask_tokens,
    mask_tokens_in_a_dataset,
    compiled_by_xla,
    in_a_function,
    in_a_dataset,
    classic_op_masks_anew,
    errors_in_graphs,
    saved_model_in_a_fresh_process,
)


def run_checks(checks: tuple[Callable[[], None], ...]) -> int:
    """Print one line for each; return 1 if one of them failed."""
    num_failed = 0
    for run in checks:
        try:
            run()
        except Exception as error:  # each check is to run, whatever the ones before it met
            num_failed += 1
            print(f"FAILED  {run.__name__}: {type(error).__name__}: {error}")
        else:
            print(f"ok      {run.__name__}", flush=True)
    return 1 if num_failed else 0


def main() -> int:
    python = ".".join(map(str, sys.version_info[:3]))
    print(
        f"TensorFlow {tf.__version__}, numpy {np.__version__}, Python {python}, maskcore {maskcore.__version__}"
    )
    print(
        f"maskcore runs on {maskcore.active_backend()!r}, tfshim from {os.path.dirname(tfshim.__file__)}"
    )
    return run_checks(CHECKS)


if __name__ == "__main__":
    sys.exit(main())
