"""What is told is ordered by clocks that may be wrong: nothing is kept back by one that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kas.git.errors import GitError
from kas.git.sharing import Told
from kas.replicas.refs import in_order

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def told(commit: str, seconds: float, *, sure: bool = True, ticks: int = 0) -> Told:
    return Told(commit, None, NOW + timedelta(seconds=seconds) + ticks * TICK, sure)


@pytest.mark.parametrize(
    ("heard", "before", "expected"),
    [
        (told("a", -5), None, told("a", -5)),
        (told("b", -5), told("a", -9), told("b", -5)),
        (told("b", -5), told("a", -5), told("b", -5)),
        (told("b", 50), told("a", -5), told("b", 50)),  # clocks differ a little
        (told("b", 3600), told("a", -5), told("b", 0)),
        (told("b", 3600), None, told("b", 0)),
        (told("a", -9), told("a", -5), told("a", -5)),
        # One of two clocks is wrong, and nobody knows which: the server is asked.
        (told("b", -9), told("a", -5), told("b", -5, sure=False, ticks=1)),
        (told("b", -9), told("a", 50), told("b", 50, sure=False, ticks=1)),
    ],
)
def test_a_time_orders_news_and_keeps_none_back(heard: Told, before: Told | None, expected: Told) -> None:
    assert in_order(heard, before, NOW) == expected


def test_an_error_that_is_told_again_is_no_news() -> None:
    before = Told("a", GitError("Timeout", "slow"), NOW)
    again = Told("a", GitError("Timeout", "slow"), NOW - timedelta(seconds=5))
    assert in_order(again, before, NOW) is before
