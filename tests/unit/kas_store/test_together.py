"""Many who come at once share a transaction; what each gets is what it would have got alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kas.store.errors import StoreUnavailable, ValueRefused
from kas.store.together import MOST, Together

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = 1000


class Groups:
    """Notes every group; the first one lasts until everybody else has come. -1 is what the database refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[list[int]] = []
        self.begun = asyncio.Event()
        self.going = asyncio.Event()
        self._error = error

    async def do(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        self.begun.set()
        await self.going.wait()
        if self._error is not None and -1 in items:
            raise self._error
        return [item * 10 for item in items]


async def _crowd(groups: Groups, items: Sequence[int]) -> list[int | BaseException]:
    """Have these come while the first one is being done."""
    together = Together(groups.do)
    results: list[int | BaseException] = []

    async def come() -> None:
        results.extend(await asyncio.gather(*(together.do(item) for item in items), return_exceptions=True))

    async def go() -> None:
        groups.going.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(together.do(FIRST))
        await groups.begun.wait()
        tasks.create_task(come())
        # The tasks that gather makes come before this one's second step.
        for _ in range(3):
            await asyncio.sleep(0)
        tasks.create_task(go())
    return results


async def test_who_comes_while_a_group_is_done_goes_with_the_next_one() -> None:
    groups = Groups()
    assert await _crowd(groups, [2, 3, 4]) == [20, 30, 40]
    assert groups.seen == [[FIRST], [2, 3, 4]]


async def test_a_crowd_is_done_in_groups_of_a_bounded_size_and_in_its_order() -> None:
    groups = Groups()
    items = list(range(3 * MOST))
    assert await _crowd(groups, items) == [item * 10 for item in items]
    assert max(map(len, groups.seen)) == MOST
    assert [item for group in groups.seen[1:] for item in group] == items


async def test_what_cannot_be_done_fails_alone() -> None:
    error = ValueRefused("too long")
    assert await _crowd(Groups(error), [0, 1, -1, 2]) == [0, 10, error, 20]


async def test_a_database_that_is_away_is_told_to_everybody_and_asked_once() -> None:
    groups = Groups(StoreUnavailable("gone"))
    results = await _crowd(groups, [-1, 1, 2])
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert len(groups.seen) == 2
    assert len({id(result) for result in results}) == 3, "an exception that several raise grows with each"


async def test_a_defect_reaches_everybody_who_waits() -> None:
    error = RuntimeError("a defect")
    assert await _crowd(Groups(error), [1, -1]) == [error, error]


async def test_what_was_asked_by_somebody_who_gives_up_before_its_turn_is_not_done() -> None:
    groups = Groups()
    together = Together(groups.do)
    async with asyncio.TaskGroup() as tasks:
        begun = tasks.create_task(together.do(1))
        await groups.begun.wait()
        waiting, patient = tasks.create_task(together.do(2)), tasks.create_task(together.do(3))
        await asyncio.sleep(0)
        waiting.cancel()
        begun.cancel()
        await asyncio.wait([waiting])
        assert not begun.done(), "its group is under way, and ends first"
        groups.going.set()
    assert groups.seen == [[1], [3]]
    assert begun.cancelled()
    assert patient.result() == 30
