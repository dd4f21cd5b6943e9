"""What holds for an agent, told at once and again when its time is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kas.gitops import holds
from kas.gitops.holds import HoldBoard, pin_of, suspension_of
from kas.store.records import HoldKind, HoldRecord

if TYPE_CHECKING:
    import pytest

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FOREVER = HoldRecord(1, 5, 7, HoldKind.SUSPENSION, "alice", "", AT)
AN_HOUR = replace(FOREVER, id=2, project_id=None, until=AT + timedelta(hours=1))
PIN = HoldRecord(3, 5, 7, HoldKind.PIN, "alice", "", AT, commit="a" * 40)


class Stored:
    """The store's side: what is in force, whatever the time."""

    def __init__(self, *holds: HoldRecord) -> None:
        self.holds = holds
        self.asked = 0

    async def in_force(self, agent_id: int | None = None) -> tuple[HoldRecord, ...]:
        self.asked += 1
        return tuple(hold for hold in self.holds if agent_id in {None, hold.agent_id})


def test_of_two_suspensions_the_one_that_lasts_longer_counts() -> None:
    assert suspension_of(7, [AN_HOUR, FOREVER]) == FOREVER
    assert suspension_of(8, [AN_HOUR, FOREVER]) == AN_HOUR
    longer = replace(AN_HOUR, project_id=7, until=AT + timedelta(hours=2))
    assert suspension_of(7, [longer, AN_HOUR]) == longer
    assert suspension_of(7, [PIN]) is None


def test_a_pin_is_of_one_project() -> None:
    assert pin_of(7, [FOREVER, PIN]) == PIN
    assert pin_of(8, [FOREVER, PIN]) is None


async def test_every_change_is_told_once_and_a_second_stream_asks_no_database() -> None:
    stored = Stored(FOREVER)
    board = HoldBoard(stored, clock=lambda: AT)  # type: ignore[arg-type]  # all it asks for
    first: list[tuple[HoldRecord, ...]] = []
    second: list[tuple[HoldRecord, ...]] = []
    following, other = await board.follow(5, first.append), await board.follow(5, second.append)
    assert first == second == [(FOREVER,)]
    assert stored.asked == 1

    stored.holds = (FOREVER, PIN)
    await board.refresh(5)
    await board.refresh(5)
    assert first == second == [(FOREVER,), (FOREVER, PIN)]

    other.leave()
    stored.holds = ()
    await board.refresh(5)
    assert first[2:] == [()]
    assert second[2:] == []
    following.leave()


async def test_a_suspension_whose_time_is_over_is_told_without_anybody_doing_anything() -> None:
    soon = replace(AN_HOUR, until=datetime.now(UTC) + timedelta(milliseconds=50))
    board = HoldBoard(Stored(soon, PIN))  # type: ignore[arg-type]  # as above
    told: asyncio.Queue[tuple[HoldRecord, ...]] = asyncio.Queue()
    following = await board.follow(5, told.put_nowait)
    assert await told.get() == (soon, PIN)
    assert await told.get() == (PIN,)
    assert datetime.now(UTC) >= (soon.until or AT)
    following.leave()


async def test_what_another_replica_was_told_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "OTHERS_SECONDS", 0.01)
    stored = Stored()
    board = HoldBoard(stored, clock=lambda: AT)  # type: ignore[arg-type]  # all it asks for
    told: asyncio.Queue[tuple[HoldRecord, ...]] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        following = await board.follow(5, told.put_nowait)
        learning = tasks.create_task(board.follow_others())
        assert await told.get() == ()
        stored.holds = (FOREVER, replace(PIN, agent_id=6))
        async with asyncio.timeout(30):
            assert await told.get() == (FOREVER,)
        learning.cancel()
        following.leave()
