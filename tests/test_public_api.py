# SPDX-License-Identifier: Apache-2.0
"""The public surface: names, signatures, docstrings, and the examples in them.

Owns what a user reads and types; what the functions do is tested elsewhere.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import maskcore

NAMES = [
    "ALGORITHM_VERSION",
    "BackendStatus",
    "BackendUnavailableError",
    "MaskedIndices",
    "MaskedTokens",
    "PredictionTokens",
    "__version__",
    "active_backend",
    "allowed_ids",
    "available_backends",
    "mask_indices",
    "mask_positions",
    "mask_spans",
    "mask_tokens",
    "use_backend",
]

# Modules of the core whose docstrings hold examples.
MODULES = ["_backends", "_params", "errors", "masking", "tokens"]

MASKING = [
    maskcore.mask_positions,
    maskcore.mask_indices,
    maskcore.mask_spans,
    maskcore.mask_tokens,
]
FUNCTIONS: list[Callable[..., Any]] = [*MASKING, maskcore.allowed_ids]

# Every choice of positions has these, with these defaults.
CHOICE = {
    "max_n": 3,
    "ngram_weights": None,
    "word_ids": None,
    "segment_ids": None,
    "seed": None,
    "epoch": 0,
    "row_ids": None,
    "masking_ratio": None,
    "max_predictions": None,
    "num_threads": None,
}


def section(function: Callable[..., Any], title: str) -> str:
    """Return the text under a NumPy-style heading, or fail."""
    text = inspect.getdoc(function) or ""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"{function.__name__} has no section {title}"
    return found.group(1)


def test_public_names() -> None:
    """What is added here is documented in the README and kept."""
    assert sorted(maskcore.__all__) == NAMES
    for name in NAMES:
        assert hasattr(maskcore, name)
    public = {name for name in vars(maskcore) if not name.startswith("_")}
    submodules = {module.name for module in pkgutil.iter_modules(maskcore.__path__)}
    assert public - submodules - {"annotations"} <= set(NAMES)


def test_versions() -> None:
    assert maskcore.ALGORITHM_VERSION == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+", maskcore.__version__)


def test_it_is_typed() -> None:
    assert maskcore.__file__ is not None
    assert (Path(maskcore.__file__).parent / "py.typed").is_file()
    for function in FUNCTIONS:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize("function", MASKING, ids=lambda function: function.__name__)
def test_signatures(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    arrays = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    expected = ["maskable_positions", "num_tokens_to_mask"]
    assert arrays == (["input_ids"] * (function is maskcore.mask_tokens)) + expected
    keywords = {p.name: p.default for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert CHOICE.items() <= keywords.items()
    more = {
        "mask_positions": {"out": None},
        "mask_indices": {},
        "mask_spans": {},
        "mask_tokens": {
            "mask_id": inspect.Parameter.empty,
            "random_ids": None,
            "replacement": (0.8, 0.1, 0.1),
            "special_ids": None,
            "ignore_index": -100,
            "output": "labels",
            "out": None,
        },
    }
    assert {k: v for k, v in keywords.items() if k not in CHOICE} == more[function.__name__]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_docstrings_name_every_parameter(function: Callable[..., Any]) -> None:
    """Each parameter once, no other; and what comes back, what is raised, an example."""
    documented = re.findall(
        r"^(\w[\w, ]*?)(?: : .*)?$", section(function, "Parameters"), re.MULTILINE
    )
    names = [name for line in documented for name in line.split(", ")]
    assert sorted(names) == sorted(inspect.signature(function).parameters)
    for title in ("Returns", "Raises"):
        assert section(function, title).strip()
    assert ">>> " in section(function, "Examples")
    first = (inspect.getdoc(function) or "").splitlines()[0]
    assert first.endswith((".", ":")), first
    assert len(first) <= 120


@pytest.mark.parametrize("function", MASKING, ids=lambda function: function.__name__)
def test_docstrings_say_what_the_bits_depend_on(function: Callable[..., Any]) -> None:
    assert "**Reproducibility.**" in section(function, "Notes")


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"maskcore.{name}")
    results = doctest.testmod(module, report=True)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize("name", ["native", "numba", "reference"])
def test_examples_are_the_same_on_every_backend(name: str) -> None:
    with maskcore.use_backend(name):
        for module in ("masking", "tokens"):
            assert doctest.testmod(importlib.import_module(f"maskcore.{module}")).failed == 0
