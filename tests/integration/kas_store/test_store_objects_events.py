"""Objects and events: the newest outcome wins, an event is stored once, history is bounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentlink.refs import ObjectRef
from kas.store import retention as retention_module
from kas.store.batches import Batch
from kas.store.errors import StoreError
from kas.store.records import Counts, EventRecord, ObjectRecord, SyncState
from kas.store.sync_rules import SyncReported

if TYPE_CHECKING:
    from kas.store.store import Store

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NGINX = ObjectRef("apps", "Deployment", "web", "nginx")


@pytest.fixture
async def agent(store: Store) -> int:
    await store.projects.pin("g/p", 1)
    return (await store.agents.create("g/p", "prod")).id


def outcome(agent: int, second: int = 0, **changes: object) -> ObjectRecord:
    record = ObjectRecord(
        agent, 1, NGINX, "created", "in_progress", "Rolling", "0 of 1", "a.yaml", "s1", T0 + timedelta(seconds=second)
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # the test's own fields


def event(agent: int, number: int, **changes: object) -> EventRecord:
    record = EventRecord(f"e{number}", T0, "agentk", "Normal", "Synced", "well", agent, 1, "s1", NGINX)
    return replace(record, **changes)  # type: ignore[arg-type]  # the test's own fields


async def store_objects(store: Store, agent: int, *records: ObjectRecord) -> None:
    await store.batches.write(Batch(agent, objects=records))


async def test_an_object_is_stored_as_reported(store: Store, agent: int) -> None:
    await store_objects(store, agent, outcome(agent))
    assert await store.objects.list(agent) == (outcome(agent),)
    assert await store.objects.list(agent, 1) == (outcome(agent),)
    assert await store.objects.list(agent, 2) == ()
    assert await store.objects.list(agent + 1) == ()


async def test_health_alone_leaves_result_and_path(store: Store, agent: int) -> None:
    await store_objects(store, agent, outcome(agent))
    await store_objects(
        store, agent, outcome(agent, 1, result="", health="current", reason="", message="", path="", sync_id="s2")
    )
    expected = outcome(agent, 1, health="current", reason="", message="", sync_id="s2")
    assert await store.objects.list(agent) == (expected,)


async def test_health_alone_does_not_hide_why_an_object_failed(store: Store, agent: int) -> None:
    await store_objects(store, agent, outcome(agent, result="failed", reason="Forbidden", message="no"))
    await store_objects(store, agent, outcome(agent, 1, result="", health="current", reason="", message=""))
    (found,) = await store.objects.list(agent)
    assert (found.result, found.health, found.reason, found.message) == ("failed", "current", "Forbidden", "no")


async def test_a_result_alone_leaves_health(store: Store, agent: int) -> None:
    await store_objects(store, agent, outcome(agent), outcome(agent, 1, result="unchanged", health=""))
    (found,) = await store.objects.list(agent)
    assert (found.result, found.health) == ("unchanged", "in_progress")


async def test_an_older_outcome_changes_nothing(store: Store, agent: int) -> None:
    newer = outcome(agent, 5, result="failed")
    await store_objects(store, agent, newer)
    await store_objects(store, agent, outcome(agent, 4))
    assert await store.objects.list(agent) == (newer,)


async def test_a_pruned_object_leaves_the_list_and_is_forgotten_later(store: Store, agent: int) -> None:
    await store_objects(store, agent, outcome(agent), outcome(agent, 1, result="pruned"))
    assert await store.objects.list(agent) == ()
    assert len(await store.objects.list(agent, pruned=True)) == 1
    bounds = {"keep_syncs": 1, "keep_events": 1}
    assert (await store.retention.clean(**bounds, pruned_before=T0)).objects == 0
    assert (await store.retention.clean(**bounds, pruned_before=T0 + timedelta(days=1))).objects == 1
    assert await store.objects.list(agent, pruned=True) == ()


async def test_objects_of_an_unknown_project_are_left_out_and_the_rest_is_stored(store: Store, agent: int) -> None:
    written = await store.batches.write(
        Batch(
            agent,
            objects=(outcome(agent, project_id=99), outcome(agent)),
            events=(event(agent, 1, project_id=99),),
        )
    )
    assert written.unknown_projects == {99}
    assert written.objects == (outcome(agent),)
    assert [stored.project_id for stored in written.events] == [None]


async def test_a_batch_is_stored_whole_or_not_at_all(store: Store, agent: int) -> None:
    unknown = agent + 1
    with pytest.raises(StoreError, match="does not fit together"):
        await store.batches.write(Batch(agent, objects=(outcome(agent),), events=(event(agent, 1), event(unknown, 2))))
    assert await store.objects.list(agent) == ()
    assert await store.events.list() == ()


async def test_an_event_is_stored_once(store: Store, agent: int) -> None:
    added = await store.events.add(event(agent, 1))
    assert added == event(agent, 1, seq=1)
    assert await store.events.add(event(agent, 1, message="other")) is None
    assert await store.events.list() == (added,)


async def test_events_are_read_on_after_a_number(store: Store, agent: int) -> None:
    written = await store.batches.write(Batch(agent, events=tuple(event(agent, number) for number in range(5))))
    assert [stored.seq for stored in written.events] == [1, 2, 3, 4, 5]
    assert [stored.id for stored in await store.events.list(limit=2)] == ["e3", "e4"]
    assert [stored.id for stored in await store.events.list(after=2, limit=2)] == ["e2", "e3"]
    assert await store.events.list(after=5) == ()
    assert await store.events.list(agent_id=agent + 1) == ()
    assert len(await store.events.list(project_id=1)) == 5


async def test_a_number_is_never_given_to_a_second_event(store: Store, agent: int) -> None:
    await store.batches.write(Batch(agent, events=(event(agent, 1), event(agent, 2))))
    for _ in range(2):
        await store.retention.clean(keep_syncs=1, keep_events=1, pruned_before=T0)
    added = await store.events.add(event(agent, 3))
    assert added is not None
    assert added.seq == 3


async def test_cleaning_keeps_what_things_stand_at(store: Store, agent: int) -> None:
    other = (await store.agents.create("g/p", "staging")).id
    for owner in (agent, other):
        for name in "abc":
            await store.syncs.received(owner, 1, sync_id=name, ref="branch main", commit=name)
        said = SyncReported("c", 1, "c", SyncState.HEALTHY, "", "", Counts(), T0)
        await store.batches.write(Batch(owner, syncs=(said,)))
        for name in "xyz":
            await store.syncs.failed(owner, 1, sync_id=name, ref="branch main", commit="", reason="R", message=name)
        await store.syncs.recovered(owner, 1, configuration=False)
        for number in range(4):
            await store.events.add(event(owner, owner * 10 + number))
    standing = await store.syncs.list()
    cleaned = await store.retention.clean(keep_syncs=1, keep_events=2, pruned_before=T0)
    # Of six syncs each: the newest one, and the newest revision, which is also what the project stands at.
    assert (cleaned.syncs, cleaned.events) == (8, 4)
    assert {sync.id for sync in await store.syncs.list(newest_only=False)} == {"c", "z"}
    assert await store.syncs.list() == standing
    assert {sync.id for sync in standing} == {"c"}
    assert [stored.id for stored in await store.events.list(agent_id=agent)] == [
        f"e{agent * 10 + 2}",
        f"e{agent * 10 + 3}",
    ]


async def test_cleaning_keeps_what_a_project_stands_at_behind_superseded_ones(store: Store, agent: int) -> None:
    for name, state in (("a", SyncState.HEALTHY), ("b", SyncState.SUPERSEDED)):
        await store.syncs.received(agent, 1, sync_id=name, ref="branch main", commit=name)
        said = SyncReported(name, 1, name, state, "", "", Counts(), T0)
        await store.batches.write(Batch(agent, syncs=(said,)))
    await store.syncs.failed(agent, 1, sync_id="x", ref="branch main", commit="", reason="R", message="")
    await store.syncs.recovered(agent, 1, configuration=False)
    assert [sync.id for sync in await store.syncs.list()] == ["a"]
    await store.retention.clean(keep_syncs=1, keep_events=1, pruned_before=T0)
    assert {sync.id for sync in await store.syncs.list(newest_only=False)} == {"a", "b", "x"}
    assert [sync.id for sync in await store.syncs.list()] == ["a"]


async def test_more_than_one_transaction_may_delete_is_deleted_all_the_same(
    store: Store, agent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "ROWS", 3)
    for owner in (agent, None):
        for number in range(11):
            await store.events.add(event(agent, number, id=f"{owner}-{number}", agent_id=owner, project_id=None))
    names = [ObjectRef("", "ConfigMap", "n", f"c{number}") for number in range(7)]
    await store_objects(store, agent, *(outcome(agent, object=name, result="pruned") for name in names))
    for name in "abcdefgh":
        await store.syncs.received(agent, 1, sync_id=name, ref="branch main", commit=name)
    cleaned = await store.retention.clean(keep_syncs=2, keep_events=4, pruned_before=T0 + timedelta(days=1))
    assert (cleaned.syncs, cleaned.events, cleaned.objects) == (6, 14, 7)
    assert [stored.id for stored in await store.events.list()] == [
        f"{owner}-{number}" for owner in (agent, None) for number in range(7, 11)
    ]
    assert {sync.id for sync in await store.syncs.list(newest_only=False)} == {"g", "h"}


async def test_cleaning_keeps_the_sync_that_is_under_way(store: Store, agent: int) -> None:
    await store.syncs.received(agent, 1, sync_id="a", ref="branch main", commit="a")
    for name in "xy":
        await store.syncs.failed(agent, 1, sync_id=name, ref="branch main", commit="", reason="R", message=name)
    await store.retention.clean(keep_syncs=1, keep_events=1, pruned_before=T0)
    assert {sync.id for sync in await store.syncs.list(newest_only=False)} == {"a", "y"}
