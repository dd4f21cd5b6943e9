"""Who was refused by the agent listener is kept for people: as an event, and as a line of the audit log."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from kas.reports.session_events import SessionEvents
from kas.rpc.auth import Refusal
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.reports.feed import Feed
    from kas.reports.sink import Identity
    from kas.store.store import Store


@asynccontextmanager
async def recording(store: Store, feed: Feed) -> AsyncIterator[SessionEvents]:
    events = SessionEvents(store, feed)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(events.run())
        try:
            yield events
        finally:
            task.cancel()


@pytest.mark.parametrize("reason", Refusal)
async def test_every_kind_of_refusal_is_an_event_and_a_line_of_the_audit_log(
    store: Store, feed: Feed, reason: Refusal
) -> None:
    async with recording(store, feed) as events:
        events.on_refused(reason, "10.0.0.9", None)
        await eventually(store.audit.list, what="the audit log has it")

    (event,) = await store.events.list()
    (line,) = await store.audit.list()
    assert (event.type, event.reason) == ("Warning", reason.value)
    assert "10.0.0.9" in event.message
    assert (line.action, line.outcome, line.actor.peer) == ("agent.connect", "refused", "10.0.0.9")
    assert line.reason in event.message


async def test_a_refused_agent_that_is_known_is_named_with_its_project(
    store: Store, feed: Feed, identity: Identity
) -> None:
    async with recording(store, feed) as events:
        events.on_refused(Refusal.REVOKED, "10.0.0.9", identity.agent_id)
        events.on_refused(Refusal.REVOKED, "10.0.0.9", identity.agent_id + 1)

        async def both() -> bool:
            return len(await store.audit.list()) == 2

        await eventually(both, what="the audit log has both")

    gone, known = sorted(await store.audit.list(), key=lambda line: line.project)
    assert (known.project, known.subject) == ("g/p", f"agent g/p:prod (id {identity.agent_id})")
    assert (gone.project, gone.subject) == ("", "the agent listener")


async def test_refusals_without_end_push_out_the_oldest_and_do_not_fill_the_disk(store: Store, feed: Feed) -> None:
    events = SessionEvents(store, feed, keep=20)

    async def last() -> bool:
        return any("10.0.3.231)" in event.message for event in await store.events.list(limit=1000))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(events.run())
        for number in range(1000):
            events.on_refused(Refusal.UNKNOWN, f"10.0.{number // 256}.{number % 256}", None)
        await eventually(last, what="the last one is stored")
        task.cancel()
    # Those that were written together with the last one have nobody behind them who makes room.
    assert len(await store.events.list(limit=1000)) <= 20 + 10 + 200
