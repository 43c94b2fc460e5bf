# SPDX-License-Identifier: Apache-2.0
"""How a function is timed, and the name under which its figure is found again.

Owns the number of rounds and the keys in the JSON. Knows nothing of maskers or limits.

Every benchmark goes through `measure`, which writes two keys into `extra_info`: `measures`, a
name that `bench/results.py` lists, and `rows_per_call`, by which times are divided.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MEASURES = "measures"
ROWS_PER_CALL = "rows_per_call"

SECONDS = 0.6  # for one figure; the whole bench stays under five minutes
FEWEST_ROUNDS = 7  # below this the quartiles mean nothing
MOST_ROUNDS = 1000
SHORTEST_ROUND_SECONDS = 2e-4  # far above the clock's resolution and its own cost


def measure(
    benchmark: Any,
    measures: str,
    function: Callable[..., Any],
    *,
    rows_per_call: int,
    setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None = None,
    seconds: float = SECONDS,
) -> None:
    """Time `function` over as many rounds as fit `seconds`; one call masks `rows_per_call` rows.

    `setup` makes fresh arguments, outside the time, for a function that changes its input.
    """
    benchmark.extra_info[MEASURES] = measures
    benchmark.extra_info[ROWS_PER_CALL] = rows_per_call
    call_seconds = min(_call_seconds(function, setup) for _ in range(3))
    iterations = 1 if setup else max(1, round(SHORTEST_ROUND_SECONDS / call_seconds))
    rounds = int(seconds / (iterations * call_seconds))
    benchmark.pedantic(
        function,
        setup=setup,
        iterations=iterations,
        rounds=max(FEWEST_ROUNDS, min(rounds, MOST_ROUNDS)),
        warmup_rounds=2,
    )


def _call_seconds(
    function: Callable[..., Any], setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None
) -> float:
    arguments, keywords = setup() if setup else ((), {})
    start = time.perf_counter()
    function(*arguments, **keywords)
    return max(time.perf_counter() - start, 1e-9)
