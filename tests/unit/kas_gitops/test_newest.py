"""Only the newest counts, and nothing runs while there is nothing new."""

from __future__ import annotations

import asyncio

import pytest

from kas.gitops.newest import Newest
from kas.rush import Rush


class Work:
    """Notes what it was given, and lasts until it may go on."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.begun = asyncio.Event()
        self.going = asyncio.Event()

    async def __call__(self, number: int) -> None:
        self.seen.append(number)
        self.begun.set()
        await self.going.wait()
        if number < 0:
            raise ValueError(number)


async def test_of_what_comes_meanwhile_only_the_newest_is_worked_on() -> None:
    work = Work()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        newest = Newest(Rush(), tasks, work)
        newest.put(1)
        await work.begun.wait()
        for number in (2, 3, 4):
            newest.put(number)
        work.going.set()
    assert work.seen == [1, 4]


async def test_it_goes_on_after_it_had_nothing_to_do() -> None:
    work = Work()
    work.going.set()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        newest = Newest(Rush(), tasks, work)
        for number in (1, 2):
            work.begun.clear()
            newest.put(number)
            await work.begun.wait()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
    assert work.seen == [1, 2]


async def test_what_is_dropped_is_given_up_with_what_waits() -> None:
    work = Work()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        newest = Newest(Rush(), tasks, work)
        newest.put(1)
        await work.begun.wait()
        newest.put(2)
        newest.drop()
    assert work.seen == [1]


async def _fail(work: Work) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        newest, other = Newest(Rush(), tasks, work), Newest(Rush(), tasks, work)
        newest.put(-1)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            other.put(2)


async def test_an_error_ends_the_group_which_then_takes_in_nothing_more() -> None:
    work = Work()
    work.going.set()
    with pytest.raises(ExceptionGroup) as raised:
        await _fail(work)
    assert raised.group_contains(ValueError)
    assert work.seen == [-1]
