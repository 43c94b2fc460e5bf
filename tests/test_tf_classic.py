# SPDX-License-Identifier: Apache-2.0
"""The classic op: every run masks anew, through tfshim and as a library that a user compiles with one g++ command."""

from __future__ import annotations

import ctypes
import re
import shlex
import subprocess
from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_support import (
    DTYPES,
    IMPLEMENTATIONS,
    ROOT,
    maskable_rows,
    python_example,
    reference,
    run_python,
)

import maskcore
import tfshim

pytestmark = pytest.mark.tensorflow

ROW = np.array(
    [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], np.float32
)


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


def num_different(masks: Iterable[Any]) -> int:
    return len({np.asarray(mask).tobytes() for mask in masks})


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_what_it_may_and_as_much_as_it_should(dtype: str, implementation: str) -> None:
    rows = maskable_rows((5, 40), dtype)
    budgets = [0, 1, 7, 40, 2**40]
    mask = tfshim.get_masking_position(
        rows, max_n=3, num_tokens_to_mask=budgets, implementation=implementation
    )
    assert mask.dtype == dtype
    assert mask.shape == (5, 40)
    flags = mask.numpy() != 0
    assert not (flags & (rows == 0)).any()
    maskable = np.count_nonzero(rows, axis=1)
    assert flags.sum(axis=1).tolist() == np.minimum(maskable, budgets).tolist()
    assert set(np.unique(mask.numpy().astype(int))) == {0, 1}
    one = tfshim.get_masking_position(
        rows[0], max_n=3, num_tokens_to_mask=4, implementation=implementation
    )
    assert one.shape == (40,)
    assert np.count_nonzero(one) == 4


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0)], ids=str)
def test_empty_rows_and_batches(shape: tuple[int, ...], implementation: str) -> None:
    mask = tfshim.get_masking_position(
        np.zeros(shape, np.float32), max_n=3, num_tokens_to_mask=4, implementation=implementation
    )
    assert mask.shape == shape


def test_epochs_iterators_nodes_and_calls_never_repeat(implementation: str) -> None:
    """The row has 25 choose 10 masks, and 60 are drawn: two alike would be a repeated stream."""

    def mask(row: tf.Tensor) -> tf.Tensor:
        return tfshim.get_masking_position(
            row, max_n=3, num_tokens_to_mask=10, implementation=implementation
        )

    dataset = tf.data.Dataset.from_tensors(ROW).repeat(5)
    one, other = dataset.map(mask), dataset.map(mask)
    masks = [*one, *one, *iter(one), *other, *dataset.batch(5).map(mask).unbatch()]
    function = tf.function(lambda row: (mask(row), mask(row)))
    for _ in range(5):
        masks += [*function(ROW), *tf.function(mask)(np.stack([ROW, ROW])), mask(ROW)]
    masks += [*mask(np.stack([ROW] * 10))]
    assert len(masks) == 60
    assert num_different(masks) == 60


def test_seeds_have_streams_of_their_own() -> None:
    masks = [
        tfshim.get_masking_position(ROW, max_n=3, num_tokens_to_mask=10, seed=seed)
        for seed in (0, 1, 2**63 - 1)
    ]
    assert num_different(masks) == 3


def test_max_n_and_budget_as_tensors(implementation: str) -> None:
    function = tf.function(
        lambda max_n, budget: tfshim.get_masking_position(
            ROW, max_n=max_n, num_tokens_to_mask=budget, implementation=implementation
        )
    )
    for dtype in (tf.int32, tf.int64, tf.uint8):
        assert np.count_nonzero(function(tf.constant(2, dtype), tf.constant(9, dtype))) == 9
    assert np.count_nonzero(function(tf.constant(2), tf.constant(2**40, tf.int64))) == 25


def test_raw_op_has_the_published_signature() -> None:
    with tf.Graph().as_default() as graph:
        mask = tfshim.raw_ops.get_masking_position(
            maskable_positions=ROW, max_n=3, num_tokens_to_mask=10
        )
        definition = graph.as_graph_def(add_shapes=True).node[-1]
    assert definition.op == "Maskcore>GetMaskingPosition"
    assert definition.attr["seed"].i == 23
    assert mask.shape == (27,)
    operation = mask.op.op_def
    inputs = [(argument.name, tf.as_dtype(argument.type).name) for argument in operation.input_arg]
    assert inputs == [
        ("maskable_positions", "float32"),
        ("max_n", "int32"),
        ("num_tokens_to_mask", "int32"),
    ]
    outputs = [
        (argument.name, tf.as_dtype(argument.type).name) for argument in operation.output_arg
    ]
    assert outputs == [("masking_position", "float32")]
    assert operation.is_stateful


def test_default_thresholds_are_exact_for_every_max_n(tmp_path: Path) -> None:
    """The op's integer sums against the fractions of docs/algorithm.md, section 3."""
    source = tmp_path / "thresholds.cpp"
    source.write_text(
        f'#include "{ROOT}/src/tfshim/csrc/harmonic.hpp"\n'
        'extern "C" void thresholds(int n, uint32_t* t) { maskcore_tf::harmonic_thresholds(n, t); }\n'
    )
    library = tmp_path / "thresholds.so"
    subprocess.run(
        ["g++", "-std=c++17", "-O2", "-shared", "-fPIC", source, "-o", library], check=True
    )
    thresholds = ctypes.CDLL(str(library)).thresholds
    for max_n in range(1, 256):
        sums = list(accumulate(Fraction(1, n) for n in range(1, max_n + 1)))
        expected = [floor(2**16 * part / sums[-1] + Fraction(1, 2)) for part in sums[:-1]]
        computed = (ctypes.c_uint32 * 255)()
        thresholds(max_n, computed)
        assert computed[: max_n - 1] == expected, max_n


