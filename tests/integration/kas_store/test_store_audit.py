"""The audit log as the database keeps it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kas.store.errors import AgentExists, NotFound
from kas.store.records import Actor
from kas.store.times import utc_now

if TYPE_CHECKING:
    from kas.store.store import Store

ALICE = Actor("alice", 7, "192.0.2.1")


async def test_each_change_has_a_line_and_those_without_an_author_have_none(store: Store) -> None:
    agent = await store.agents.create("group/config", "a", by=ALICE)
    await store.agents.create("group/config", "b")
    token = await store.tokens.create(agent.id, "west", "", "0" * 64, by=ALICE)
    await store.tokens.revoke(token.id, by=ALICE)
    await store.tokens.revoke(token.id, by=ALICE)
    await store.agents.delete(agent.id, by=ALICE)
    secret = await store.api_tokens.create("ci", "read", "1" * 64, project="group", by=ALICE)
    await store.api_tokens.revoke(secret.id, by=ALICE)

    lines = await store.audit.list()

    assert [line.action for line in lines] == [
        *("agent.create", "token.create", "token.revoke", "agent.delete"),
        *("api-token.create", "api-token.revoke"),
    ]
    assert {line.actor for line in lines} == {ALICE}
    assert {line.outcome for line in lines} == {"done"}
    assert [line.project for line in lines] == ["group/config"] * 4 + ["group"] * 2
    assert [line.seq for line in lines] == sorted(line.seq for line in lines)


async def test_what_did_not_happen_is_not_in_the_log(store: Store) -> None:
    await store.agents.create("group/config", "a")
    with pytest.raises(AgentExists):
        await store.agents.create("group/config", "a", by=ALICE)
    for missing in (
        store.agents.delete(5, by=ALICE),
        store.tokens.revoke(5, by=ALICE),
        store.tokens.create(5, "", "", "0" * 64, by=ALICE),
        store.api_tokens.revoke(5, by=ALICE),
    ):
        with pytest.raises(NotFound):
            await missing

    assert await store.audit.list() == ()


async def test_a_group_has_its_lines_and_those_below_and_no_pattern_widens_it(store: Store) -> None:
    for number, path in enumerate(("a_b/c", "a_b", "axb/c", "a_bc/d", "%")):
        await store.agents.create(path, f"agent{number}", by=ALICE)

    assert [line.project for line in await store.audit.list(within="a_b")] == ["a_b/c", "a_b"]
    assert [line.project for line in await store.audit.list(within="%")] == ["%"]
    assert [line.project for line in await store.audit.list(limit=2)] == ["a_bc/d", "%"]
    first = (await store.audit.list())[0]
    assert len(await store.audit.list(after=first.seq)) == 4
    assert [line.project for line in await store.audit.list(after=first.seq, limit=1)] == ["a_b"]


async def test_what_a_refused_caller_sent_is_kept_with_an_end(store: Store) -> None:
    await store.audit.refused(
        Actor("n" * 5000, None, "p" * 5000), "agent.create", project="x" * 5000, subject="s" * 50_000, reason="r" * 9000
    )

    (line,) = await store.audit.list()
    assert line.outcome == "refused"
    assert (len(line.project), len(line.subject), len(line.reason)) == (1024, 4096, 4096)


async def test_refused_attempts_do_not_push_out_what_was_done(store: Store) -> None:
    await store.agents.create("group/config", "a", by=ALICE)
    for number in range(12):
        await store.audit.refused(ALICE, "authenticate", project="", subject=str(number), reason="no")

    assert await store.audit.clean(keep=20, before=utc_now() - timedelta(days=3650)) == 10

    assert [(line.action, line.subject) for line in (await store.audit.list())[1:]] == [
        ("authenticate", "10"),
        ("authenticate", "11"),
    ]
    assert (await store.audit.list())[0].action == "agent.create"


async def test_old_lines_go_and_the_newest_stay(store: Store) -> None:
    for name in ("a", "b", "c", "d"):
        await store.agents.create("group/config", name, by=ALICE)

    assert await store.audit.clean(keep=3, before=utc_now() - timedelta(days=3650)) == 1
    assert len(await store.audit.list()) == 3
    assert await store.audit.clean(keep=3, before=utc_now() + timedelta(days=3650)) == 3
