"""Syncs through the store: what kas notes, what agents report, and what a list shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import pytest

from kas.store.batches import Batch
from kas.store.errors import NotFound
from kas.store.records import CONFIGURATION_REF, Counts, EventRecord, SyncKind, SyncState
from kas.store.sync_rules import SyncReported

if TYPE_CHECKING:
    from kas.store.store import Store
    from kas.store.syncs import Noted


class Clock(Protocol):
    now: datetime

    def __call__(self) -> datetime: ...


@pytest.fixture
async def agent(store: Store) -> int:
    return (await store.agents.create("g/p", "prod")).id


async def receive(store: Store, agent: int, sync_id: str, project: str = "g/p") -> Noted:
    project_id = await store.projects.id_of(project)
    return await store.syncs.received(agent, project_id, sync_id=sync_id, ref="branch main", commit=sync_id * 2)


async def refuse(
    store: Store, agent: int, sync_id: str, ref: str = "branch main", message: str = "a.yaml:3: bad"
) -> Noted:
    project_id = await store.projects.id_of("g/p")
    return await store.syncs.failed(
        agent, project_id, sync_id=sync_id, ref=ref, commit="", reason="InvalidYAML", message=message
    )


async def report(store: Store, clock: Clock, agent: int, sync_id: str, *states: SyncState) -> None:
    project_id = await store.projects.id_of("g/p")
    reports = tuple(SyncReported(sync_id, project_id, "c", state, "", "", Counts(total=1), clock()) for state in states)
    await store.batches.write(Batch(agent, syncs=reports))


async def states(store: Store, *, newest_only: bool = False) -> dict[str, SyncState]:
    return {sync.id: sync.state for sync in await store.syncs.list(newest_only=newest_only)}


async def test_a_revision_goes_from_received_to_healthy(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.APPLYING, SyncState.APPLIED)
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    (sync,) = await store.syncs.list(agent)
    assert (sync.project, sync.ref, sync.commit, sync.state) == ("g/p", "branch main", "aa", SyncState.HEALTHY)
    assert sync.applied_at is not None
    assert sync.finished_at is not None
    assert sync.received_at < sync.applied_at < sync.finished_at <= sync.updated_at
    assert await store.syncs.get(agent, "a") == sync
    with pytest.raises(NotFound):
        await store.syncs.get(agent, "b")


async def test_a_newer_revision_supersedes_what_has_not_ended(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    await receive(store, agent, "b")
    noted = await receive(store, agent, "c")
    assert {sync.id for sync in noted.changed} == {"b", "c"}
    await report(store, clock, agent, "b", SyncState.APPLYING)
    expected = {"a": SyncState.HEALTHY, "b": SyncState.SUPERSEDED, "c": SyncState.RECEIVED}
    assert await states(store) == expected
    assert await states(store, newest_only=True) == {"c": SyncState.RECEIVED}


async def test_a_reconnect_changes_nothing(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    assert (await receive(store, agent, "a")).changed == ()
    assert await states(store) == {"a": SyncState.HEALTHY}


async def test_a_push_back_to_an_older_revision_starts_it_anew(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    await receive(store, agent, "b")
    before = await store.syncs.get(agent, "a")
    noted = await receive(store, agent, "a")
    assert {sync.state for sync in noted.changed if sync.id != before.id} == {SyncState.SUPERSEDED, SyncState.HEALTHY}
    told = await states(store)
    assert (told.pop("a"), told.pop("b")) == (SyncState.RECEIVED, SyncState.SUPERSEDED)
    assert await states(store, newest_only=True) == {"a": SyncState.RECEIVED}
    await report(store, clock, agent, "a", SyncState.APPLYING, SyncState.HEALTHY)
    assert await states(store, newest_only=True) == {"a": SyncState.HEALTHY}
    # How it went the first time is not forgotten.
    ((former, _),) = told.items()
    assert await store.syncs.get(agent, former) == replace(before, id=former)
    assert (await receive(store, agent, "a")).changed == ()


async def test_the_order_of_revisions_does_not_depend_on_the_clock(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    clock.now -= timedelta(hours=1)
    await receive(store, agent, "b")
    assert await states(store, newest_only=True) == {"b": SyncState.RECEIVED}


async def test_what_kas_refuses_leaves_the_agents_sync_alone(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await refuse(store, agent, "f")
    await report(store, clock, agent, "a", SyncState.APPLYING)
    assert await states(store) == {"a": SyncState.APPLYING, "f": SyncState.FAILED}
    (shown,) = await store.syncs.list()
    assert (shown.id, shown.kind, shown.message) == ("f", SyncKind.REFUSAL, "a.yaml:3: bad")


async def test_the_same_failure_again_is_no_news(store: Store, agent: int) -> None:
    event = EventRecord("e1", (await store.agents.get(agent)).created_at, "kas", "Warning", "InvalidYAML", "m")
    project_id = await store.projects.id_of("g/p")
    for number, message in enumerate(("one", "one", "two")):
        noted = await store.syncs.failed(
            agent,
            project_id,
            sync_id="f",
            ref="branch main",
            commit="",
            reason="Unreachable",
            message=message,
            event=EventRecord(f"e{number}", event.at, "kas", "Warning", "Unreachable", message),
        )
        assert [sync.message for sync in noted.changed] == {0: ["one"], 1: [], 2: ["two"]}[number]
    assert [stored.id for stored in await store.events.list()] == ["e0"]


async def test_the_same_revision_again_after_a_failure_shows_it_as_it_was(
    store: Store, clock: Clock, agent: int
) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    await refuse(store, agent, "f")
    await receive(store, agent, "a")
    assert await states(store) == {"a": SyncState.HEALTHY, "f": SyncState.SUPERSEDED}
    assert await states(store, newest_only=True) == {"a": SyncState.HEALTHY}
    await refuse(store, agent, "f")
    assert await states(store, newest_only=True) == {"f": SyncState.FAILED}


async def test_a_broken_configuration_stands_beside_the_projects_sync(store: Store, clock: Clock, agent: int) -> None:
    await refuse(store, agent, "f", CONFIGURATION_REF)
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    assert await states(store, newest_only=True) == {"f": SyncState.FAILED, "a": SyncState.HEALTHY}
    project_id = await store.projects.id_of("g/p")
    noted = await store.syncs.recovered(agent, project_id, configuration=True)
    assert [sync.id for sync in noted.changed] == ["f"]
    assert (await store.syncs.recovered(agent, project_id, configuration=True)).changed == ()
    assert await states(store, newest_only=True) == {"a": SyncState.HEALTHY}


async def test_a_report_that_is_faster_than_the_note_is_not_lost(store: Store, clock: Clock, agent: int) -> None:
    await receive(store, agent, "a")
    await report(store, clock, agent, "b", SyncState.APPLYING)
    project_id = await store.projects.id_of("g/p")
    event = EventRecord("e1", clock(), "kas", "Normal", "Received", "m", agent, project_id, "b")
    for told in (1, 0):  # it is news once
        noted = await store.syncs.received(
            agent, project_id, sync_id="b", ref="branch main", commit="bb", event=replace(event, id=f"e{told}")
        )
        assert len(noted.events) == told
    sync = await store.syncs.get(agent, "b")
    assert (sync.state, sync.ref) == (SyncState.APPLYING, "branch main")
    assert await states(store) == {"a": SyncState.SUPERSEDED, "b": SyncState.APPLYING}


async def test_notes_that_come_after_the_reports_of_several_revisions_start_none_of_them_anew(
    store: Store, clock: Clock, agent: int
) -> None:
    for sync_id in ("a", "b"):
        await report(store, clock, agent, sync_id, SyncState.APPLYING, SyncState.HEALTHY)
    for sync_id in ("a", "b"):
        (changed,) = (await receive(store, agent, sync_id)).changed
        assert (changed.id, changed.ref) == (sync_id, "branch main")
    assert await states(store) == {"a": SyncState.HEALTHY, "b": SyncState.HEALTHY}
    assert await states(store, newest_only=True) == {"b": SyncState.HEALTHY}


async def test_a_note_that_comes_while_a_later_revision_is_applied_holds_it_up_until_its_own_note(
    store: Store, clock: Clock, agent: int
) -> None:
    await report(store, clock, agent, "b", SyncState.APPLYING)
    await receive(store, agent, "a")
    await receive(store, agent, "b")
    await report(store, clock, agent, "b", SyncState.HEALTHY)
    assert await states(store, newest_only=True) == {"b": SyncState.HEALTHY}


async def test_no_agent_reaches_the_syncs_of_another(store: Store, clock: Clock, agent: int) -> None:
    other = (await store.agents.create("g/p", "staging")).id
    await receive(store, agent, "a")
    await report(store, clock, other, "a", SyncState.HEALTHY)
    assert (await store.syncs.get(agent, "a")).state is SyncState.RECEIVED


async def test_reports_about_a_project_that_does_not_exist_are_left_out(store: Store, clock: Clock, agent: int) -> None:
    said = SyncReported("x", 99, "c", SyncState.HEALTHY, "", "", Counts(), clock())
    written = await store.batches.write(Batch(agent, syncs=(said,)))
    assert (written.syncs, written.unknown_projects) == ((), frozenset({99}))
    with pytest.raises(NotFound, match="there is no project 99"):
        await store.syncs.received(agent, 99, sync_id="x", ref="", commit="")


async def test_lists_are_of_one_agent_or_project_and_the_newest_first(store: Store, agent: int) -> None:
    other = (await store.agents.create("g/p", "staging")).id
    await receive(store, agent, "a")
    await receive(store, agent, "b", "g/q")
    await receive(store, other, "c")
    assert [sync.id for sync in await store.syncs.list()] == ["c", "b", "a"]
    assert [sync.id for sync in await store.syncs.list(agent)] == ["b", "a"]
    assert [sync.id for sync in await store.syncs.list(project_id=await store.projects.id_of("g/p"))] == ["c", "a"]
    assert [sync.id for sync in await store.syncs.list(limit=1)] == ["c"]


async def test_a_project_that_left_the_configuration_is_shown_as_orphaned_until_it_is_back(
    store: Store, clock: Clock, agent: int
) -> None:
    kept = await store.projects.id_of("g/kept")
    await receive(store, agent, "a")
    await report(store, clock, agent, "a", SyncState.HEALTHY)
    await refuse(store, agent, "refused")
    await receive(store, agent, "k", project="g/kept")

    noted = await store.syncs.left(agent, {kept}, reason="Orphaned", message="left")

    assert {sync.id for sync in noted.changed} == {"a", "refused"}
    assert (await store.syncs.left(agent, {kept}, reason="Orphaned", message="left")).changed == ()
    shown = {sync.project: sync for sync in await store.syncs.list(agent)}
    assert (shown["g/p"].state, shown["g/p"].reason) == (SyncState.SUPERSEDED, "Orphaned")
    assert shown["g/kept"].state is SyncState.RECEIVED

    await receive(store, agent, "a")

    shown = {sync.project: sync for sync in await store.syncs.list(agent)}
    assert (shown["g/p"].state, shown["g/p"].reason) == (SyncState.RECEIVED, "")
