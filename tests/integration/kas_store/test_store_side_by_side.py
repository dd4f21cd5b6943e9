"""Replicas on one database: as many as there are, each name is registered once and no event is missed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentlink.refs import ObjectRef
from kas.store.batches import Batch
from kas.store.errors import AgentExists
from kas.store.records import AgentRecord, Counts, EventRecord, ObjectRecord, SyncState
from kas.store.store import Store
from kas.store.sync_rules import SyncReported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.postgres import PostgresServer

T0 = datetime(2026, 11, 21, tzinfo=UTC)
REPLICAS = 3
OUTCOMES = 2_000
"""The most that one batch may have."""


@pytest.fixture
async def replicas(url: str) -> AsyncIterator[list[Store]]:
    async with AsyncExitStack() as stack:
        stores = list(await asyncio.gather(*(Store.open(url) for _ in range(REPLICAS))))
        for store in stores:
            stack.push_async_callback(store.close)
        yield stores


def event(agent: int, name: str) -> EventRecord:
    return EventRecord(name, T0, "agentk", "Normal", "Batch", name, agent, 1)


async def test_of_replicas_that_register_one_name_at_once_one_does(replicas: list[Store]) -> None:
    for number in range(5):
        asked = (store.agents.create("g/p", f"agent-{number}") for store in replicas for _ in range(3))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, AgentRecord) for answer in answers) == 1
        assert sum(isinstance(answer, AgentExists) for answer in answers) == len(answers) - 1


async def test_a_reader_that_goes_on_after_a_number_misses_no_event_of_any_replica(replicas: list[Store]) -> None:
    agents = [(await replicas[0].agents.create("g/p", f"a{number}")).id for number in range(REPLICAS)]
    total = 40 * REPLICAS
    seen: list[str] = []

    async def read() -> None:
        after = 0
        while len(seen) < total:
            for stored in await replicas[0].events.list(after=after, limit=10):
                seen.append(stored.id)
                after = stored.seq

    async def write(number: int, store: Store) -> None:
        for turn in range(20):
            pair = tuple(event(agents[number], f"{number}-{turn}-{which}") for which in "ab")
            await store.batches.write(Batch(agents[number], events=pair))

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        for number, store in enumerate(replicas):
            tasks.create_task(write(number, store))
    assert len(set(seen)) == total


async def test_a_note_of_one_replica_does_not_undo_what_was_reported_to_another(replicas: list[Store]) -> None:
    one, two, _ = replicas
    await one.projects.pin("g/p", 1)
    agent = (await one.agents.create("g/p", "prod")).id
    for turn in range(30):
        sync_id = f"s{turn}"
        said = SyncReported(sync_id, 1, "c", SyncState.HEALTHY, "", "", Counts(total=1), T0)
        await asyncio.gather(
            one.syncs.received(agent, 1, sync_id=sync_id, ref="branch main", commit="c"),
            two.batches.write(Batch(agent, syncs=(said,))),
        )
        sync = await one.syncs.get(agent, sync_id)
        assert (sync.state, sync.ref) == (SyncState.HEALTHY, "branch main")


async def test_lists_are_in_the_order_of_code_points_whatever_the_servers_locale(replicas: list[Store]) -> None:
    names = ["b", "a", "B", "a-b", "ab", "ä"]
    for name in names:
        await replicas[0].agents.create("g/p", name)
    assert [agent.name for agent in await replicas[1].agents.list()] == sorted(names)


async def test_the_largest_batch_is_stored_whole(replicas: list[Store]) -> None:
    one, two, _ = replicas
    await one.projects.pin("g/p", 1)
    agent = (await one.agents.create("g/p", "prod")).id
    refs = [ObjectRef("", "ConfigMap", "n", f"c{number:04}") for number in range(OUTCOMES)]
    for turn in ("first", "second"):
        said = tuple(ObjectRecord(agent, 1, ref, "created", "", "", turn, "p", "s", T0) for ref in refs)
        await one.batches.write(Batch(agent, objects=said))
        assert await two.objects.list(agent) == said


async def test_a_connection_of_before_a_restart_of_the_server_is_replaced(own_postgres: PostgresServer) -> None:
    store = await Store.open(own_postgres.url(own_postgres.create_database()))
    await store.projects.pin("g/p", 1)
    agent = await store.agents.create("g/p", "prod")
    own_postgres.crash()
    own_postgres.start()
    assert await store.agents.list() == (agent,)
    await store.batches.write(Batch(agent.id, events=(event(agent.id, "e"),)))
    await store.close()


async def test_a_replica_that_lags_behind_does_not_set_a_newer_revision_back(replicas: list[Store]) -> None:
    await replicas[0].projects.pin("g/p", 1)
    agent = await replicas[0].agents.create("g/p", "a")
    project_id = await replicas[0].projects.id_of("g/p")

    async def note(number: int, commit: str, minute: int, ref: str = "branch main") -> str:
        seen_at = T0 + timedelta(minutes=minute)
        await replicas[number].syncs.received(
            agent.id, project_id, sync_id=commit, ref=ref, commit=commit, seen_at=seen_at
        )
        (newest,) = await replicas[number].syncs.list(agent.id)
        return newest.commit

    assert await note(0, "new", 2) == "new"
    assert await note(1, "old", 1) == "new"
    assert await note(1, "old", 3) == "old", "the branch really went back"
    assert await note(0, "else", 0, "branch other") == "else", "another ref has its own times"
    assert await note(0, "ahead", 100 * 365 * 24 * 60) == "ahead", "by a clock that is wrong"
    assert await note(1, "later", 4) == "later", "which keeps nothing back"


async def test_of_replicas_that_start_at_once_one_makes_the_first_api_token(replicas: list[Store]) -> None:
    made = await asyncio.gather(
        *(store.api_tokens.create_first("first", "admin", f"{number:064}") for number, store in enumerate(replicas))
    )
    assert made.count(None) == REPLICAS - 1
    assert len(await replicas[0].api_tokens.list()) == 1


async def test_a_batch_that_replicas_store_at_once_is_there_once(replicas: list[Store]) -> None:
    await replicas[0].projects.pin("g/p", 1)
    agent = await replicas[0].agents.create("g/p", "a")
    await replicas[0].projects.id_of("g/p")
    batch = Batch(agent.id, events=(event(agent.id, "e1"),))
    written = await asyncio.gather(*(store.batches.write(batch) for store in replicas))
    assert sum(len(one.events) for one in written) == 1
    assert len(await replicas[1].events.list(agent_id=agent.id)) == 1


async def test_all_have_the_same_key_of_a_name_whoever_asks_first(replicas: list[Store]) -> None:
    found = await asyncio.gather(*(store.keys.of("k") for store in replicas for _ in range(3)))
    assert {len(key) for key in found} == {32}
    assert len(set(found)) == 1
    assert await replicas[0].keys.of("another") not in found
    await replicas[1].keys.renew("k")
    assert {await store.keys.of("k") for store in replicas}.isdisjoint(found)
