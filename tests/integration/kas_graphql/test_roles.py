"""What a token opens, over REST and GraphQL alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kas.store.times import utc_now
from tests.integration.kas_graphql.conftest import person
from tests.integration.kas_graphql.test_registering import (
    AGENTS,
    CREATE_AGENT,
    CREATE_TOKEN,
    DELETE_AGENT,
    REVOKE_TOKEN,
    registered,
    token_of,
)

if TYPE_CHECKING:
    from tests.integration.kas_graphql.conftest import Person
    from tests.integration.kas_web.conftest import Kas

MINE, THEIRS = "team/config", "other/config"


async def _two_teams(admin: Person) -> tuple[Any, Any]:
    """Register an agent with a token for each team."""
    made = []
    for path in (MINE, THEIRS):
        gid = await registered(admin, path=path)
        made.append((gid, (await token_of(admin, gid))["token"]["id"]))
    return made[0], made[1]


def _number(gid: str) -> str:
    return gid.rpartition("/")[2]


async def test_a_maintainer_registers_and_removes_in_their_own_group(kas: Kas, admin: Person) -> None:
    maintainer = await person(kas, "maintainer", "team")

    gid = await registered(maintainer, path=MINE)
    token = await token_of(maintainer, gid)

    assert await maintainer.ask(REVOKE_TOKEN, id=token["token"]["id"]) == {"clusterAgentTokenRevoke": {"errors": []}}
    assert await maintainer.ask(DELETE_AGENT, id=gid) == {"clusterAgentDelete": {"errors": []}}
    assert (await admin.rest("GET", "agents")) == {"items": []}


async def test_what_is_forbidden_and_what_is_not_there_read_alike(kas: Kas, admin: Person) -> None:
    _, (agent, token) = await _two_teams(admin)
    for role in ("maintainer", "read"):
        caller = await person(kas, role, "team")
        for query, there, absent in (
            (CREATE_TOKEN, {"agent": agent}, {"agent": "gid://gitlab/Clusters::Agent/7"}),
            (DELETE_AGENT, {"id": agent}, {"id": "gid://gitlab/Clusters::Agent/7"}),
            (REVOKE_TOKEN, {"id": token}, {"id": "gid://gitlab/Clusters::AgentToken/77"}),
        ):
            first, second = await caller.refused(query, **there), await caller.refused(query, **absent)
            assert (first["message"], first["extensions"]) == (second["message"], second["extensions"])
        assert await caller.ask(AGENTS, path=THEIRS) == {"project": None}
        for method, path in (
            ("GET", f"agents/{_number(agent)}"),
            ("GET", f"agents/{_number(agent)}/tokens"),
            ("DELETE", f"agents/{_number(agent)}"),
            ("DELETE", f"tokens/{_number(token)}"),
            ("GET", "agents?agent=other/config:my-agent"),
            ("GET", "tree?agent=other/config:my-agent"),
            ("GET", f"syncs?project={THEIRS}"),
        ):
            answer = await caller.rest(method, path, status=404)
            assert answer["error"]["reason"] == "NotFound"
    assert len(await kas.store.tokens.list(int(_number(agent)))) == 1


async def test_a_reader_sees_their_group_and_changes_nothing(kas: Kas, admin: Person) -> None:
    (agent, token), _ = await _two_teams(admin)
    reader = await person(kas, "read", "team")

    assert [item["project"] for item in (await reader.rest("GET", "agents"))["items"]] == [MINE]
    assert (await reader.ask(AGENTS, path=MINE))["project"]["clusterAgents"]["count"] == 1
    for query, variables in (
        (CREATE_AGENT, {"path": MINE, "name": "b"}),
        (CREATE_TOKEN, {"agent": agent}),
        (DELETE_AGENT, {"id": agent}),
        (REVOKE_TOKEN, {"id": token}),
    ):
        error = await reader.refused(query, **variables)
        assert error["extensions"]["code"] == "Forbidden"
        assert "role is read of team" in error["extensions"]["hint"]
    for method, path, body in (
        ("POST", "agents", {"project": MINE, "name": "b"}),
        ("POST", f"agents/{_number(agent)}/tokens", {}),
        ("DELETE", f"agents/{_number(agent)}", None),
        ("DELETE", f"tokens/{_number(token)}", None),
        ("GET", "audit", None),
        ("GET", "api-tokens", None),
    ):
        assert (await reader.rest(method, path, body, status=403))["error"]["reason"] == "Forbidden"


async def test_nobody_registers_outside_of_their_group_whether_it_exists_or_not(kas: Kas, admin: Person) -> None:
    await _two_teams(admin)
    maintainer = await person(kas, "maintainer", "team")

    answers = [await maintainer.refused(CREATE_AGENT, path=path, name="x") for path in (THEIRS, "no/where", "team2/x")]

    assert len({(answer["message"], answer["extensions"]["hint"]) for answer in answers}) == 1


async def test_a_watch_shows_only_what_its_token_may_see(kas: Kas, admin: Person) -> None:
    await _two_teams(admin)
    reader = await person(kas, "read", "team")

    seen = []
    async with kas.http.get(kas.url("agents?watch=1"), headers=reader.headers) as response:
        async for line in response.content:
            if b"BOOKMARK" in line:
                break
            seen.append(line)

    assert len(seen) == 1
    assert MINE.encode() in seen[0]


async def test_an_expired_token_opens_nothing(kas: Kas) -> None:
    late = await person(kas, "admin", expires_at=utc_now() - timedelta(seconds=1))

    assert (await late.rest("GET", "agents", status=401))["error"]["reason"] == "Unauthorized"


async def test_api_tokens_are_made_listed_and_revoked_by_admins_only(kas: Kas, admin: Person) -> None:
    body = {"name": "ci", "role": "maintainer", "project": "team", "expires_at": "2099-01-01T00:00:00+01:00"}
    created = await admin.rest("POST", "api-tokens", body, status=201)
    ci = type(admin)(kas, created["secret"])

    assert created["expires_at"] == "2098-12-31T23:00:00.000Z"
    assert (await ci.rest("GET", "self")) == {
        "token_id": created["id"],
        "name": "ci",
        "role": "maintainer",
        "project": "team",
    }
    assert created["secret"] not in str(await admin.rest("GET", "api-tokens"))
    await ci.rest("POST", "api-tokens", body, status=403)
    await admin.rest("DELETE", f"api-tokens/{created['id']}")
    await ci.rest("GET", "self", status=401)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "root"},
        {"role": None},
        {"role": "admin"},
        {"role": "maintainer", "project": ""},
        {"project": "../etc"},
        {"project": "a b"},
        {"name": ""},
        {"name": " "},
        {"name": "a\n"},
        {"expires_at": "yesterday"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00"},
        {"expires_at": "9999-01-01T00:00:00Z"},
        {"expires_at": 7},
        {"extra": 1},
    ],
)
async def test_an_api_token_is_not_made_from_a_wrong_body(admin: Person, change: dict[str, object]) -> None:
    body = {"name": "ci", "role": "maintainer", "project": "team", **change}

    assert (await admin.rest("POST", "api-tokens", body, status=400))["error"]["reason"] == "BadRequest"