# The recipe of docs/tensorflow.md: the same sources under the published names, beside tfshim in one process.

DRAW = """
import numpy as np
import tensorflow as tf

def draw(get_masking_position):
    return [get_masking_position(np.ones((3, 20), np.float32), 3, 8).numpy().astype(int).tolist() for _ in range(2)]
"""
LOAD_RECIPE = "classic = tf.load_op_library({library!r})\n"
IMPORT_TFSHIM = "import tfshim\ntfshim.raw_ops.get_masking_position\n"
DRAW_CLASSIC = "print(draw(classic.get_masking_position))\n"
DRAW_TFSHIM = """
print(draw(lambda rows, max_n, n: tfshim.get_masking_position(rows, max_n=max_n, num_tokens_to_mask=n)))
options = dict(seed=23, epoch=0, row_ids=[4, 5, 6])
mask = tfshim.get_masking_position(np.ones((3, 20), bool), max_n=3, num_tokens_to_mask=8, **options)
print(mask.numpy().astype(int).tolist())
"""


def recipe_command() -> list[str]:
    """Return the g++ command that docs/tensorflow.md gives."""
    text = (ROOT / "docs" / "tensorflow.md").read_text()
    found = re.search(r"^    (g\+\+ .*)$", text, re.MULTILINE)
    assert found is not None, "docs/tensorflow.md gives no g++ command"
    return shlex.split(found[1])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compile the op as the document says, but for the place of the result."""
    command = recipe_command()
    *start, result = command
    assert result == "masking_ops.so"
    library = tmp_path_factory.mktemp("recipe") / result
    expanded = [
        str(path) for word in start for path in (sorted(ROOT.glob(word)) if "*" in word else [word])
    ]
    subprocess.run([*expanded, library], cwd=ROOT, check=True, timeout=300)
    return str(library)


def addressed_rows(first_row_id: int) -> list[list[int]]:
    rows = np.ones((3, 20), int)
    return reference(rows, 8, seed=23, row_ids=np.arange(first_row_id, first_row_id + 3)).tolist()


RECIPE_DRAWS = [addressed_rows(2**62), addressed_rows(2**62 + 3)]
TFSHIM_DRAWS = [addressed_rows(0), addressed_rows(3)]


def test_recipe_alone(recipe: str) -> None:
    """The example of the document; the counter of plain names begins at 2**62, and the example took two rows."""
    look = "print(mask.shape.as_list(), int(tf.reduce_sum(mask)))\n"
    code = (
        DRAW
        + python_example("load_op_library")
        + look
        + "print(draw(masking_ops.get_masking_position))\n"
    )
    draws = [addressed_rows(2**62 + 2), addressed_rows(2**62 + 5)]
    assert run_python(code, Path(recipe).parent) == f"[2, 128] 40\n{draws}\n"


@pytest.mark.parametrize("order", ["recipe first", "tfshim first"])
def test_recipe_beside_tfshim(recipe: str, order: str) -> None:
    """Neither breaks the other, nor repeats its masks."""
    load = [LOAD_RECIPE.format(library=recipe), IMPORT_TFSHIM]
    if order == "tfshim first":
        load.reverse()
    code = DRAW + "".join(load) + DRAW_CLASSIC + DRAW_TFSHIM
    assert run_python(code) == f"{RECIPE_DRAWS}\n{TFSHIM_DRAWS}\n{addressed_rows(4)}\n"


MASK_TOKENS = """
ids = np.arange(10, 50, dtype=np.int32).reshape(2, 20)
masked = classic.mask_tokens(
    input_ids=ids,
    replacement_thresholds=[2**31, 2**32],
    random_ids=np.arange(60, 90, dtype=np.int32),
    special_ranges=[[10, 12]],
    num_tokens_to_mask=0,
    length_thresholds=[35747, 53620],
    seed=7,
    epoch=1,
    row_ids=[4, 5],
    maskable_positions=[],
    word_ids=[ids // 2],
    segment_ids=[],
    wants_labels=1,
    wants_predictions=0,
    mask_id=3,
    ratio_e9=300_000_000,
)
print([masked.masked_ids.numpy().tolist(), masked.labels[0].numpy().tolist()])
"""


def test_recipe_has_the_stateless_ops(recipe: str) -> None:
    """Under their plain names; what tfshim makes of shares and ratios, a user of the raw op makes himself."""
    ids = np.arange(10, 50, dtype=np.int32).reshape(2, 20)
    with maskcore.use_backend("reference"):
        expected = maskcore.mask_tokens(
            ids,
            masking_ratio=0.3,
            mask_id=3,
            replacement=(0.5, 0.5, 0),
            random_ids=range(60, 90),
            special_ids=[10, 11, 12],
            word_ids=ids // 2,
            seed=7,
            epoch=1,
            row_ids=[4, 5],
        )
    code = (
        "import numpy as np, tensorflow as tf\n" + LOAD_RECIPE.format(library=recipe) + MASK_TOKENS
    )
    assert run_python(code) == f"{[array.tolist() for array in expected]}\n"
