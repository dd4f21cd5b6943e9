"""What an agent may report about: what kas has sent it, whichever kas that was, whenever, and as far as it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.reports.sink import ReportSink
from kas.reports.sync_log import SyncLog
from kas.store.derived import derived_id
from kas.store.records import SyncState
from kas.store.store import Store
from tests.integration.kas_reports.test_report_sink import COMMIT, IDS, batch

if TYPE_CHECKING:
    from pathlib import Path

    from agentlink.v1 import agentlink_pb2 as wire
    from kas.reports.feed import Feed
    from kas.store.batches import Batch, Written
    from tests.integration.kas_reports.conftest import Identity

BEFORE = "0123456789abcdef" * 2
"""A name as kas gave it before names were proofs."""


def renamed(request: wire.ReportRequest, sync_id: str) -> wire.ReportRequest:
    request.reports[0].outcomes.sync_id = request.reports[1].sync.sync_id = request.reports[2].event.sync_id = sync_id
    return request


async def stored(store: Store, agent_id: int) -> tuple[int, int, int]:
    """Return how many syncs, objects and events an agent has told of; what kas itself says is left out."""
    syncs = [sync for sync in await store.syncs.list(agent_id, newest_only=False) if sync.reported_at is not None]
    events = [event for event in await store.events.list(agent_id=agent_id) if event.source == "agentk"]
    return len(syncs), len(await store.objects.list(agent_id)), len(events)


async def test_what_was_sent_is_taken_though_nobody_noted_it(store: Store, feed: Feed, identity: Identity) -> None:
    project_id = await store.projects.id_of("g/p")
    await ReportSink(store, feed, IDS).store(identity, batch(identity, project_id))
    assert await stored(store, identity.agent_id) == (1, 2, 1)


async def test_an_event_that_names_no_sync_is_vouched_for_by_what_comes_with_it(
    store: Store, feed: Feed, identity: Identity
) -> None:
    project_id = await store.projects.id_of("g/p")
    request = batch(identity, project_id)
    request.reports[2].event.sync_id = ""
    await ReportSink(store, feed, IDS).store(identity, request)
    assert await stored(store, identity.agent_id) == (1, 2, 1)


async def test_names_that_kas_gave_before_they_were_proofs_are_taken_where_it_noted_them(
    store: Store, feed: Feed, identity: Identity
) -> None:
    project_id = await store.projects.id_of("g/p")
    await SyncLog(store, feed).received(identity, "g/p", "branch main", COMMIT, BEFORE)
    await ReportSink(store, feed, IDS).store(identity, renamed(batch(identity, project_id), BEFORE))
    assert await stored(store, identity.agent_id) == (1, 2, 1)
    (sync,) = await store.syncs.list()
    assert (sync.id, sync.state) == (BEFORE, SyncState.HEALTHY)


@pytest.mark.parametrize("sync_id", ["", BEFORE, "s", "f" * 48])
async def test_a_name_that_nobody_gave_is_of_no_sync_and_of_no_project_that_was_never_sent(
    store: Store, feed: Feed, identity: Identity, sync_id: str
) -> None:
    project_id = await store.projects.id_of("other/app")
    counted: list[str] = []
    sink = ReportSink(store, feed, IDS, count=counted.append)
    for _ in range(3):
        await sink.store(identity, renamed(batch(identity, project_id), sync_id))
    assert await stored(store, identity.agent_id) == (0, 0, 0)
    assert counted.count("refused") == 3
    (event,) = await store.events.list()
    assert (event.reason, event.source, event.project_id) == ("ReportRefused", "kas", None)
    (line,) = await store.audit.list()
    assert (line.action, line.outcome, line.project) == ("agent.report", "refused", "g/p")


async def test_a_refusal_of_kas_is_nothing_that_was_sent(store: Store, feed: Feed, identity: Identity) -> None:
    log = SyncLog(store, feed)
    await log.failed(identity, "other/app", "branch main", COMMIT, "InvalidManifest", "no")
    (refusal,) = await store.syncs.list()
    project_id = await store.projects.id_of("other/app")
    await ReportSink(store, feed, IDS).store(identity, renamed(batch(identity, project_id), refusal.id))
    assert await store.syncs.list() == (refusal,)
    assert await stored(store, identity.agent_id) == (0, 0, 0)


async def test_another_agents_proof_is_none(store: Store, feed: Feed, identity: Identity) -> None:
    other = await store.agents.create("g/p", "other")

    class Other:
        agent_id = other.id

    project_id = await store.projects.id_of("g/p")
    await ReportSink(store, feed, IDS).store(identity, batch(Other(), project_id))
    assert await stored(store, identity.agent_id) == (0, 0, 0)


async def test_a_project_of_another_name_with_the_number_of_one_before_is_not_meant(
    store: Store, feed: Feed, identity: Identity
) -> None:
    project_id = await store.projects.id_of("other/app")
    await ReportSink(store, feed, IDS).store(identity, batch(identity, project_id, path="g/lost"))
    assert await stored(store, identity.agent_id) == (0, 0, 0)


async def test_a_report_that_comes_late_to_another_kas_about_a_project_that_has_left_is_stored(
    tmp_path: Path, store: Store, feed: Feed, identity: Identity
) -> None:
    project_id = await store.projects.id_of("g/p")
    log = SyncLog(store, feed)
    request = batch(identity, project_id)
    await log.received(identity, "g/p", "branch main", COMMIT, request.reports[1].sync.sync_id)
    await log.left(identity, ())
    other = await Store.open(f"sqlite:///{tmp_path}/kas.db")
    try:
        await ReportSink(other, feed, IDS).store(identity, request)
        assert await stored(other, identity.agent_id) == (1, 2, 1)
    finally:
        await other.close()


async def test_a_number_that_another_project_gets_while_a_report_waits_opens_nothing(
    store: Store, feed: Feed, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = derived_id("other/app")
    write = store.batches.write
    got: list[int] = []

    async def late(given: Batch) -> Written:
        got.append(await store.projects.id_of("other/app"))
        return await write(given)

    monkeypatch.setattr(store.batches, "write", late)
    await ReportSink(store, feed, IDS).store(identity, renamed(batch(identity, coming), "f" * 48))
    assert got
    assert set(got) == {coming}
    assert await stored(store, identity.agent_id) == (0, 0, 1)
    assert {event.project_id for event in await store.events.list()} == {None}
