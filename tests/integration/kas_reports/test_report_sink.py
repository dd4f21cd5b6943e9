"""Reports from the wire to the store, and to those who watch."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.feed import Change, EventAdded, Feed, ObjectsChanged, Resync, Subscription, SyncChanged
from kas.reports.sink import ReportSink
from kas.reports.sync_id import SyncIds
from kas.store import sqlite as sqlite_module
from kas.store.errors import StoreUnavailable
from kas.store.records import SyncState
from kas.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from kas.reports.sink import Identity


IDS, COMMIT = SyncIds(b"key"), "c" * 40


def batch(
    identity: Identity, project_id: int, state: wire.SyncState = wire.SYNC_STATE_HEALTHY, *, path: str = "g/p"
) -> wire.ReportRequest:
    request = wire.ReportRequest()
    sync_id = IDS.of(identity.agent_id, project_id, path, COMMIT, b"d")
    outcomes = request.reports.add(id="o")
    outcomes.at.GetCurrentTime()
    outcomes.outcomes.sync_id = sync_id
    outcomes.outcomes.project_id = project_id
    for name in ("a", "b"):
        outcomes.outcomes.outcomes.add(
            object=wire.ObjectRef(kind="ConfigMap", namespace="n", name=name), result=wire.RESULT_CREATED
        )
    sync = request.reports.add(
        id="s", sync=wire.SyncReport(sync_id=sync_id, project_id=project_id, commit=COMMIT, state=state)
    )
    sync.at.GetCurrentTime()
    event = request.reports.add(
        id="e", event=wire.EventReport(sync_id=sync_id, project_id=project_id, type="Warning", reason="Drift")
    )
    event.at.GetCurrentTime()
    return request


def waiting(subscription: Subscription) -> list[Change]:
    return list(subscription._changes)


async def test_a_stored_batch_is_in_the_store_and_in_the_feed(store: Store, feed: Feed, identity: Identity) -> None:
    project_id = await store.projects.id_of("g/p")
    with feed.subscribe() as changes:
        await ReportSink(store, feed, IDS).store(identity, batch(identity, project_id))
        objects, sync, event = waiting(changes)
    refs = tuple(ObjectRef("", "ConfigMap", "n", name) for name in ("a", "b"))
    assert objects == ObjectsChanged(identity.agent_id, project_id, refs)
    assert isinstance(sync, SyncChanged)
    assert isinstance(event, EventAdded)
    assert sync.sync.state is SyncState.HEALTHY
    assert await store.syncs.list() == (sync.sync,)
    assert await store.events.list() == (event.event,)
    assert [item.object for item in await store.objects.list(identity.agent_id)] == list(refs)


async def test_the_same_batch_again_changes_nothing_in_the_store(store: Store, feed: Feed, identity: Identity) -> None:
    request = batch(identity, await store.projects.id_of("g/p"))
    sink = ReportSink(store, feed, IDS)
    await sink.store(identity, request)

    async def everything() -> tuple[object, ...]:
        syncs, objects = await store.syncs.list(newest_only=False), await store.objects.list(identity.agent_id)
        return (*((sync.id, sync.state, sync.finished_at) for sync in syncs), *objects, *await store.events.list())

    before = await everything()
    await asyncio.gather(*(sink.store(identity, request) for _ in range(5)))
    assert await everything() == before


async def test_an_empty_batch_is_no_work(store: Store, feed: Feed, identity: Identity) -> None:
    with feed.subscribe() as changes:
        await ReportSink(store, feed, IDS).store(identity, wire.ReportRequest())
        assert waiting(changes) == []


async def test_nothing_is_told_of_a_batch_that_was_not_stored(
    tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0)
    store = await Store.open(f"sqlite:///{tmp_path}/locked.db")
    agent = await store.agents.create("g/p", "prod")
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("begin immediate")

    class Prod:
        agent_id = agent.id

    with feed.subscribe() as changes:
        with pytest.raises(StoreUnavailable):
            await ReportSink(store, feed, IDS).store(Prod(), batch(Prod(), agent.project_id))
        assert waiting(changes) == [Resync()]
    other.execute("rollback")
    other.close()
    assert await store.syncs.list() == ()
    assert await store.events.list() == ()
    await store.close()


async def test_an_agent_cannot_take_the_event_of_another(store: Store, feed: Feed, identity: Identity) -> None:
    other = await store.agents.create("g/p", "staging")

    class Staging:
        agent_id = other.id

    project_id = await store.projects.id_of("g/p")
    sink = ReportSink(store, feed, IDS)
    await sink.store(Staging(), batch(Staging(), project_id))
    await sink.store(identity, batch(identity, project_id))
    assert sorted(event.agent_id or 0 for event in await store.events.list()) == sorted([identity.agent_id, other.id])


async def test_a_watcher_that_never_reads_holds_up_nothing(store: Store, feed: Feed, identity: Identity) -> None:
    project_id = await store.projects.id_of("g/p")
    sink = ReportSink(store, feed, IDS)
    with feed.subscribe(backlog=2) as idle:
        async with asyncio.timeout(30):
            for state in (wire.SYNC_STATE_APPLYING, wire.SYNC_STATE_APPLIED, wire.SYNC_STATE_HEALTHY):
                await sink.store(identity, batch(identity, project_id, state))
        assert Resync() in waiting(idle)
        assert len(waiting(idle)) <= 2
    assert (await store.syncs.list())[0].state is SyncState.HEALTHY
