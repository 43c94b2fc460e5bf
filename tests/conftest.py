# SPDX-License-Identifier: Apache-2.0
"""Fixtures that force a backend, and fail where a test that claims one never reached it.

Owns parametrisation over backends. What they are, and how they are forced, is in `helpers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers import Backend, backends_under_test, running_on

import maskcore


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tensorflow: needs TensorFlow")


@pytest.fixture(params=backends_under_test(), ids=lambda backend: backend.id)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Run the test on each backend and SIMD level; it must reach the kernel."""
    with running_on(request.param) as calls:
        yield request.param
        assert maskcore.active_backend() == request.param.name
    assert calls, f"the test never ran {request.param.id}"


@pytest.fixture(params=sorted({backend.name for backend in backends_under_test()}))
def forced_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Force each backend, for what is decided before a kernel runs."""
    with maskcore.use_backend(request.param):
        yield request.param
