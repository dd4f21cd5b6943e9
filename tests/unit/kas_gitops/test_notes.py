"""Notes wait for the database, keep their order, and stop nobody."""

from __future__ import annotations

import asyncio
import functools

import pytest

from kas.gitops.notes import WAITING, Notes
from kas.rush import Rush
from kas.store import patience
from kas.store.errors import NotFound, StoreUnavailable


class Store:
    """What notes are written to: away until told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.asked = asyncio.Event()
        self.stored: list[int] = []
        self.complete = asyncio.Event()

    async def store(self, number: int) -> None:
        self.asked.set()
        if self.away:
            raise StoreUnavailable("gone")
        if number < 0:
            raise NotFound("agent", number)
        self.stored.append(number)
        if number == 9:
            self.complete.set()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.0)


async def test_notes_wait_for_the_database_and_are_stored_in_their_order() -> None:
    store, notes = Store(), Notes(7, Rush())
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        notes.join(tasks)
        for number in (1, 2, -1, 3):
            notes.add("a note", lambda number=number: store.store(number))  # type: ignore[misc]  # bound for each
        await store.asked.wait()
        notes.add("a note", lambda: store.store(9))
        assert store.stored == []
        store.away = False
        await store.complete.wait()
    assert store.stored == [1, 2, 3, 9]  # what the store refuses is left out


async def test_more_notes_than_may_wait_drop_the_oldest() -> None:
    store, notes = Store(), Notes(7, Rush())
    store.away = False
    for number in (*range(100, 100 + WAITING), 9):
        notes.add("a note", lambda number=number: store.store(number))  # type: ignore[misc]  # bound for each
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        notes.join(tasks)
        await store.complete.wait()
    assert store.stored == [*range(101, 100 + WAITING), 9]


async def _stream(notes: Notes) -> None:
    """Be a stream, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        notes.join(tasks)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            notes.leave(tasks)


@pytest.mark.parametrize("written", [True, False], ids=["while it writes", "before it writes"])
async def test_when_one_stream_ends_another_of_the_agent_goes_on_where_it_was(*, written: bool) -> None:
    store, notes = Store(), Notes(7, Rush())
    async with asyncio.TaskGroup() as tasks:
        first, second = (tasks.create_task(_stream(notes)) for _ in range(2))
        await asyncio.sleep(0)
        for number in range(10):
            notes.add("a note", functools.partial(store.store, number))
        if written:
            await store.asked.wait()
        first.cancel()
        store.away = False
        async with asyncio.timeout(10):
            await store.complete.wait()
        second.cancel()

    assert store.stored == list(range(10))


async def test_no_stream_has_a_task_while_there_is_nothing_to_write() -> None:
    store, notes = Store(), Notes(7, Rush())
    store.away = False
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        notes.join(tasks)
        notes.add("a note", functools.partial(store.store, 9))
        await store.complete.wait()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_stream_that_lags_behind_another_is_told_so() -> None:
    notes = Notes(7, Rush())

    assert [notes.overtake(1, number) for number in (3, 3, 2, 4, 3)] == [True, True, False, True, False]
    assert notes.overtake(2, 1)
    assert notes.overtake(1, 0)
