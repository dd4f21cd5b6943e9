"""Registering as scripts written for GitLab do it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from kas.rpc.auth import hash_token

if TYPE_CHECKING:
    from tests.integration.kas_graphql.conftest import Person
    from tests.integration.kas_web.conftest import Kas

CREATE_AGENT = """
mutation createAgent($path: ID!, $name: String!) {
  createClusterAgent(input: {projectPath: $path, name: $name, clientMutationId: "m1"}) {
    clusterAgent { id name createdAt project { fullPath } }
    errors
    clientMutationId
  }
}
"""
CREATE_TOKEN = """
mutation createToken($agent: ClustersAgentID!) {
  clusterAgentTokenCreate(input: {clusterAgentId: $agent, name: "west", description: "for the west"}) {
    secret
    token { id createdAt }
    errors
  }
}
"""
DELETE_AGENT = "mutation ($id: ClustersAgentID!) { clusterAgentDelete(input: {id: $id}) { errors } }"
REVOKE_TOKEN = "mutation ($id: ClustersAgentTokenID!) { clusterAgentTokenRevoke(input: {id: $id}) { errors } }"
AGENTS = """
query ($path: ID!, $first: Int, $after: String) {
  project(fullPath: $path) {
    clusterAgents(first: $first, after: $after) {
      count
      nodes { name }
      pageInfo { hasNextPage hasPreviousPage endCursor }
    }
  }
}
"""
EVERYTHING = """
query {
  project(fullPath: "group/config") {
    clusterAgent(name: "my-agent") { id }
    clusterAgents {
      nodes {
        id name createdAt
        tokens { nodes { id name description createdAt lastUsedAt status } }
        connections { nodes { connectedAt connectionId metadata { version commit podName podNamespace } } }
      }
    }
  }
}
"""


async def registered(admin: Person, name: str = "my-agent", path: str = "group/config") -> str:
    answer = await admin.ask(CREATE_AGENT, path=path, name=name)
    assert answer["createClusterAgent"]["errors"] == []
    gid: str = answer["createClusterAgent"]["clusterAgent"]["id"]
    return gid


async def token_of(admin: Person, agent: str) -> Any:  # noqa: ANN401 -- JSON
    answer = await admin.ask(CREATE_TOKEN, agent=agent)
    assert answer["clusterAgentTokenCreate"]["errors"] == []
    return answer["clusterAgentTokenCreate"]


async def test_an_agent_is_registered_under_a_global_id(admin: Person, kas: Kas) -> None:
    answer = (await admin.ask(CREATE_AGENT, path="group/config", name="my-agent"))["createClusterAgent"]

    (agent,) = await kas.store.agents.list()
    assert answer["clusterAgent"]["id"] == f"gid://gitlab/Clusters::Agent/{agent.id}"
    assert answer["clusterAgent"]["name"] == "my-agent"
    assert answer["clusterAgent"]["project"] == {"fullPath": "group/config"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["clusterAgent"]["createdAt"])
    assert answer["errors"] == []
    assert answer["clientMutationId"] == "m1"


async def test_a_token_is_shown_once_and_opens_the_agents_door(admin: Person, kas: Kas) -> None:
    created = await token_of(admin, await registered(admin))

    found = await kas.store.tokens.find(hash_token(created["secret"]))
    assert found is not None
    assert created["token"]["id"] == f"gid://gitlab/Clusters::AgentToken/{found[0].id}"
    assert (found[0].name, found[0].description) == ("west", "for the west")
    assert created["secret"] not in str(await admin.ask(EVERYTHING))


async def test_everything_that_gitlab_shows_of_an_agent_is_there(admin: Person, kas: Kas) -> None:
    gid = await registered(admin)
    await token_of(admin, gid)
    (agent,) = await kas.store.agents.list()
    (token,) = await kas.store.tokens.list(agent.id)
    kas.connect(agent, token.id, "ff")

    project = (await admin.ask(EVERYTHING))["project"]

    assert project["clusterAgent"] == {"id": gid}
    (node,) = project["clusterAgents"]["nodes"]
    (shown,) = node["tokens"]["nodes"]
    (connected,) = node["connections"]["nodes"]
    assert (shown["name"], shown["status"], shown["lastUsedAt"]) == ("west", "ACTIVE", None)
    assert connected["connectionId"] == "255"
    assert connected["metadata"] == {
        "version": "0.1.0",
        "commit": None,
        "podName": "agentk-0",
        "podNamespace": "agentk",
    }


async def test_a_revoked_token_ends_its_connections_and_is_shown_as_revoked(admin: Person, kas: Kas) -> None:
    created = await token_of(admin, await registered(admin))
    (agent,) = await kas.store.agents.list()
    (token,) = await kas.store.tokens.list(agent.id)
    kas.connect(agent, token.id)

    answer = await admin.ask(REVOKE_TOKEN, id=created["token"]["id"])

    assert answer == {"clusterAgentTokenRevoke": {"errors": []}}
    assert kas.forgotten_tokens == [token.id]
    assert [connection for connection, _ in kas.endings] == ["c1"]
    query = '{ project(fullPath: "group/config") { clusterAgent(name: "my-agent") { tokens(status: %s) { count } } } }'
    counts = [
        (await admin.ask(query % status))["project"]["clusterAgent"]["tokens"]["count"]
        for status in ("ACTIVE", "REVOKED")
    ]
    assert counts == [0, 1]


async def test_a_deleted_agent_is_gone_with_its_tokens(admin: Person, kas: Kas) -> None:
    gid = await registered(admin)
    created = await token_of(admin, gid)
    (agent,) = await kas.store.agents.list()
    kas.connect(agent, 1)

    answer = await admin.ask(DELETE_AGENT, id=gid)

    assert answer == {"clusterAgentDelete": {"errors": []}}
    assert await kas.store.tokens.find(hash_token(created["secret"])) is None
    assert len(kas.endings) == 1
    assert (await admin.ask(EVERYTHING))["project"] == {"clusterAgent": None, "clusterAgents": {"nodes": []}}


async def test_a_second_agent_of_one_name_is_an_error_in_the_answer(admin: Person) -> None:
    await registered(admin)
    answer = (await admin.ask(CREATE_AGENT, path="group/config", name="my-agent"))["createClusterAgent"]

    assert answer["clusterAgent"] is None
    assert "already exists" in answer["errors"][0]


async def test_agents_come_in_pages(admin: Person) -> None:
    for name in ("a", "b", "c"):
        await registered(admin, name)

    first = (await admin.ask(AGENTS, path="group/config", first=2))["project"]["clusterAgents"]
    await admin.ask(DELETE_AGENT, id=await registered(admin, "aa"))
    second = (await admin.ask(AGENTS, path="group/config", first=2, after=first["pageInfo"]["endCursor"]))["project"]
    wrong = await admin.refused(AGENTS, path="group/config", after="nonsense")

    assert [node["name"] for node in first["nodes"]] == ["a", "b"]
    assert (first["count"], first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (3, True, False)
    assert [node["name"] for node in second["clusterAgents"]["nodes"]] == ["c"]
    assert second["clusterAgents"]["pageInfo"]["hasNextPage"] is False
    assert wrong["extensions"]["code"] == "BadRequest"
    assert "after" in wrong["message"]


async def test_a_project_that_kas_has_not_met_is_null(admin: Person) -> None:
    assert await admin.ask(AGENTS, path="no/where") == {"project": None}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (DELETE_AGENT, {"id": "gid://gitlab/Clusters::Agent/7"}),
        (REVOKE_TOKEN, {"id": "gid://gitlab/Clusters::AgentToken/7"}),
        (CREATE_TOKEN, {"agent": "gid://gitlab/Clusters::Agent/7"}),
    ],
)
async def test_what_is_not_there_is_refused_in_gitlabs_words(admin: Person, query: str, variables: Any) -> None:  # noqa: ANN401 -- JSON
    error = await admin.refused(query, **variables)

    assert error["message"].startswith("The resource that you are attempting to access does not exist")
    assert error["extensions"]["code"] == "NotFound"
