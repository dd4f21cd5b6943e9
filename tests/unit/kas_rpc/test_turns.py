from __future__ import annotations

import asyncio

import pytest

from kas.rpc.admission import BusyError
from kas.rpc.turns import Turns


class Road:
    """Callers that note when they have their turn, and have it until they are told to go on."""

    def __init__(self, at_once: int, *, waiting: int = 100, waiting_each: int = 100) -> None:
        self.turns = Turns(at_once, waiting=waiting, waiting_each=waiting_each, retry_after=2.0, busy="busy")
        self.through: list[str] = []
        self.refused: list[str] = []
        self.go_on = asyncio.Semaphore(0)

    async def come(self, lane: str, most: int | None = None) -> None:
        try:
            async with self.turns.turn(lane, most=most):
                self.through.append(lane)
                await self.go_on.acquire()
        except BusyError:
            self.refused.append(lane)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_lanes_take_turns_whatever_their_length() -> None:
    road = Road(1)
    async with asyncio.TaskGroup() as group:
        for lane in "aaaaabbc":
            group.create_task(road.come(lane))
        for _ in "aaaaabbc":
            await settled()
            road.go_on.release()
    assert "".join(road.through) == "aabcabaa"


async def test_a_lane_has_no_more_turns_at_once_than_it_may_and_keeps_nobody_else_waiting() -> None:
    road = Road(3)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(road.come("slow", 1))
        for _ in range(2):
            group.create_task(road.come("other"))
        await settled()
        assert sorted(road.through) == ["other", "other", "slow"]
        for _ in range(7):
            road.go_on.release()
    assert road.through.count("slow") == 5


async def test_a_full_lane_refuses_its_own_only() -> None:
    road = Road(1, waiting_each=2)
    async with asyncio.TaskGroup() as group:
        for lane in "aaaab":
            group.create_task(road.come(lane))
        await settled()
        assert road.refused == ["a"]
        for _ in range(4):
            road.go_on.release()
    assert sorted(road.through) == ["a", "a", "a", "b"]


async def test_when_all_lanes_are_full_the_longest_gives_way() -> None:
    road = Road(1, waiting=4)
    async with asyncio.TaskGroup() as group:
        for lane in "aaaaabcde":
            group.create_task(road.come(lane))
        await settled()
        # b, c and d came each for one of a; when e comes nobody has more than e would have.
        assert sorted(road.refused) == ["a", "a", "a", "e"]
        for _ in range(5):
            road.go_on.release()
    assert sorted(road.through) == ["a", "a", "b", "c", "d"]


@pytest.mark.parametrize("calls_first", [False, True])
async def test_who_gives_up_leaves_nothing_behind(calls_first: bool) -> None:  # noqa: FBT001
    road = Road(1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(road.come("a"))
        await settled()
        second = group.create_task(road.come("a"))
        group.create_task(road.come("b"))
        await settled()
        if calls_first:
            # Its turn comes in the moment in which it gives up.
            first.cancel()
            await asyncio.sleep(0)
        second.cancel()
        await settled()
        first.cancel()
        await settled()
        road.go_on.release()
    assert "b" in road.through
    async with asyncio.timeout(5), road.turns.turn("c"):
        assert (road.turns._waiters, road.turns._in_all) == (0, 1)
