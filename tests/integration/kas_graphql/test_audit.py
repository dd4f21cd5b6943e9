"""The audit log: who changed what, and what was refused."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kas.rpc.refusals import REFUSALS_AT_ONCE
from kas.store.times import utc_now
from tests.integration.kas_graphql.conftest import Person, person
from tests.integration.kas_graphql.test_registering import (
    CREATE_AGENT,
    DELETE_AGENT,
    REVOKE_TOKEN,
    registered,
    token_of,
)

if TYPE_CHECKING:
    from tests.integration.kas_web.conftest import Kas


async def _lines(caller: Person, query: str = "") -> list[Any]:
    items: list[Any] = (await caller.rest("GET", f"audit{query}"))["items"]
    return items


async def test_every_change_is_noted_with_who_what_and_from_where(kas: Kas, admin: Person) -> None:
    gid = await registered(admin)
    created = await token_of(admin, gid)
    await admin.ask(REVOKE_TOKEN, id=created["token"]["id"])
    await admin.ask(REVOKE_TOKEN, id=created["token"]["id"])
    await admin.ask(DELETE_AGENT, id=gid)
    made = await admin.rest("POST", "api-tokens", {"name": "ci", "role": "read"}, status=201)
    await admin.rest("DELETE", f"api-tokens/{made['id']}")

    lines = await _lines(admin)

    assert [line["action"] for line in lines] == [
        "agent.create",
        "token.create",
        "token.revoke",  # once: the second time changed nothing
        "agent.delete",
        "api-token.create",
        "api-token.revoke",
    ]
    assert {(line["actor"], line["peer"], line["outcome"]) for line in lines} == {("admin", "127.0.0.1", "done")}
    assert "agent group/config:my-agent" in lines[0]["subject"]
    assert "'west'" in lines[1]["subject"]
    assert "'ci', read" in lines[4]["subject"]
    for secret in (created["secret"], made["secret"], kas.secret):
        assert secret not in str(lines)


async def test_a_refused_change_is_noted_so_often_and_no_more(kas: Kas, admin: Person) -> None:
    reader = await person(kas, "read", "group")
    for _ in range(REFUSALS_AT_ONCE + 5):
        await reader.refused(CREATE_AGENT, path="group/config", name="x")

    lines = await _lines(admin)

    assert len(lines) == REFUSALS_AT_ONCE
    assert (lines[0]["action"], lines[0]["outcome"], lines[0]["actor"]) == ("agent.create", "refused", "read of group")
    assert lines[0]["reason"] == "role read of group does not allow it"
    assert lines[0]["subject"] == "agent group/config:x"


async def test_a_change_that_fails_is_not_noted_as_done(admin: Person) -> None:
    await registered(admin)
    await admin.ask(CREATE_AGENT, path="group/config", name="my-agent")

    assert [line["action"] for line in await _lines(admin)] == ["agent.create"]


async def test_a_maintainer_reads_what_happened_in_their_group(kas: Kas, admin: Person) -> None:
    for path in ("team/config", "team2/config", "other/config"):
        await registered(admin, path=path)
    maintainer = await person(kas, "maintainer", "team")

    assert [line["project"] for line in await _lines(maintainer)] == ["team/config"]
    assert [line["project"] for line in await _lines(admin, "?project=team2")] == ["team2/config"]
    assert len(await _lines(admin, "?limit=1")) == 1
    for project in ("other", "no/where"):
        await maintainer.rest("GET", f"audit?project={project}", status=403)


async def test_guessing_tokens_is_noted_and_slowed_down_and_good_tokens_still_open(kas: Kas, admin: Person) -> None:
    guesser = Person(kas, "kasapi-" + "a" * 43)
    for _ in range(REFUSALS_AT_ONCE):
        await guesser.rest("GET", "agents", status=401)
    answer = await guesser.rest("GET", "agents", status=429)
    async with kas.http.get(kas.url("agents"), headers=guesser.headers) as response:
        wait = response.headers["Retry-After"]

    assert answer["error"]["reason"] == "TooManyRequests"
    assert int(wait) > 0
    lines = await _lines(admin)
    assert [(line["action"], line["outcome"]) for line in lines] == [("authenticate", "refused")] * REFUSALS_AT_ONCE
    assert guesser.secret not in str(lines)


async def test_old_lines_are_forgotten_and_the_newest_kept(kas: Kas, admin: Person) -> None:
    for name in ("a", "b", "c"):
        await registered(admin, name)

    assert await kas.store.audit.clean(keep=2, before=utc_now() - timedelta(days=1)) == 1
    assert ["agent group/config:b" in line["subject"] for line in await _lines(admin)] == [True, False]
    assert await kas.store.audit.clean(keep=100, before=utc_now() + timedelta(days=1)) == 2
    assert await _lines(admin) == []


async def test_the_audit_log_can_be_watched(kas: Kas, admin: Person) -> None:
    await registered(admin, "a")
    subjects = []
    async with kas.http.get(kas.url("audit?watch=1"), headers=admin.headers) as response:
        async for line in response.content:
            if b"BOOKMARK" in line:
                await registered(admin, "b")
            elif b"agent group/config" in line:
                subjects.append(line)
            if len(subjects) == 2:
                break

    assert b"group/config:a" in subjects[0]
    assert b"group/config:b" in subjects[1]
