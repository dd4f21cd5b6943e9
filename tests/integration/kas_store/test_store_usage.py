"""How much is on record of what an agent reports, making room, and pages; on each kind of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentlink.refs import ObjectRef
from kas.store.batches import Batch
from kas.store.objects import Place
from kas.store.records import Counts, SyncState
from kas.store.sync_rules import SyncReported
from kas.store.usage import Surplus, Usage
from tests.integration.kas_store.test_store_objects_events import T0, event, outcome

if TYPE_CHECKING:
    from kas.store.store import Store

COMMIT = "c" * 40


def named(name: str, namespace: str = "n") -> ObjectRef:
    return ObjectRef("", "ConfigMap", namespace, name)


@pytest.fixture
async def agent(store: Store) -> int:
    """An agent that was sent three objects, and has two on record and one that is gone."""
    await store.projects.pin("g/p", 1)
    record = await store.agents.create("g/p", "prod")
    await store.syncs.received(record.id, 1, sync_id="s1", ref="branch main", commit=COMMIT, total=3)
    objects = [
        outcome(record.id, object=named("a"), message="12345", path="678"),
        outcome(record.id, object=named("b"), message="", path="", result="created"),
        outcome(record.id, object=named("gone"), message="", path="", result="pruned"),
    ]
    await store.batches.write(Batch(record.id, objects=tuple(objects)))
    return record.id


async def test_what_is_on_record_is_counted(store: Store, agent: int) -> None:
    assert await store.usage.of(agent, 1) == Usage(objects=3, size=8, pruned=1, sent=3, noted=True)
    assert await store.usage.of(agent, 2) == Usage(objects=0, size=0, pruned=0, sent=0, noted=False)


async def test_what_an_agent_counts_is_not_what_it_was_sent(store: Store, agent: int) -> None:
    said = SyncReported("s1", 1, COMMIT, SyncState.HEALTHY, "", "", Counts(total=10**6), T0)
    await store.batches.write(Batch(agent, syncs=(said,)))
    assert (await store.usage.of(agent, 1)).sent == 3


async def test_objects_on_record_are_known_by_name(store: Store, agent: int) -> None:
    asked = [named("a"), named("gone"), named("c"), named("a", "other"), *(named(f"x{n}") for n in range(1200))]
    assert await store.usage.known(agent, 1, asked) == {named("a"), named("gone")}


async def test_what_was_pruned_makes_room_and_nothing_else_does(store: Store, agent: int) -> None:
    await store.usage.forget_pruned(agent, 1, most=10)
    assert {item.object.name for item in await store.objects.list(agent, pruned=True)} == {"a", "b"}


async def test_the_oldest_events_of_one_scope_make_room(store: Store, agent: int) -> None:
    events = [event(agent, number) for number in range(10)]
    others = [replace(event(agent, number), project_id=None) for number in range(10, 15)]
    await store.batches.write(Batch(agent, events=(*events, *others)))
    await store.usage.forget_events(agent, 1, keep=4, most=100)
    assert [item.id for item in await store.events.list(agent_id=agent, limit=100)] == [
        *(f"e{number}" for number in range(6, 10)),
        *(f"e{number}" for number in range(10, 15)),
    ]
    await store.usage.forget_events(agent, None, keep=1, most=2)
    left = [item.id for item in await store.events.list(agent_id=agent, limit=100) if item.project_id is None]
    assert left == ["e12", "e13", "e14"]


async def test_a_healthy_project_with_more_than_it_counts_has_a_surplus(store: Store, agent: int) -> None:
    later = T0 + timedelta(days=1)
    assert await store.usage.surpluses(later) == []
    said = SyncReported("s1", 1, COMMIT, SyncState.HEALTHY, "", "", Counts(total=1), T0)
    await store.batches.write(Batch(agent, syncs=(said,)))
    assert await store.usage.surpluses(T0 - timedelta(days=1)) == []
    (surplus,) = await store.usage.surpluses(later)
    assert surplus == Surplus(agent, 1, COMMIT)
    assert await store.usage.forget_others(surplus, lambda ref: ref == named("a"), later) == 1
    assert {item.object.name for item in await store.objects.list(agent, pruned=True)} == {"a", "gone"}
    assert await store.usage.surpluses(later) == []


async def test_pages_follow_one_another_without_a_gap_in_the_order_of_the_whole(store: Store, agent: int) -> None:
    refs = [
        ObjectRef(group, kind, space, name)
        for group in ("", "apps")
        for kind in "KL"
        for space in ("", "n", "é")
        for name in "ab"
    ]
    await store.batches.write(Batch(agent, objects=tuple(outcome(agent, object=ref) for ref in refs)))
    whole = await store.objects.list(agent)
    seen: list[object] = []
    after = None
    while page := await store.objects.list(agent, after=after, limit=5):
        assert len(page) <= 5
        seen += page
        after = Place(page[-1].project_id, page[-1].object)
    assert tuple(seen) == whole


async def test_a_project_is_named_by_the_path_it_was_met_with(store: Store) -> None:
    first, second = await store.projects.id_of("g/a"), await store.projects.id_of("g/b")
    assert await store.projects.paths_of([first, second, 10**12]) == {first: "g/a", second: "g/b"}
