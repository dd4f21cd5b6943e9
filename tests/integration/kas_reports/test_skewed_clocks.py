"""Agents whose clocks are wrong: order and durations are kas' own, whatever they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.sink import ReportSink
from kas.store.records import SyncState
from tests.integration.kas_reports.test_report_sink import COMMIT, IDS

if TYPE_CHECKING:
    from kas.reports.feed import Feed
    from kas.store.store import Store
    from tests.integration.kas_reports.conftest import Identity

SKEWS = pytest.mark.parametrize(
    "skew", [timedelta(days=-4000), timedelta(hours=-1), timedelta(seconds=2), timedelta(days=4000)], ids=str
)

STATES = (
    (wire.SYNC_STATE_RECEIVED, SyncState.RECEIVED),
    (wire.SYNC_STATE_APPLYING, SyncState.APPLYING),
    (wire.SYNC_STATE_APPLIED, SyncState.APPLIED),
    (wire.SYNC_STATE_HEALTHY, SyncState.HEALTHY),
)


def id_of(identity: Identity, project_id: int, name: str) -> str:
    return IDS.of(identity.agent_id, project_id, "g/p", COMMIT, name.encode())


def reported(
    identity: Identity, project_id: int, name_of_it: str, state: wire.SyncState, skew: timedelta
) -> wire.ReportRequest:
    request = wire.ReportRequest()
    name, sync_id = wire.SyncState.Name(state), id_of(identity, project_id, name_of_it)
    sync = wire.SyncReport(sync_id=sync_id, project_id=project_id, commit=COMMIT, state=state)
    event = wire.EventReport(project_id=project_id, sync_id=sync_id, type="Normal", reason=name)
    for report in (
        request.reports.add(id=f"{sync_id}-{name}", sync=sync),
        request.reports.add(id=f"{sync_id}-{name}-event", event=event),
    ):
        report.at.FromDatetime(datetime.now(UTC) + skew)
    return request


@SKEWS
async def test_a_sync_passes_through_its_states_in_order_and_ends_after_it_began(
    store: Store, feed: Feed, identity: Identity, skew: timedelta
) -> None:
    sink = ReportSink(store, feed, IDS)
    project_id = await store.projects.id_of("g/p")
    begun = datetime.now(UTC)
    for sent, stands in STATES:
        await sink.store(identity, reported(identity, project_id, "first", sent, skew))
        (sync,) = await store.syncs.list()
        assert sync.state is stands
    over = datetime.now(UTC)
    assert sync.applied_at is not None
    assert sync.finished_at is not None
    assert begun - timedelta(milliseconds=1) <= sync.received_at <= sync.applied_at <= sync.finished_at <= over


@SKEWS
async def test_a_clock_that_jumps_between_two_syncs_does_not_turn_them_round(
    store: Store, feed: Feed, identity: Identity, skew: timedelta
) -> None:
    sink = ReportSink(store, feed, IDS)
    project_id = await store.projects.id_of("g/p")
    await sink.store(identity, reported(identity, project_id, "first", wire.SYNC_STATE_HEALTHY, timedelta()))
    await sink.store(identity, reported(identity, project_id, "second", wire.SYNC_STATE_RECEIVED, skew))
    (newest,) = await store.syncs.list()
    first, second = (id_of(identity, project_id, name) for name in ("first", "second"))
    assert newest.id == second
    assert [sync.id for sync in await store.syncs.list(newest_only=False)] == [second, first]
    assert [event.reason for event in await store.events.list()] == ["SYNC_STATE_HEALTHY", "SYNC_STATE_RECEIVED"]
