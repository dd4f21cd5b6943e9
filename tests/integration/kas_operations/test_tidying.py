"""Objects on record that are in no snapshot any more are forgotten, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.operating import Operator
from kas.gitops.tidying import tidy
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from kas.store.records import SyncRecord
    from tests.integration.kas_operations.conftest import Kas, Played

NOW = datetime.now(UTC)


def outcome(name: str, result: wire.Result) -> wire.ObjectOutcome:
    ref = wire.ObjectRef(kind="ConfigMap", namespace="demo", name=name)
    return wire.ObjectOutcome(object=ref, result=result, health=wire.HEALTH_CURRENT)


async def reported(agent: Played, sync: SyncRecord, state: wire.SyncState, **objects: wire.Result) -> None:
    outcomes = wire.OutcomesReport(sync_id=sync.id, project_id=sync.project_id)
    outcomes.outcomes.extend(outcome(name, result) for name, result in objects.items())
    counts = wire.SyncCounts(total=1 + sum(result == wire.RESULT_SKIPPED for result in objects.values()))
    counts.skipped = counts.total - 1
    said = wire.SyncReport(sync_id=sync.id, project_id=sync.project_id, commit=sync.commit, state=state, counts=counts)
    request = wire.ReportRequest(reports=[wire.Report(id="o", outcomes=outcomes), wire.Report(id="s", sync=said)])
    for report in request.reports:
        report.at.GetCurrentTime()
    assert agent.link is not None
    await agent.link.report(request)


async def test_what_is_in_no_snapshot_and_waits_for_nobody_is_forgotten_once_it_is_old(kas: Kas) -> None:
    operator = Operator(kas.publisher, kas.commands)

    async def names() -> set[str]:
        return {item.object.name for item in await kas.store.objects.list(kas.agent.id, pruned=True)}

    async with kas.played() as agent:
        await eventually(lambda: agent.commit, what="the first revision")
        sync = await kas.synced(agent.commit)
        of_all = {
            "app": wire.RESULT_UNCHANGED,
            "lost": wire.RESULT_CREATED,
            "waits": wire.RESULT_SKIPPED,
            "gone": wire.RESULT_PRUNED,
        }
        await reported(agent, sync, wire.SYNC_STATE_APPLYING, **of_all)
        later = NOW + timedelta(days=1)
        assert await tidy(kas.publisher, operator, later) == 0  # not healthy: nobody knows what it will be
        await reported(agent, sync, wire.SYNC_STATE_HEALTHY, **of_all)
        assert await tidy(kas.publisher, operator, NOW - timedelta(days=1)) == 0  # too new
        assert await names() == {"app", "lost", "waits", "gone"}
        assert await tidy(kas.publisher, operator, later) == 1
        assert await names() == {"app", "waits", "gone"}
        assert await tidy(kas.publisher, operator, later) == 0
