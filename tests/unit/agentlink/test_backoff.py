from __future__ import annotations

from itertools import islice

from agentlink.backoff import LONGEST_ASKED_SECONDS, backoff, pause


def test_the_ceiling_doubles_up_to_the_maximum() -> None:
    delays = backoff(initial=1, maximum=10, uniform=lambda _low, high: high)
    assert list(islice(delays, 6)) == [1, 2, 4, 8, 10, 10]


def test_delays_are_drawn_from_the_whole_range() -> None:
    ranges: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        ranges.append((low, high))
        return low

    assert list(islice(backoff(initial=2, maximum=3, uniform=uniform), 3)) == [0, 0, 0]
    assert ranges == [(0, 2), (0, 3), (0, 3)]


def test_nobody_returns_before_the_other_side_asked_it_to() -> None:
    def low(least: float, _most: float) -> float:
        return least

    assert pause(3, None) == 3
    assert pause(3, 10, uniform=low) == 10
    assert pause(30, 10, uniform=low) == 30
    assert pause(3, 1e9, uniform=low) == LONGEST_ASKED_SECONDS
