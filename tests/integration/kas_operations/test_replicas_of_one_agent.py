"""Several replicas of one agent are connected at once, and one of them is slower than the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire
from kas.store.records import SyncState
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import pytest

    from kas.desired.model import Snapshot
    from kas.gitops.snapshots import Wanted
    from tests.integration.kas_operations.conftest import Kas


async def test_a_replica_whose_stream_lags_behind_does_not_set_back_what_another_has_done(
    kas: Kas, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = kas.publisher.snapshots.make
    lagging, may_go_on = asyncio.Event(), asyncio.Event()

    async def make_once_slowly(wanted: Wanted, commit: str) -> Snapshot:
        snapshot = await make(wanted, commit)
        if not lagging.is_set():
            lagging.set()
            await may_go_on.wait()
        return snapshot

    async with kas.played(instance="leads") as leader:
        await eventually(lambda: leader.commit, what="the first revision")
        monkeypatch.setattr(kas.publisher.snapshots, "make", make_once_slowly)
        async with kas.played(instance="stands by") as standby:
            await lagging.wait()
            second = kas.push("2")
            await eventually(lambda: leader.commit == second, what="the second revision, while the other lags")
            sync = await kas.synced(second)
            report = wire.Report(id="healthy")
            report.at.GetCurrentTime()
            report.sync.CopyFrom(
                wire.SyncReport(
                    sync_id=sync.id, project_id=sync.project_id, commit=second, state=wire.SYNC_STATE_HEALTHY
                )
            )
            assert leader.link is not None
            await leader.link.report(wire.ReportRequest(reports=[report]))

            may_go_on.set()
            await eventually(lambda: standby.commit == second, what="the lagging stream is where the other is")
            third = kas.push("3")
            await eventually(lambda: standby.commit == third, what="and goes on with it")
            await kas.synced(third)

            states = {sync.commit: sync.state for sync in await kas.store.syncs.list(kas.agent.id, newest_only=False)}
            assert states[second] is SyncState.HEALTHY
