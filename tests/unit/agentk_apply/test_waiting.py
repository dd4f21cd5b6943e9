from __future__ import annotations

import asyncio

import pytest

from agentk.apply.waiting import Patience, SupersededError
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "web", "a")


async def test_a_wait_ends_with_what_it_waits_for() -> None:
    patience, news = Patience(), asyncio.Event()

    async def wait() -> str:
        await news.wait()
        return "here"

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(patience.wait(REF, wait(), 60.0))
        await asyncio.sleep(0)
        assert patience.waiting
        news.set()
    assert waiting.result() == "here"
    assert not patience.waiting


async def test_giving_up_ends_every_wait_and_those_to_come_until_it_is_renewed() -> None:
    patience = Patience()
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(_outcome(patience, seconds)) for seconds in (0.0, 60.0)]
        await asyncio.sleep(0)
        patience.give_up()
    assert [one.result() for one in waits] == ["superseded", "superseded"]
    assert await _outcome(patience, 60.0) == "superseded"
    patience.renew()
    assert await patience.wait(REF, _at_once(), 60.0) == 7


async def test_time_counts_from_the_first_wait_for_an_object_and_what_is_known_at_once_still_counts() -> None:
    patience = Patience()
    assert await _outcome(patience, 0.01) == "late"
    assert await _outcome(patience, 0.01) == "late"
    assert await patience.wait(REF, _at_once(), 0.01) == 7


async def _at_once() -> int:
    return 7


async def _outcome(patience: Patience, seconds: float) -> str:
    try:
        await patience.wait(REF, asyncio.Event().wait(), seconds)
    except SupersededError:
        return "superseded"
    except TimeoutError:
        return "late"
    pytest.fail("the event was never set")
