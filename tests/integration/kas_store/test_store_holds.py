"""Suspensions and pins as the database keeps them, on both kinds of database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import text

from agentlink.refs import ObjectRef
from kas.store import migrate
from kas.store.batches import Batch
from kas.store.database import Database
from kas.store.errors import NotFound
from kas.store.holds import HoldScope
from kas.store.records import Actor, HoldKind, ObjectRecord
from kas.store.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.integration.kas_store.conftest import Clock

ALICE = Actor("alice", 7, "192.0.2.1")
BOB = Actor("bob", 8, "192.0.2.2")
COMMIT = "a" * 40


async def scoped(store: Store, name: str = "my-agent", project: str = "group/app") -> HoldScope:
    agent = await store.agents.create("group/config", name)
    return HoldScope(agent.id, await store.projects.id_of(project))


async def test_a_suspension_holds_until_somebody_resumes_and_both_are_audited(store: Store) -> None:
    scope = await scoped(store)

    suspended = await store.holds.suspend(scope, until=None, reason="freeze", by=ALICE)
    assert await store.holds.in_force(scope.agent_id) == (suspended,)
    assert (suspended.kind, suspended.by, suspended.reason) == (HoldKind.SUSPENSION, "alice", "freeze")
    assert await store.holds.resume(scope, by=BOB) == suspended
    assert await store.holds.resume(scope, by=BOB) is None

    assert await store.holds.in_force() == ()
    (over,) = await store.holds.history(scope)
    assert (over.ended_by, over.ended_at is not None) == ("bob", True)
    lines = await store.audit.list()
    assert [(line.action, line.actor.name) for line in lines] == [
        ("project.suspend", "alice"),
        ("project.resume", "bob"),
    ]
    assert lines[0].project == "group/config"
    assert lines[0].subject.startswith("project group/app on agent group/config:my-agent (id ")
    assert lines[0].subject.endswith(": freeze")


async def test_a_suspension_ends_by_itself_without_a_write(store: Store, clock: Clock) -> None:
    scope = await scoped(store)
    until = clock.now + timedelta(hours=2)
    suspended = await store.holds.suspend(scope, until=until, reason="", by=ALICE)

    clock.now = until - timedelta(minutes=1)
    assert await store.holds.in_force() == (suspended,)
    clock.now = until
    assert await store.holds.in_force() == ()
    assert await store.holds.resume(scope, by=BOB) is None
    (over,) = await store.holds.history(scope)
    assert (over.ended_at, over.in_force(until)) == (None, False)


async def test_a_second_suspension_takes_the_place_of_the_first(store: Store) -> None:
    scope = await scoped(store)
    await store.holds.suspend(scope, until=None, reason="one", by=ALICE)
    second = await store.holds.suspend(scope, until=None, reason="two", by=BOB)

    assert await store.holds.in_force() == (second,)
    assert [hold.reason for hold in await store.holds.history(scope)] == ["two", "one"]


async def test_a_whole_agent_is_suspended_apart_from_its_projects(store: Store) -> None:
    scope = await scoped(store)
    other = await scoped(store, "other", "group/other")
    whole = HoldScope(scope.agent_id, None)
    of_all = await store.holds.suspend(whole, until=None, reason="", by=ALICE)
    of_one = await store.holds.suspend(scope, until=None, reason="", by=ALICE)

    assert await store.holds.resume(scope, by=ALICE) == of_one
    assert await store.holds.in_force(scope.agent_id) == (of_all,)
    assert await store.holds.in_force(other.agent_id) == ()
    assert [hold.id for hold in await store.holds.history(scope)] == [of_one.id, of_all.id]
    assert await store.holds.history(other) == ()
    assert [line.action for line in await store.audit.list()] == ["agent.suspend", "project.suspend", "project.resume"]


async def test_a_pin_holds_a_commit_beside_a_suspension_and_knows_what_is_newer(store: Store) -> None:
    scope = await scoped(store)
    await store.holds.suspend(scope, until=None, reason="", by=ALICE)
    pin = await store.holds.pin(scope, commit=COMMIT, reason="broken", by=ALICE)

    assert await store.holds.set_available(pin.id, "b" * 40) is True
    assert await store.holds.set_available(pin.id, "b" * 40) is False
    assert [(hold.commit, hold.available) for hold in await store.holds.in_force()] == [("", ""), (COMMIT, "b" * 40)]
    again = await store.holds.unpin(scope, by=BOB)
    assert again is not None
    assert again.commit == COMMIT
    assert [hold.kind for hold in await store.holds.in_force()] == [HoldKind.SUSPENSION]
    lines = await store.audit.list()
    assert lines[1].subject.endswith(f" to {COMMIT}: broken")
    assert [line.action for line in lines] == ["project.suspend", "project.pin", "project.unpin"]


async def test_holds_of_what_is_not_there_are_refused_and_those_of_a_deleted_agent_go_with_it(store: Store) -> None:
    scope = await scoped(store)
    with pytest.raises(NotFound):
        await store.holds.suspend(HoldScope(5, None), until=None, reason="", by=ALICE)
    with pytest.raises(NotFound):
        await store.holds.pin(HoldScope(scope.agent_id, 10**6), commit=COMMIT, reason="", by=ALICE)
    assert await store.audit.list() == ()

    await store.holds.pin(scope, commit=COMMIT, reason="", by=ALICE)
    await store.agents.delete(scope.agent_id)
    assert await store.holds.in_force() == ()


async def test_what_is_over_is_forgotten_beyond_a_bound_and_what_holds_never(store: Store, clock: Clock) -> None:
    scope = await scoped(store)
    holding = await store.holds.suspend(HoldScope(scope.agent_id, None), until=None, reason="old", by=ALICE)
    for number in range(5):
        await store.holds.pin(scope, commit=f"{number}" * 40, reason="", by=ALICE)
    ran_out = await store.holds.suspend(scope, until=clock.now + timedelta(hours=1), reason="", by=ALICE)
    clock.now += timedelta(days=30)

    cleaned = await store.retention.clean(keep_syncs=2, keep_events=10, pruned_before=clock.now)

    assert cleaned.holds == 3
    assert [hold.id for hold in await store.holds.in_force()] == [holding.id, ran_out.id - 1]
    left = await store.holds.history(scope)
    assert [hold.commit[:1] for hold in left] == ["", "4", "3", ""]


async def test_a_database_of_the_release_before_gets_the_table_and_keeps_what_it_has(url: str) -> None:
    def upgrade_to_0002(connection: Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    before = Database(url, patient=True)
    async with before.write(durable=True) as connection:
        await connection.run_sync(upgrade_to_0002)
        await connection.execute(text("insert into projects (id, path, created_at) values (7, 'group/config', 0)"))
        await connection.execute(
            text("insert into agents (id, project_id, name, created_at) values (5, 7, 'my-agent', 0)")
        )
    await before.close()

    store = await Store.open(url)
    try:
        held = await store.holds.suspend(HoldScope(5, 7), until=None, reason="", by=ALICE)
        assert [agent.name for agent in await store.agents.list()] == ["my-agent"]
        assert await store.holds.in_force(5) == (held,)
    finally:
        await store.close()


async def test_objects_that_an_agent_says_do_not_wait_any_more_are_forgotten_and_no_others(
    store: Store, clock: Clock
) -> None:
    scope = await scoped(store)
    other_project = await store.projects.id_of("group/other")
    assert scope.project_id is not None

    def record(name: str, reason: str, project_id: int) -> ObjectRecord:
        ref = ObjectRef("", "ConfigMap", "demo", name)
        return ObjectRecord(scope.agent_id, project_id, ref, "skipped", "", reason, "", "", "s", clock())

    kept = record("kept", "Waits", scope.project_id)
    records = (
        *(kept, record("gone", "Waits", scope.project_id), record("else", "Other", scope.project_id)),
        record("gone", "Waits", other_project),
    )
    await store.batches.write(Batch(scope.agent_id, (), records, ()))

    await store.objects.forget_waiting(scope.agent_id, scope.project_id, reason="Waits", waiting={kept.object})

    left = await store.objects.list(scope.agent_id)
    assert [(one.project_id, one.object.name) for one in left] == [
        *((scope.project_id, "else"), (scope.project_id, "kept")),
        (other_project, "gone"),
    ]
