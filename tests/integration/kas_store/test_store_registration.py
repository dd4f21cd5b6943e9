"""Projects, agents and tokens on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import pytest

from agentlink.refs import ObjectRef
from kas.store.batches import Batch
from kas.store.derived import derived_id
from kas.store.errors import AgentExists, NotFound, ProjectPinned, TokenExists
from kas.store.records import ObjectRecord
from kas.store.store import Store

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

HASH = "ab" * 32
OTHER = "cd" * 32


class Clock(Protocol):
    now: datetime


async def test_a_project_keeps_its_id(store: Store) -> None:
    first = await store.projects.id_of("group/one")
    second = await store.projects.id_of("group/two")
    assert first != second
    assert await store.projects.id_of("group/one") == first
    listed = [(project.id, project.path) for project in await store.projects.list()]
    assert listed == [(first, "group/one"), (second, "group/two")]


async def test_many_projects_get_their_ids_in_one_transaction_and_keep_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await store.projects.id_of("group/3")
    paths = [f"group/{number}" for number in range(500)]
    write, begun = store._database.write, []

    def counted(*, durable: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        begun.append(durable)
        return write(durable=durable)

    monkeypatch.setattr(store._database, "write", counted)
    ids = await store.projects.ids_of(paths)
    assert begun == [True]
    assert (list(ids), len(set(ids.values())), ids["group/3"]) == (paths, 500, known)
    assert {project.path: project.id for project in await store.projects.list()} == ids
    assert await store.projects.ids_of(["group/4", "group/4", "group/3"]) == {
        "group/4": ids["group/4"],
        "group/3": known,
    }
    assert await store.projects.ids_of([]) == {}
    assert begun == [True]


async def test_a_pinned_project_has_the_id_it_has_in_gitlab_and_others_have_none_that_gitlab_gives(
    store: Store,
) -> None:
    await store.projects.pin("group/project", 4711)
    await store.projects.pin("group/project", 4711)
    assert await store.projects.id_of("group/project") == 4711
    assert await store.projects.id_of("group/next") == derived_id("group/next")


async def test_projects_have_the_same_ids_in_whatever_order_they_come(store: Store) -> None:
    paths = [f"group/{number}" for number in range(20)]
    later = await store.projects.ids_of(paths[:9:-1])
    assert later | await store.projects.ids_of(paths[:10]) == {path: derived_id(path) for path in paths}


async def test_an_id_that_is_taken_is_given_to_nobody_else(store: Store) -> None:
    await store.projects.pin("group/other", derived_id("group/project"))
    assert await store.projects.id_of("group/project") == derived_id("group/project", 1)
    assert await store.projects.id_of("group/other") == derived_id("group/project")


async def applied(store: Store, path: str) -> int:
    """Have an agent that has applied one object of a project; return the project's id."""
    project_id = await store.projects.id_of(path)
    agent = await store.agents.create("config/of-all", f"for-{project_id}")
    ref = ObjectRef("", "ConfigMap", "n", "c")
    outcome = ObjectRecord(agent.id, project_id, ref, "created", "", "", "", "", "", datetime(2026, 11, 21, tzinfo=UTC))
    await store.batches.write(Batch(agent.id, objects=(outcome,)))
    return project_id


async def test_an_id_can_be_corrected_until_something_has_been_applied_under_it(store: Store) -> None:
    agent = await store.agents.create("group/project", "prod")
    assert agent.project_id == derived_id("group/project")
    await store.projects.pin("group/project", 4711)
    assert await store.projects.id_of("group/project") == 4711
    assert (await store.agents.get(agent.id)).project_id == 4711
    assert await store.projects.paths_of([4711, agent.project_id]) == {4711: "group/project"}

    await applied(store, "group/project")
    with pytest.raises(ProjectPinned, match="it has applied objects under id 4711, and goes on with that"):
        await store.projects.pin("group/project", 4712)
    assert await store.projects.set_id("group/project", 4712) == 4711
    assert await store.projects.id_of("group/project") == 4712
    assert len(await store.objects.list((await store.agents.list("config/of-all"))[0].id, 4712)) == 1
    with pytest.raises(NotFound):
        await store.projects.set_id("group/nothing", 5)


