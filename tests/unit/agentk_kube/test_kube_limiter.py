"""Whose request is sent next."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.kube.concurrency import Trouble
from agentk.kube.errors import KubeError
from agentk.kube.limiter import OWN_LANE, Limiter, trouble_of


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Requests that wait for a limiter and end when told to."""

    def __init__(self, limiter: Limiter, group: asyncio.TaskGroup) -> None:
        self._limiter = limiter
        self._group = group
        self.entered: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, *lanes: str) -> None:
        """Have a request of each lane wait, in this order."""
        for lane in lanes:
            self.tasks.append(self._group.create_task(self._enter(lane)))
            await settle()

    async def _enter(self, lane: str) -> None:
        await self._limiter.enter(lane)
        self.entered.append(lane)

    async def drain(self) -> None:
        """End requests one by one until none is left."""
        while self._limiter.in_flight:
            self._limiter.leave(0.0)
            await settle()


async def test_a_small_project_waits_for_one_request_of_a_huge_one() -> None:
    async with asyncio.TaskGroup() as group:
        limiter = Limiter(1)
        crowd = Crowd(limiter, group)
        await crowd.ask(*["huge"] * 20, "small")
        await crowd.drain()
    assert crowd.entered.index("small") == 2


async def test_the_agents_own_lists_go_before_every_project() -> None:
    async with asyncio.TaskGroup() as group:
        limiter = Limiter(1)
        crowd = Crowd(limiter, group)
        await crowd.ask("a", "a", "b", "c", OWN_LANE)
        await crowd.drain()
    assert crowd.entered == ["a", OWN_LANE, "a", "b", "c"]


async def test_who_stops_waiting_leaves_its_place_to_the_next() -> None:
    async with asyncio.TaskGroup() as group:
        limiter = Limiter(1)
        crowd = Crowd(limiter, group)
        await crowd.ask("a", "b", "c")
        crowd.tasks[1].cancel()
        await settle()
        await crowd.drain()
    assert crowd.entered == ["a", "c"]
    assert limiter.in_flight == 0


async def test_who_stops_waiting_in_the_moment_of_its_turn_gives_the_turn_back() -> None:
    async with asyncio.TaskGroup() as group:
        limiter = Limiter(1)
        crowd = Crowd(limiter, group)
        await crowd.ask("a", "b", "c")
        limiter.leave(0.0)  # b's turn, which b does not know yet
        crowd.tasks[1].cancel()
        await settle()
        assert crowd.entered == ["a", "c"]
        await crowd.drain()
    assert limiter.in_flight == 0


async def test_after_a_refusal_of_the_only_request_nothing_is_sent_until_the_server_wants_it() -> None:
    limiter = Limiter(1)
    sent = await limiter.enter("a")
    limiter.leave(sent, KubeError(429, "TooManyRequests", "later", retry_after=0.05))
    assert limiter.concurrency.not_before > asyncio.get_running_loop().time()
    entered = await asyncio.wait_for(limiter.enter("a"), 5)
    assert entered >= limiter.concurrency.not_before


async def test_fewer_are_let_in_after_a_refusal() -> None:
    async with asyncio.TaskGroup() as group:
        limiter = Limiter(8)
        crowd = Crowd(limiter, group)
        await crowd.ask(*["a"] * 20)
        assert limiter.in_flight == 8
        limiter.leave(limiter._clock(), KubeError(429, "TooManyRequests", "later"))
        await settle()
        assert (limiter.in_flight, limiter.concurrency.limit) == (7, 4)
        await crowd.drain()
    assert len(crowd.entered) == 20


@given(lanes=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), width=st.integers(1, 6))
def test_everybody_gets_in_and_no_lane_twice_while_another_waits(lanes: list[str], width: int) -> None:
    async def run() -> list[str]:
        async with asyncio.TaskGroup() as group:
            limiter = Limiter(width)
            crowd = Crowd(limiter, group)
            await crowd.ask(*lanes)
            await crowd.drain()
        return crowd.entered

    entered = asyncio.run(run())
    assert Counter(entered) == Counter(lanes)
    queued = entered[width:]
    waiting = Counter(queued)
    for first, second in pairwise(queued):
        waiting[first] -= 1
        assert first != second or sum(waiting.values()) == waiting[first]


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (KubeError(429, "TooManyRequests", ""), Trouble.REFUSED),
        (KubeError(504, "Timeout", ""), Trouble.LATE),
        (KubeError(500, "ServerTimeout", ""), Trouble.LATE),
        (KubeError(0, "Timeout", ""), Trouble.LATE),
        (KubeError(503, "ServiceUnavailable", ""), Trouble.AWAY),
        (KubeError(409, "Conflict", ""), None),
        (KubeError(500, "InternalError", ""), None),
    ],
)
def test_what_an_error_says_of_the_load(error: KubeError, trouble: Trouble | None) -> None:
    assert trouble_of(error) is trouble


async def test_a_lost_connection_changes_nothing() -> None:
    limiter = Limiter(32)
    for _ in range(50):
        sent = await limiter.enter("a")
        limiter.leave(sent, KubeError(0, "Unreachable", "nobody there"))
    assert (limiter.in_flight, limiter.concurrency.limit) == (0, 8)
