from __future__ import annotations

import asyncio

import pytest

from agentk.kube.errors import KubeError, NotLeaderError
from agentk.leadership.guard import Guard


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_it_is_open_until_its_time_is_up_and_no_longer(clock: Clock) -> None:
    guard = Guard(7, clock=clock)
    assert not guard.is_open()

    guard.extend(110.0)
    guard.extend(105.0)
    clock.now = 109.9
    assert guard.is_open()
    await guard.opened()

    clock.now = 110.0
    assert not guard.is_open()


async def test_who_waits_goes_on_when_it_opens_again(clock: Clock) -> None:
    guard = Guard(7, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(guard.opened())
        await asyncio.sleep(0)
        guard.extend(99.0)
        await asyncio.sleep(0)
        assert not waiting.done()
        guard.extend(110.0)


async def test_while_it_is_closed_and_the_lease_cannot_be_renewed_writes_fail_and_are_worth_another_try(
    clock: Clock,
) -> None:
    guard = Guard(7, clock=clock)
    guard.extend(110.0)
    guard.hinder("cannot reach the server")
    await guard.opened()

    clock.now = 110.0
    with pytest.raises(KubeError, match="cannot reach the server") as refused:
        await guard.opened()
    assert refused.value.retryable

    guard.hinder("")
    guard.extend(120.0)
    await guard.opened()


async def test_once_over_it_stays_over_and_nobody_waits(clock: Clock) -> None:
    guard = Guard(7, clock=clock)
    guard.extend(110.0)
    guard.end()
    guard.extend(120.0)

    assert not guard.is_open()
    await guard.ended()
    with pytest.raises(NotLeaderError) as refused:
        await guard.opened()
    assert not refused.value.retryable
    assert isinstance(refused.value, KubeError)
    assert refused.value.reason == "NotLeader"