async def test_an_id_that_is_another_projects_is_not_taken_from_it(store: Store) -> None:
    own = await store.projects.id_of("group/project")
    await store.projects.id_of("group/other")
    with pytest.raises(ProjectPinned, match=r"that is the id of project 'group/project'.*kas project rename"):
        await store.projects.pin("group/other", own)
    with pytest.raises(ProjectPinned, match="that is the id of project 'group/project'"):
        await store.projects.set_id("group/other", own)


async def test_a_rename_in_gitlab_is_followed_by_the_id_and_by_a_command_without(store: Store) -> None:
    await store.projects.pin("Group/Project", 4711)
    with pytest.raises(ProjectPinned, match="that is the id of project 'Group/Project'"):
        await store.projects.pin("group/project", 4711, among=["Group/Project", "group/project"])
    assert await store.projects.id_of("group/project") != 4711, "it was seen under its new path before"
    await store.projects.pin("group/project", 4711, among=["group/project"])
    assert {one.path: one.id for one in await store.projects.list()} == {"group/project": 4711}
    assert await store.projects.former_of(["group/project"]) == {"group/project": ("Group/Project",)}

    await store.projects.rename("group/project", "group/moved")
    await store.projects.rename("group/moved", "Group/Project")
    assert await store.projects.former_of(["Group/Project", "group/x"]) == {
        "Group/Project": ("group/project", "group/moved")
    }
    assert await store.projects.id_of("Group/Project") == 4711


async def test_a_project_that_has_applied_something_is_not_another_one_under_a_new_name(store: Store) -> None:
    await store.projects.id_of("group/old")
    await applied(store, "group/new")
    with pytest.raises(ProjectPinned, match="something has been applied from it already"):
        await store.projects.rename("group/old", "group/new")
    await store.agents.create("group/config", "prod")
    with pytest.raises(ProjectPinned, match="agents are registered in it already"):
        await store.projects.rename("group/old", "group/config")
    with pytest.raises(NotFound):
        await store.projects.rename("group/nothing", "group/more")


