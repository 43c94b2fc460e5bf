# SPDX-License-Identifier: Apache-2.0
"""How a function is timed, and the name under which its figure is found again.

Owns the number of rounds and the keys in the JSON. Knows nothing of maskers or limits.

Every benchmark goes through `measure`, which writes two keys into `extra_info`: `measures`, a
name that `bench/results.py` lists, and `rows_per_call`, by which times are divided; and `in_turn`
where another function is timed between its rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MEASURES = "measures"
ROWS_PER_CALL = "rows_per_call"
IN_TURN = "in_turn"

SECONDS = 0.6  # for one figure; the whole bench stays under five minutes
FEWEST_ROUNDS = 7  # below this the quartiles mean nothing
MOST_ROUNDS = 1000
SETTLE_SECONDS = 0.03  # in which a prefetch makes what it may hold, at nobody's cost
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


def measure_in_turn(
    benchmark: Any,
    measures: str,
    function: Callable[[], Any],
    peer_measures: str,
    peer: Callable[[], Any],
    *,
    rows_per_call: int,
    seconds: float = SECONDS,
) -> None:
    """Time `function`, and between its rounds `peer`, so that what slows the machine slows both.

    The peer's seconds are in `extra_info`, under the name `peer_measures`.
    """
    peer_seconds: list[float] = []

    def time_peer() -> tuple[tuple[Any, ...], dict[str, Any]]:
        time.sleep(SETTLE_SECONDS)
        peer_seconds.append(_call_seconds(peer, None))
        time.sleep(SETTLE_SECONDS)
        return (), {}

    measure(
        benchmark, measures, function, rows_per_call=rows_per_call, setup=time_peer, seconds=seconds
    )
    if benchmark.stats is not None:  # none where benchmarks are switched off
        of_rounds = peer_seconds[-benchmark.stats.stats.rounds :]
        benchmark.extra_info[IN_TURN] = {peer_measures: of_rounds}


def _call_seconds(
    function: Callable[..., Any], setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None
) -> float:
    arguments, keywords = setup() if setup else ((), {})
    start = time.perf_counter()
    function(*arguments, **keywords)
    return max(time.perf_counter() - start, 1e-9)
