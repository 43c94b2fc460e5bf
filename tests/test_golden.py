# SPDX-License-Identifier: Apache-2.0
"""Whole rows whose masks are written down: every backend gives them, today and in every later version.

Owns the reading of tests/kat/golden_rows.json; `make_golden.py` beside it makes the file from the reference.
"""

from __future__ import annotations

import json
import runpy
from typing import Any

import numpy as np
import pytest
from helpers import KAT, Backend, assert_identical

import maskcore

GOLDEN: dict[str, Any] = json.loads((KAT / "golden_rows.json").read_text())
MAKER = runpy.run_path(str(KAT / "make_golden.py"))


def test_the_file_is_what_the_reference_gives() -> None:
    """A change of output bits needs a new ALGORITHM_VERSION and a new file: `python tests/kat/make_golden.py`."""
    assert (KAT / "golden_rows.json").read_text() == MAKER["text"]()


def test_the_file_is_of_this_version() -> None:
    assert GOLDEN["algorithm_version"] == maskcore.ALGORITHM_VERSION == 1
    assert len(GOLDEN["entries"]) == 126


@pytest.mark.parametrize("entry", GOLDEN["entries"], ids=lambda entry: entry["name"])
def test_backends_give_the_golden_rows(entry: dict[str, Any], backend: Backend) -> None:
    assert MAKER["expected"](entry) == entry["expected"]


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
@pytest.mark.parametrize("name", ["plain", "words in segments", "all"])
def test_every_output_of_a_golden_row(name: str, dtype: str, backend: Backend) -> None:
    """What the file leaves out follows from it: zeros, padding, ids that stay, labels."""
    entry = next(e for e in GOLDEN["entries"] if e["name"] == f"{name}, 129")
    answer, keywords = entry["expected"], MAKER["arguments"](entry)
    maskable = np.array([entry["row"]["maskable"]], dtype)
    ids = np.array([entry["row"]["input_ids"]], dtype)

    mask = np.zeros((1, 129), dtype)
    mask[0, answer["positions"]] = 1
    assert_identical(maskcore.mask_positions(maskable, **keywords), mask)

    spans = np.zeros((1, 129), np.int32)
    spans[0, answer["positions"]] = answer["span_numbers"]
    assert_identical(maskcore.mask_spans(maskable, **keywords), spans)

    tokens = maskcore.mask_tokens(
        ids, maskable, **keywords, **MAKER["token_arguments"](), output="positions"
    )
    at, padding = (
        answer["token_positions"],
        [0] * (tokens.masked_lm_positions.shape[1] - len(answer["token_positions"])),
    )
    masked_ids = ids.copy()
    masked_ids[0, at] = answer["masked_ids"]
    assert_identical(tokens.input_ids, masked_ids)
    assert_identical(tokens.masked_lm_positions, np.array([at + padding], np.int32))
    assert_identical(tokens.masked_lm_ids, np.array([ids[0, at].tolist() + padding], dtype))
    assert_identical(tokens.masked_lm_weights, np.array([[1.0] * len(at) + padding], np.float32))
