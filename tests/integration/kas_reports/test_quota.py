"""How much of the disk one agent's reports take, over a real store."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.quota import Quotas
from kas.reports.sink import ReportSink
from kas.reports.sync_log import SyncLog
from kas.rpc.refusals import REFUSALS_AT_ONCE
from kas.store.errors import StoreUnavailable
from tests.integration.kas_reports.test_report_sink import COMMIT, IDS

if TYPE_CHECKING:
    from kas.reports.feed import Feed
    from kas.store.store import Store
    from tests.integration.kas_reports.conftest import Identity

QUOTAS = Quotas(spare=300, text=100, events=50)


class Reporting:
    """An agent that was sent a project of so many objects, and reports."""

    def __init__(self, store: Store, feed: Feed, identity: Identity, quotas: Quotas = QUOTAS) -> None:
        self.store = store
        self.feed = feed
        self.identity = identity
        self.sink = ReportSink(store, feed, IDS, quotas=quotas)

    async def sent(self, objects: int) -> None:
        self.project_id = await self.store.projects.id_of("g/p")
        self.sync_id = IDS.of(self.identity.agent_id, self.project_id, "g/p", COMMIT, b"%d" % objects)
        log = SyncLog(self.store, self.feed)
        await log.received(self.identity, "g/p", "branch main", COMMIT, self.sync_id, objects=objects)

    async def report(
        self, *names: str, result: wire.Result = wire.RESULT_CREATED, message: str = "", events: int = 0
    ) -> None:
        request = wire.ReportRequest()
        outcomes = request.reports.add(id="o").outcomes
        outcomes.sync_id, outcomes.project_id = self.sync_id, self.project_id
        for name in names:
            ref = wire.ObjectRef(kind="ConfigMap", namespace="n", name=name)
            outcomes.outcomes.add(object=ref, result=result, message=message)
        for number in range(events):
            said = wire.EventReport(
                sync_id=self.sync_id, project_id=self.project_id, reason="Said", message=str(number)
            )
            request.reports.add(id=f"{names[:1]}-{number}", event=said)
        for report in request.reports:
            report.at.GetCurrentTime()
        await self.sink.store(self.identity, request)

    async def rows(self) -> dict[str, tuple[str, int]]:
        """Return result and length of the message of each object, by name."""
        found = await self.store.objects.list(self.identity.agent_id, pruned=True)
        return {item.object.name: (item.result, len(item.message)) for item in found}

    async def told(self) -> int:
        return sum(event.reason == "ReportRefused" for event in await self.store.events.list(limit=10_000))


@pytest.fixture
def reporting(store: Store, feed: Feed, identity: Identity) -> Reporting:
    return Reporting(store, feed, identity)


async def test_twice_what_was_sent_and_some_are_stored_and_no_more_and_it_is_told_once(reporting: Reporting) -> None:
    await reporting.sent(100)
    for begin in range(0, 2000, 50):
        await reporting.report(*(f"o-{number}" for number in range(begin, begin + 50)))
    rows = await reporting.rows()
    assert 500 <= len(rows) <= 700
    assert await reporting.told() == 1
    (line,) = await reporting.store.audit.list()
    assert (line.action, line.outcome) == ("agent.report", "refused")

    # What is on record goes on: the agent has objects of its own among all those.
    await reporting.report("o-0", "beyond", "o-1", result=wire.RESULT_FAILED)
    after = await reporting.rows()
    assert {name: after[name][0] for name in ("o-0", "o-1")} == {"o-0": "failed", "o-1": "failed"}
    assert "beyond" not in after


async def test_what_was_pruned_makes_room(reporting: Reporting) -> None:
    await reporting.sent(100)
    for generation in range(20):
        names = [f"g{generation}-{number}" for number in range(100)]
        await reporting.report(*names)
        await reporting.report(*names, result=wire.RESULT_PRUNED)
    await reporting.report("last")
    assert "last" in await reporting.rows()
    assert len(await reporting.rows()) <= 700
    assert await reporting.told() == 0


async def test_a_larger_revision_has_more_room(reporting: Reporting) -> None:
    await reporting.sent(1)
    await reporting.report(*(f"o-{number}" for number in range(100)))
    await reporting.sent(2000)
    for begin in range(0, 4000, 200):
        await reporting.report(*(f"o-{number}" for number in range(begin, begin + 200)))
    assert len(await reporting.rows()) == 4000
    assert await reporting.told() == 0


async def test_too_much_text_is_cut_and_nothing_else_is_lost(reporting: Reporting) -> None:
    await reporting.sent(100)
    names = [f"o-{number}" for number in range(100)]
    for _ in range(4):
        await reporting.report(*names, message="x" * 4000)
    rows = await reporting.rows()
    assert len(rows) == 100
    assert sum(length for _, length in rows.values()) <= 200 * QUOTAS.text
    assert await reporting.told() == 0


async def test_what_kas_has_not_noted_yet_is_asked_for_again(reporting: Reporting) -> None:
    reporting.project_id = await reporting.store.projects.id_of("g/p")
    reporting.sync_id = IDS.of(reporting.identity.agent_id, reporting.project_id, "g/p", COMMIT, b"1000")
    names = [f"o-{number}" for number in range(1000)]
    await reporting.report(*names[:300])
    with pytest.raises(StoreUnavailable):
        await reporting.report(*names[300:])
    await reporting.sent(1000)
    await reporting.report(*names[300:])
    assert len(await reporting.rows()) == 1000


async def test_the_newest_events_stay_and_the_oldest_make_room(reporting: Reporting) -> None:
    await reporting.sent(1)
    for number in range(40):
        await reporting.report(f"o-{number}", events=10)
    events = await reporting.store.events.list(project_id=reporting.project_id, limit=10_000)
    assert len(events) <= 2 * QUOTAS.events
    assert [event.message for event in events[-10:]] == [str(number) for number in range(10)]


async def test_one_agents_flood_takes_no_room_from_another(reporting: Reporting, store: Store, feed: Feed) -> None:
    await reporting.sent(1)
    for begin in range(0, 1000, 100):
        await reporting.report(*(f"o-{number}" for number in range(begin, begin + 100)))
    record = await store.agents.create("g/p", "other")
    other = Reporting(store, feed, type(reporting.identity)(record.id, record.name, record.project, 2))
    await other.sent(200)
    await other.report(*(f"mine-{number}" for number in range(200)))
    assert len(await other.rows()) == 200


async def test_many_reports_at_once_take_no_more_than_one_after_another(reporting: Reporting) -> None:
    await reporting.sent(100)
    await reporting.report(*(f"first-{number}" for number in range(150)))
    floods = ([f"{begin}-{number}" for number in range(200)] for begin in range(20))
    await asyncio.gather(*(reporting.report(*names) for names in floods))
    assert len(await reporting.rows()) <= 700
    assert await reporting.told() == 1


async def test_an_agent_that_takes_the_names_of_kas_own_events_hides_nothing(reporting: Reporting) -> None:
    await reporting.sent(1)
    today = f"{datetime.now(UTC):%Y%m%d}"
    request = wire.ReportRequest()
    for name in (f"{reporting.project_id}-beyond-{today}", f"beyond-{reporting.identity.agent_id}-{today}"):
        said = wire.EventReport(sync_id=reporting.sync_id, project_id=reporting.project_id, reason="Said")
        request.reports.add(id=name, event=said)
    await reporting.sink.store(reporting.identity, request)
    for begin in range(0, 600, 100):
        await reporting.report(*(f"o-{number}" for number in range(begin, begin + 100)))
    assert await reporting.told() == 1


async def test_refusals_told_anew_do_not_fill_the_audit_log(reporting: Reporting) -> None:
    await reporting.sent(1)
    strange = wire.ReportRequest()
    other = await reporting.store.projects.id_of("other/app")
    strange.reports.add(id="s", event=wire.EventReport(project_id=other, reason="Said"))
    flood = wire.ReportRequest()
    for _ in range(30):
        await reporting.sink.store(reporting.identity, strange)
        flood.Clear()
        for _ in range(60):
            flood.reports.add(id=uuid.uuid4().hex, event=wire.EventReport(reason="Said"))
        await reporting.sink.store(reporting.identity, flood)
    assert len(await reporting.store.audit.list(limit=1000)) <= REFUSALS_AT_ONCE + 2


async def test_projects_that_there_are_not_make_no_room(reporting: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kas.reports.quota._SCOPES", 3)
    await reporting.sent(1)
    for begin in range(0, 2000, 100):
        strange = wire.ReportRequest()
        for number in range(10):
            outcomes = strange.reports.add(id=str(number)).outcomes
            outcomes.sync_id, outcomes.project_id = "f" * 48, 1000 + begin + number
            outcomes.outcomes.add(object=wire.ObjectRef(kind="ConfigMap", name="a"), result=wire.RESULT_CREATED)
        await reporting.sink.store(reporting.identity, strange)
        await reporting.report(*(f"o-{number}" for number in range(begin, begin + 100)))
    assert len(await reporting.rows()) <= 2 * QUOTAS.spare