async def test_an_agent_is_found_by_id_and_by_name(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod")
    assert agent.project_id == await store.projects.id_of("group/config")
    assert await store.agents.get(agent.id) == agent
    assert await store.agents.find("group/config", "prod") == agent
    other = await store.agents.create("group/other", "prod")
    assert await store.agents.list() == (agent, other)
    assert await store.agents.list("group/other") == (other,)
    with pytest.raises(NotFound, match="there is no agent group/config:none"):
        await store.agents.find("group/config", "none")


async def test_an_agent_is_registered_once_and_may_keep_its_id_of_gitlab(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod", agent_id=7)
    assert agent.id == 7
    with pytest.raises(AgentExists, match="already exists"):
        await store.agents.create("group/config", "prod")
    with pytest.raises(AgentExists, match="id 7 is another agent's"):
        await store.agents.create("group/config", "staging", agent_id=7)


async def test_ids_of_agents_do_not_meet_those_of_another_store_nor_of_gitlab(store: Store, tmp_path: Path) -> None:
    other = await Store.open(f"sqlite:///{tmp_path}/other.db")
    try:
        ids = {(await each.agents.create("group/config", name)).id for each in (store, other) for name in ("a", "b")}
    finally:
        await other.close()

    assert len(ids) == 4
    assert min(ids) >= 10**9


async def test_the_last_good_configuration_is_remembered(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod")
    assert await store.agents.config_commit(agent.id) == ""
    await store.agents.set_config_commit(agent.id, "c1")
    await store.agents.set_config_commit(agent.id, "c1")
    assert await store.agents.config_commit(agent.id) == "c1"
    with pytest.raises(NotFound):
        await store.agents.set_config_commit(99, "c1")


async def test_a_token_is_found_with_its_agent_even_when_revoked(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod")
    token = await store.tokens.create(agent.id, "first", "for the cluster", HASH)
    await store.tokens.create(agent.id, "second", "", OTHER)
    assert await store.tokens.find(HASH) == (token, agent)
    assert await store.tokens.find("ef" * 32) is None
    revoked = await store.tokens.revoke(token.id)
    assert revoked.revoked_at is not None
    assert await store.tokens.revoke(token.id) == revoked
    assert await store.tokens.find(HASH) == (revoked, agent)
    assert [each.name for each in await store.tokens.list(agent.id)] == ["first", "second"]
    with pytest.raises(NotFound):
        await store.tokens.revoke(99)


async def test_a_secret_is_registered_once_and_only_for_an_agent_that_exists(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod")
    await store.tokens.create(agent.id, "first", "", HASH)
    with pytest.raises(TokenExists):
        await store.tokens.create(agent.id, "again", "", HASH)
    with pytest.raises(NotFound, match="there is no agent 99"):
        await store.tokens.create(99, "orphan", "", OTHER)


async def test_using_a_token_is_noted_once_a_minute(store: Store, clock: Clock) -> None:
    agent = await store.agents.create("group/config", "prod")
    token = await store.tokens.create(agent.id, "first", "", HASH)
    await store.tokens.touch(token.id)
    (used,) = await store.tokens.list(agent.id)
    assert used.last_used_at is not None
    clock.now += timedelta(seconds=30)
    await store.tokens.touch(token.id)
    assert (await store.tokens.list(agent.id))[0] == used
    clock.now += timedelta(seconds=31)
    await store.tokens.touch(token.id)
    (again,) = await store.tokens.list(agent.id)
    assert again.last_used_at is not None
    assert again.last_used_at > used.last_used_at


async def test_an_api_token_ends_by_time_or_by_hand(store: Store, clock: Clock) -> None:
    token = await store.api_tokens.create("admin", "admin", HASH, expires_at=clock.now + timedelta(days=1))
    assert await store.api_tokens.find(HASH) == token
    assert token.live(clock.now)
    assert not token.live(clock.now + timedelta(days=1))
    revoked = await store.api_tokens.revoke(token.id)
    assert not revoked.live(clock.now)
    assert await store.api_tokens.list() == (revoked,)
    with pytest.raises(TokenExists):
        await store.api_tokens.create("admin", "admin", HASH)
    with pytest.raises(NotFound):
        await store.api_tokens.revoke(99)


async def test_everything_is_there_after_opening_again(store: Store, url: str) -> None:
    agent = await store.agents.create("group/config", "prod")
    await store.tokens.create(agent.id, "first", "", HASH)
    again = await Store.open(url)
    found = await again.tokens.find(HASH)
    await again.close()
    assert found is not None
    assert found[1] == agent


async def test_only_the_owner_may_read_the_file(sqlite_url: str, tmp_path: Path) -> None:
    store = await Store.open(sqlite_url)
    await store.ping()
    for file in (tmp_path / "data").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    await store.close()


async def test_a_deleted_agent_takes_its_tokens_along_and_its_id_is_never_given_again(store: Store) -> None:
    agent = await store.agents.create("group/config", "prod")
    await store.tokens.create(agent.id, "first", "", HASH)

    await store.agents.delete(agent.id)

    assert await store.tokens.find(HASH) is None
    with pytest.raises(NotFound):
        await store.agents.delete(agent.id)
    assert (await store.agents.create("group/config", "prod")).id != agent.id


async def test_tokens_that_are_revoked_or_gone_with_their_agent_have_ended(store: Store) -> None:
    agent, other = [await store.agents.create("g/p", name) for name in ("a", "b")]
    live = await store.tokens.create(agent.id, "", "", HASH)
    revoked = await store.tokens.create(agent.id, "", "", OTHER)
    gone = await store.tokens.create(other.id, "", "", "ef" * 32)
    asked = {live.id, revoked.id, gone.id}
    assert await store.tokens.ended(asked) == frozenset()
    await store.tokens.revoke(revoked.id)
    await store.agents.delete(other.id)
    assert await store.tokens.ended(asked) == {revoked.id, gone.id}
    assert await store.tokens.ended(range(1, 2_500)) == frozenset(range(1, 2_500)) - {live.id}
    assert await store.tokens.ended(()) == frozenset()
