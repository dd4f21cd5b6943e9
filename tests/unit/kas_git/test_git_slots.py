from __future__ import annotations

import asyncio

from kas.git.slots import Slots


async def test_no_more_than_the_given_number_have_a_turn() -> None:
    slots = Slots(2, lent=3600.0)
    entered: list[int] = []
    leave = asyncio.Event()

    async def work(number: int) -> None:
        async with slots.turn():
            entered.append(number)
            await leave.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(work(number))
        for _ in range(10):
            await asyncio.sleep(0)
        assert entered == [0, 1]
        leave.set()
    assert entered == [0, 1, 2]


async def test_who_takes_long_gives_the_turn_back_once_and_goes_on() -> None:
    slots = Slots(1, lent=0.0)
    async with asyncio.timeout(10), slots.turn(), slots.turn(), slots.turn():
        pass
    # Had anyone given back twice, there would now be more than one turn.
    assert slots._free._value == 1
