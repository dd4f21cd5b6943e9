"""Requests that mean harm, or are simply wrong, over real HTTP."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from graphql import get_introspection_query

from kas.store.errors import StoreUnavailable
from tests.integration.kas_graphql.conftest import Person, person
from tests.integration.kas_graphql.test_registering import AGENTS, CREATE_AGENT, CREATE_TOKEN, EVERYTHING, registered

if TYPE_CHECKING:
    from tests.integration.kas_web.conftest import Kas

HOSTILE_NAMES = [
    "'; DROP TABLE agents; --",
    '" OR ""="',
    "a' UNION SELECT token_hash FROM api_tokens --",
    "%",
    "_",
    "a%00b",
    "{{ 7 * 7 }}",
    "${7*7}",
    "{% raw %}",
    "<script>alert(1)</script>",
    "$(reboot)",
    "`reboot`",
    "../../etc/passwd",
    "a\nb",
    "a\x00b",
    "\u202eb",
    "a\\",
    "A",
    "-a",
    "a-",
    "a.b",
    "a" * 64,
    "",
]
ANY_TEXT = [name for name in HOSTILE_NAMES if name.isprintable()]


async def _post(caller: Person, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
    headers = {**caller.headers, "Content-Type": content_type}
    async with caller.kas.http.post(
        f"{caller.kas.address}/api/graphql", data=BytesIO(body), headers=headers
    ) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_name_against_the_rules_is_an_error_in_the_answer(admin: Person, kas: Kas, name: str) -> None:
    answer = (await admin.ask(CREATE_AGENT, path="group/config", name=name))["createClusterAgent"]

    assert answer["clusterAgent"] is None
    assert len(answer["errors"]) == 1
    assert await kas.store.agents.list() == ()


@pytest.mark.parametrize(
    "path",
    [
        *(name for name in HOSTILE_NAMES[:17] if name != "_"),
        "A B",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "-a/b",
        "a/" * 31 + "a",
    ],
)
async def test_a_path_that_is_none_is_an_error_in_the_answer(admin: Person, kas: Kas, path: str) -> None:
    answer = (await admin.ask(CREATE_AGENT, path=path, name="a"))["createClusterAgent"]

    assert answer["clusterAgent"] is None
    assert len(answer["errors"]) == 1
    assert await admin.ask(AGENTS, path=path) == {"project": None}
    assert await kas.store.projects.list() == ()


async def test_texts_that_people_choose_freely_come_back_as_they_were(admin: Person, kas: Kas) -> None:
    gid = await registered(admin)
    create = """mutation ($id: ClustersAgentID!, $text: String!) {
      clusterAgentTokenCreate(input: {clusterAgentId: $id, name: $text, description: $text}) { errors }
    }"""
    for text in ANY_TEXT:
        assert await admin.ask(create, id=gid, text=text) == {"clusterAgentTokenCreate": {"errors": []}}
        await admin.rest("POST", "api-tokens", {"name": text.strip() or "x", "role": "read"}, status=201)

    (node,) = (await admin.ask(EVERYTHING))["project"]["clusterAgents"]["nodes"]
    assert [token["name"] for token in reversed(node["tokens"]["nodes"])] == ANY_TEXT
    assert [token["description"] for token in reversed(node["tokens"]["nodes"])] == ANY_TEXT
    assert len((await admin.rest("GET", "audit"))["items"]) == 1 + 2 * len(ANY_TEXT)
    assert len(await kas.store.agents.list()) == 1


@pytest.mark.parametrize("within", ["%", "_", "gr%", "g_oup", "group/%", "'; DROP TABLE audit; --"])
async def test_patterns_of_sql_mean_nothing_in_a_projects_name(admin: Person, within: str) -> None:
    await registered(admin)

    async with admin.kas.http.get(
        admin.kas.url("audit"), params={"project": within}, headers=admin.headers
    ) as response:
        assert (await response.json()) == {"items": []}


@pytest.mark.parametrize("path", ["agents", "syncs", "events", "audit", "tree"])
@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\u202eb", "a" * 2000])
async def test_a_parameter_that_is_no_name_is_refused_before_a_database_sees_it(
    admin: Person, path: str, name: str
) -> None:
    params = {"project": name} if path == "audit" else {"agent": f"{name}:a", "project": name}
    async with admin.kas.http.get(admin.kas.url(path), params=params, headers=admin.headers) as response:
        assert (response.status, (await response.json())["error"]["reason"]) == (400, "BadRequest")


async def test_a_body_of_ten_megabytes_is_refused_unread(admin: Person) -> None:
    body = json.dumps({"query": "{ project" + " " * 10_000_000 + "}"}).encode()

    status, answer = await _post(admin, body)

    assert status == 413
    assert answer["errors"][0]["extensions"]["code"] == "TooLarge"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b'"{ project }"', 400),
        (b"{}", 400),
        (b'{"query": 7}', 400),
        (b'{"query": "{ __typename }", "variables": []}', 400),
        (b'{"query": "{ __typename }", "operationName": 7}', 400),
        (b'{"query": "{ __typename }", "operation": "x"}', 400),
        (b'[{"query": "{ __typename }"}]', 400),
        (b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 400),
        (b"\xff\xfe", 400),
    ],
)
async def test_a_body_that_is_no_request_is_explained(admin: Person, body: bytes, status: int) -> None:
    answered, answer = await _post(admin, body)

    assert answered == status
    assert answer["errors"][0]["message"] == answer["error"]["message"]
    assert answer["error"]["hint"]


async def test_a_form_is_not_taken_for_json(admin: Person) -> None:
    status, answer = await _post(admin, b"query={__typename}", "application/x-www-form-urlencoded")

    assert (status, answer["error"]["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "a { " * 30 + "b" + " }" * 30 + " }",
        "{" * 20_000,
        "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }",
        "{ " + "a " * 2500 + "}",
        "{ ...f } fragment f on Query { ...f }",
        "{ project(fullPath: " + "[" * 1000 + "]" * 1000 + ") { id } }",
        "{ nothing }",
        "{ project { id } }",
        "{",
        "subscription { a }",
        "query a { __typename } query b { __typename }",
    ],
)
async def test_a_query_that_is_too_much_or_wrong_is_a_graphql_error(admin: Person, query: str) -> None:
    answer = await admin.graphql(query)

    assert answer["errors"][0]["message"]
    assert answer.get("data") is None


async def test_a_deep_variable_is_a_graphql_error(admin: Person) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = {"a": deep}

    answer = await admin.graphql(CREATE_AGENT, path="g/p", name=deep)

    assert "String" in answer["errors"][0]["message"]


@pytest.mark.parametrize("gid", ["43", "gid://gitlab/Clusters::AgentToken/43", "gid://gitlab/Clusters::Agent/x"])
async def test_an_id_of_another_kind_is_refused_with_an_example(admin: Person, gid: str) -> None:
    error = await admin.refused(CREATE_TOKEN, agent=gid)

    assert "gid://gitlab/Clusters::Agent/43" in error["message"]


async def test_introspection_is_for_those_with_a_token(admin: Person, kas: Kas) -> None:
    reader = await person(kas, "read", "nothing")
    stranger = Person(kas, "kasapi-nobody")

    shown = await reader.ask(get_introspection_query())
    status, answer = await _post(stranger, json.dumps({"query": get_introspection_query()}).encode())

    assert {"ClusterAgent", "ClustersAgentID", "Time"} <= {kind["name"] for kind in shown["__schema"]["types"]}
    assert status == 401
    assert answer["errors"][0]["extensions"]["code"] == "Unauthorized"
    circle = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
    assert "introspection" in (await admin.refused(circle))["message"].lower()


async def test_gitlabs_own_header_carries_the_token_too(kas: Kas) -> None:
    headers = {"PRIVATE-TOKEN": kas.secret}
    async with kas.http.post(
        f"{kas.address}/api/graphql", json={"query": "{ __typename }"}, headers=headers
    ) as response:
        assert await response.json() == {"data": {"__typename": "Query"}}


async def test_an_agents_token_is_told_apart_from_one_that_is_unknown(kas: Kas, admin: Person) -> None:
    gid = await registered(admin)
    made = await admin.ask(CREATE_TOKEN, agent=gid)
    agent = Person(kas, made["clusterAgentTokenCreate"]["secret"])

    assert "agent's token" in (await agent.rest("GET", "agents", status=401))["error"]["message"]


async def test_a_defect_is_not_shown(kas: Kas, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing() -> tuple[()]:
        raise RuntimeError("password hunter2")

    monkeypatch.setattr(kas.store.projects, "list", failing)

    error = await admin.refused(AGENTS, path="group/config")

    assert error["extensions"]["code"] == "InternalError"
    assert "hunter2" not in str(error)


async def test_a_database_that_does_not_answer_is_said(
    kas: Kas, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> tuple[()]:
        raise StoreUnavailable("disk I/O error")

    monkeypatch.setattr(kas.store.projects, "list", failing)

    error = await admin.refused(AGENTS, path="group/config")

    assert (error["message"], error["extensions"]["code"]) == ("the database does not answer", "StoreUnavailable")
