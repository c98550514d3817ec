"""The benchmarks' helper: rounds alternate, and the comparison is of the fastest calls."""

import pytest

from benchmarks.timing import alternate, compared


def test_ways_take_turns_and_rounds_turn_around():
    calls = []
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = alternate(ways, rounds=2)
    assert "".join(calls) == "ab" + "ab" + "ba"  # the first round is not counted
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_comparison_is_with_the_first():
    results = compared({"plain": [2.0, 2.2, 4.0], "ours": [1.5, 0.5, 1.0]})
    assert results["plain"] == (2.0, pytest.approx(0.1), 1.0)
    assert results["ours"] == (0.5, pytest.approx(1.0), 4.0)
