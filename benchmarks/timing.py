"""Time several ways of doing one thing fairly: in one process, in alternating rounds."""

import time
from collections.abc import Callable


def alternate(ways: dict[str, Callable], rounds: int = 7) -> dict[str, list[float]]:
    """Seconds of each call, by name: every way once a round, after one round that is not counted.

    Rounds alternate in direction, so that whatever else the machine does, and what each way leaves
    in the caches, meets all ways alike.
    """
    seconds = {name: [] for name in ways}
    for function in ways.values():
        function()
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(seconds: dict[str, list[float]]) -> dict[str, tuple[float, float, float]]:
    """(fastest call, spread, ratio) of each name.

    spread: the median call over the fastest, minus 1. ratio: how many times as fast as the first
    name, by their fastest calls, which other work on the machine disturbs least.
    """
    fastest = {name: min(calls) for name, calls in seconds.items()}
    first = next(iter(fastest.values()))
    return {
        name: (
            fastest[name],
            sorted(calls)[len(calls) // 2] / fastest[name] - 1,
            first / fastest[name],
        )
        for name, calls in seconds.items()
    }
