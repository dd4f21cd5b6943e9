"""One report that PostgreSQL will never take costs the others of its batch nothing, and is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.feed import EventAdded, Feed
from kas.reports.quota import Quotas
from kas.reports.sink import ReportSink
from kas.store.errors import ValueRefused
from kas.store.records import SyncState
from kas.store.store import Store
from tests.integration.kas_reports.test_report_sink import IDS, batch, waiting
from tests.integration.kas_store.test_store_refused_values import names_of_four_bytes_a_character

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.store.records import AgentRecord
    from tests.support.postgres import PostgresServer


class Agent:
    def __init__(self, agent_id: int) -> None:
        self.agent_id = agent_id


@pytest.fixture
async def postgres_store(postgres: PostgresServer) -> AsyncIterator[Store]:
    name = postgres.create_database()
    opened = await Store.open(postgres.url(name))
    yield opened
    await opened.close()
    postgres.drop_database(name)


def poisoned(agent: AgentRecord, *, good: int = 0) -> wire.ReportRequest:
    """Return a batch with an object whose names no index of PostgreSQL holds, among others."""
    request = batch(Agent(agent.id), agent.project_id)
    ref = names_of_four_bytes_a_character()
    outcomes = request.reports[0].outcomes.outcomes
    outcomes.add(
        object=wire.ObjectRef(group=ref.group, kind=ref.kind, namespace=ref.namespace, name=ref.name),
        result=wire.RESULT_FAILED,
    )
    for number in range(good):
        outcomes.add(object=wire.ObjectRef(kind="Secret", name=f"after-{number}"), result=wire.RESULT_CREATED)
    return request


async def test_everything_but_the_poison_is_stored_and_its_loss_is_an_event(postgres_store: Store, feed: Feed) -> None:
    store = postgres_store
    agent = await store.agents.create("g/p", "prod")
    counted: list[str] = []
    request = poisoned(agent, good=50)
    with feed.subscribe() as changes:
        await ReportSink(store, feed, IDS, count=counted.append).store(Agent(agent.id), request)
        told = [change.event.reason for change in waiting(changes) if isinstance(change, EventAdded)]

    assert len(await store.objects.list(agent.id)) == 52
    (sync,) = await store.syncs.list()
    assert sync.state is SyncState.HEALTHY
    events = {event.reason: event for event in await store.events.list()}
    assert set(events) == {"Drift", "ReportRefused"} == set(told)
    refused = events["ReportRefused"]
    assert (refused.type, refused.agent_id, refused.project_id) == ("Warning", agent.id, agent.project_id)
    assert "about the object" in refused.message
    assert "index row size" in refused.message
    assert counted.count("refused") == 1


async def test_the_poison_again_and_again_is_told_once(postgres_store: Store, feed: Feed) -> None:
    agent = await postgres_store.agents.create("g/p", "prod")
    sink = ReportSink(postgres_store, feed, IDS)
    for _ in range(3):
        await sink.store(Agent(agent.id), poisoned(agent))
    reasons = [event.reason for event in await postgres_store.events.list()]
    assert sorted(reasons) == ["Drift", "ReportRefused"]


async def test_a_store_that_refuses_even_the_event_does_not_hold_the_agent_up(
    store: Store, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await store.agents.create("g/p", "prod")
    asked: list[int] = []

    async def refuse(_: object) -> None:
        asked.append(1)
        raise ValueRefused("no")

    monkeypatch.setattr(store.batches, "write", refuse)
    await ReportSink(store, feed, IDS).store(Agent(agent.id), batch(Agent(agent.id), agent.project_id))
    assert len(asked) < 20


async def test_much_poison_does_not_fill_the_disk_with_what_is_said_of_it(postgres_store: Store, feed: Feed) -> None:
    agent = await postgres_store.agents.create("g/p", "prod")
    sink = ReportSink(postgres_store, feed, IDS, quotas=Quotas(events=10))
    ref = names_of_four_bytes_a_character()
    request = batch(Agent(agent.id), agent.project_id)
    outcomes = request.reports[0].outcomes.outcomes
    for number in range(60):
        name = f"{number:02}{ref.name[2:]}"
        outcomes.add(
            object=wire.ObjectRef(group=ref.group, kind=ref.kind, namespace=ref.namespace, name=name),
            result=wire.RESULT_FAILED,
        )
    await sink.store(Agent(agent.id), request)
    events = await postgres_store.events.list(limit=1000)
    assert {event.reason for event in events} >= {"ReportRefused"}
    assert len(events) <= 20
