"""While a crowd is told what is new, what can wait does; nothing waits for a few, and nothing for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kas import rush as rushing
from kas.rush import AT_ONCE, FEW, Rush

if TYPE_CHECKING:
    import pytest


async def _reports(rush: Rush, tasks: asyncio.TaskGroup, count: int) -> list[asyncio.Task[bool]]:
    """Have so many come that can wait."""
    reports = [tasks.create_task(rush.over()) for _ in range(count)]
    await asyncio.sleep(0)
    return reports


async def test_what_can_wait_goes_on_when_a_crowd_has_been_told() -> None:
    rush, read = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(FEW + 1):
            rush.spawn(tasks, read.wait())
        reports = await _reports(rush, tasks, 3)
        assert not any(report.done() for report in reports)
        read.set()
        await asyncio.gather(*reports)
        await rush.over()


async def test_nothing_waits_while_a_few_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rushing, "LONGEST_SECONDS", 1000.0)
    rush, read = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(FEW):
            rush.spawn(tasks, read.wait())
        await rush.over()
        read.set()


async def test_agents_that_do_not_read_hold_others_up_for_a_bounded_time_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rushing, "LONGEST_SECONDS", 0.01)
    rush, read = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(FEW + 1):
            rush.spawn(tasks, read.wait())
        await rush.over()
        monkeypatch.setattr(rushing, "LONGEST_SECONDS", 1000.0)
        rush.spawn(tasks, read.wait())
        await rush.over()
        read.set()


async def test_when_they_have_read_the_next_crowd_comes_first_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rushing, "LONGEST_SECONDS", 0.01)
    rush, read = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        told = [rush.spawn(tasks, read.wait()) for _ in range(FEW + 1)]
        await rush.over()
        read.set()
        await asyncio.gather(*filter(None, told))
        monkeypatch.setattr(rushing, "LONGEST_SECONDS", 1000.0)
        read.clear()
        for _ in range(FEW + 1):
            rush.spawn(tasks, read.wait())
        (report,) = await _reports(rush, tasks, 1)
        assert not report.done()
        read.set()


async def test_those_that_waited_go_on_a_part_at_a_time_and_no_new_crowd_stops_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rushing, "LONGEST_SECONDS", 1000.0)
    rush, read = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        told = [rush.spawn(tasks, read.wait()) for _ in range(FEW + 1)]
        reports = await _reports(rush, tasks, 10 * AT_ONCE)
        reports[0].cancel()
        read.set()
        await asyncio.gather(*filter(None, told))
        at_first = sum(report.done() for report in reports)
        read.clear()
        for _ in range(FEW + 1):
            rush.spawn(tasks, read.wait())
        later = await _reports(rush, tasks, 1)
        await asyncio.gather(*reports, return_exceptions=True)
        assert at_first <= 5 * AT_ONCE
        assert not later[0].done()
        read.set()


async def test_work_that_is_cancelled_before_it_begins_counts_no_more() -> None:
    rush, never = Rush(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(FEW + 1):
            task = rush.spawn(tasks, never.wait())
            assert task is not None
            task.cancel()
        await rush.over()
