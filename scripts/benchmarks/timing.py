"""Times of functions on a machine that others use too."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]


def interleaved_seconds(
    calls: Mapping[str, Call], seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Times calls in turns, so that what else the machine does meets all alike.

    The order changes from round to round: a call also feels the memory that the one
    before it has left.

    Args:
        calls: by name. Each has been called before: nothing is compiled any more.
        seconds: how long all may take together, about.
        rounds: how often each is timed, at the least.

    Returns:
        For each name the seconds of one call, one value a round: values of a round
        belong together.
    """
    once = {name: _seconds(call, 1) for name, call in calls.items()}
    budget = seconds / rounds / len(calls)
    repeats = {name: max(1, int(budget / max(t, 1e-7))) for name, t in once.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(_seconds(calls[name], repeats[name]))
    return times


def median_ratio(times: list[float], reference: list[float]) -> float:
    """The median over rounds of one call's time relative to another's."""
    return statistics.median(
        mine / other for mine, other in zip(times, reference, strict=True)
    )


def _seconds(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
