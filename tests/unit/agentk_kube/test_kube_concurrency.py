"""How many requests a server is given: a table of what each answer does, and a simulated server that refuses."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentk.kube.concurrency import Concurrency, Trouble


def grown(ceiling: int = 32) -> Concurrency:
    """Return one that has reached its ceiling by quick answers."""
    concurrency = Concurrency(ceiling)
    for turn in range(200):
        concurrency.answered(sent=turn * 0.01, now=turn * 0.01 + 0.01, change=True, busy=True)
    assert concurrency.limit == ceiling
    return concurrency


def test_the_ceiling_is_reached_within_few_answers() -> None:
    concurrency = Concurrency(32)
    began = concurrency.limit
    for _ in range(32 - began):
        concurrency.answered(sent=0.0, now=0.01, change=True, busy=True)
    assert (began, concurrency.limit) == (8, 32)


def test_nothing_grows_while_nobody_needs_more() -> None:
    concurrency = Concurrency(32)
    for _ in range(100):
        concurrency.answered(sent=0.0, now=0.01, change=True, busy=False)
    assert concurrency.limit == 8


@pytest.mark.parametrize(("trouble", "left"), [(Trouble.REFUSED, 16), (Trouble.LATE, 16), (Trouble.AWAY, 16)])
def test_trouble_halves_what_is_allowed(trouble: Trouble, left: int) -> None:
    concurrency = grown()
    concurrency.troubled(trouble, sent=3.0, now=3.1)
    assert concurrency.limit == left


@pytest.mark.parametrize(("trouble", "left"), [(Trouble.REFUSED, 1), (Trouble.LATE, 1), (Trouble.AWAY, 8)])
def test_trouble_that_goes_on_leaves_one_and_what_is_merely_away_leaves_a_quarter(trouble: Trouble, left: int) -> None:
    concurrency = grown()
    for second in range(3, 20):
        concurrency.troubled(trouble, sent=float(second), now=second + 0.1)
    assert concurrency.limit == left


def test_refusals_of_requests_sent_together_count_once() -> None:
    concurrency = grown()
    for _ in range(32):
        concurrency.troubled(Trouble.REFUSED, sent=3.0, now=3.1)
    assert concurrency.limit == 16


def test_what_was_refused_is_not_tried_again_for_some_seconds() -> None:
    concurrency = grown()
    concurrency.troubled(Trouble.REFUSED, sent=3.0, now=3.1)
    for turn in range(2000):
        concurrency.answered(sent=3.2 + turn / 1000, now=3.2 + turn / 1000, change=True, busy=True)
    assert concurrency.limit == 31
    for turn in range(40):
        concurrency.answered(sent=8.2 + turn / 1000, now=8.2 + turn / 1000, change=True, busy=True)
    assert concurrency.limit == 32


@pytest.mark.parametrize(("asked", "waited"), [(None, 1.0), (2.0, 2.0), (600.0, 30.0)])
def test_a_server_that_refuses_even_one_is_left_alone_for_as_long_as_it_asks(asked: float, waited: float) -> None:
    concurrency = Concurrency(1)
    concurrency.troubled(Trouble.REFUSED, sent=3.0, now=3.0, pause=asked)
    assert (concurrency.limit, concurrency.not_before) == (1, 3.0 + waited)


def test_latency_that_grows_to_many_times_the_usual_costs_down_to_a_quarter() -> None:
    concurrency = grown()
    for turn in range(400):
        concurrency.answered(sent=10.0 + turn, now=12.0 + turn, change=True, busy=True)
    assert concurrency.limit == 8


def test_latency_that_stays_becomes_the_usual_one() -> None:
    concurrency = grown()
    for turn in range(3000):
        concurrency.answered(sent=10.0 + turn, now=12.0 + turn, change=True, busy=True)
    assert concurrency.limit == 32


def test_latency_of_few_processors_shared_by_many_requests_is_no_overload() -> None:
    concurrency = grown()
    for turn in range(400):
        concurrency.answered(sent=10.0 + turn, now=10.2 + turn, change=True, busy=True)
    assert concurrency.limit == 32


def test_long_answers_to_lists_say_nothing() -> None:
    concurrency = grown()
    for turn in range(100):
        concurrency.answered(sent=10.0 + turn, now=15.0 + turn, change=False, busy=True)
    assert concurrency.limit == 32


@dataclass
class Server:
    """A server that takes so many at once, each for so long, and refuses the rest at once."""

    capacity: int
    seconds: float
    served: int = 0
    refused: int = 0
    _flying: list[tuple[float, float, bool]] = field(default_factory=list)

    def drive(self, concurrency: Concurrency, requests: int) -> float:
        """Have so many requests served, refused ones again until they are; return when that was."""
        now = 0.0
        while self.served < requests:
            left = requests - self.served - sum(taken for _, _, taken in self._flying)
            while left > 0 and len(self._flying) < concurrency.limit and now >= concurrency.not_before:
                taken = sum(taken for _, _, taken in self._flying) < self.capacity
                heapq.heappush(self._flying, (now + (self.seconds if taken else 0.001), now, taken))
                left -= taken
            if not self._flying:
                now = concurrency.not_before
                continue
            busy = len(self._flying) >= concurrency.limit
            now, sent, taken = heapq.heappop(self._flying)
            if taken:
                self.served += 1
                concurrency.answered(sent=sent, now=now, change=True, busy=busy)
            else:
                self.refused += 1
                concurrency.troubled(Trouble.REFUSED, sent=sent, now=now, pause=1.0)
            assert 1 <= concurrency.limit <= concurrency.ceiling
        return now


@settings(max_examples=60)
@given(
    capacity=st.integers(1, 64), ceiling=st.integers(1, 64), milliseconds=st.integers(1, 200), count=st.integers(1, 600)
)
def test_a_server_of_any_size_serves_all_and_refuses_few(
    capacity: int, ceiling: int, milliseconds: int, count: int
) -> None:
    server = Server(capacity, milliseconds / 1000)
    took = server.drive(concurrency := Concurrency(ceiling), count)
    assert server.served == count
    # All that were sent together with the first refused one, and then a try every five seconds.
    assert server.refused <= 3 * ceiling + (took / 5 + 1) * 4
    assert concurrency.limit <= max(capacity, 8) + 1 or server.refused == 0


@settings(max_examples=60)
@given(capacity=st.integers(2, 64), milliseconds=st.integers(1, 100))
def test_most_of_what_a_server_takes_is_used(capacity: int, milliseconds: int) -> None:
    server = Server(capacity, milliseconds / 1000)
    took = server.drive(Concurrency(64), 4000)
    best = 4000 / min(capacity, 64) * milliseconds / 1000
    assert took <= 2 * best + 2.0
