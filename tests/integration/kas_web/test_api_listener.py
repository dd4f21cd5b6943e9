"""The API over HTTP, as a client sees it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kas.reports.feed import EventAdded, SyncChanged
from kas.store.records import CONFIGURATION_REF, EventRecord
from kas.store.times import utc_now
from kas.web.authentication import new_api_token
from tests.integration.kas_web.conftest import Kas, running_kas

if TYPE_CHECKING:
    from pathlib import Path


async def _registered(kas: Kas, name: str = "my-agent", project: str = "group/config") -> Any:  # noqa: ANN401 -- JSON
    return await kas.call("POST", "agents", {"project": project, "name": name}, status=201)


@pytest.mark.parametrize(
    "authorization", [None, "Bearer ", "Bearer kasapi-wrong", "Bearer glagent-wrong", "Basic eDp5", "Bearer kasapi-ü"]
)
async def test_nobody_reads_without_a_token_of_this_kas(kas: Kas, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    async with kas.http.get(kas.url("agents"), headers=headers) as response:
        answer = await response.json()

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert answer["error"]["reason"] == "Unauthorized"
    assert answer["error"]["hint"]


async def test_a_token_that_is_no_administrators_and_one_that_was_revoked_open_nothing(kas: Kas) -> None:
    reader, reader_hash = new_api_token()
    await kas.store.api_tokens.create("reader", "reader", reader_hash)
    (admin, _) = await kas.store.api_tokens.list()
    await kas.store.api_tokens.revoke(admin.id)

    for secret in (reader, kas.secret):
        async with kas.http.get(kas.url("agents"), headers={"Authorization": f"Bearer {secret}"}) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "NotFound"),
        ("GET", "/api/v1/nothing", 404, "NotFound"),
        ("GET", "/api/v1/agents/7", 404, "NotFound"),
        ("GET", "/api/v1/agents/seven", 400, "BadRequest"),
        ("PUT", "/api/v1/agents", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/syncs?stat=failed", 400, "BadRequest"),
        ("GET", "/api/v1/syncs?state=well", 400, "BadRequest"),
        ("GET", "/api/v1/syncs?limit=-1", 400, "BadRequest"),
        ("GET", "/api/v1/syncs?agent=nobody", 404, "NotFound"),
        ("GET", "/api/v1/syncs?project=no/where", 404, "NotFound"),
        ("GET", "/api/v1/tree", 400, "BadRequest"),
        ("GET", "/api/v1/events?watch=1&agent=nobody", 404, "NotFound"),
    ],
)
async def test_a_refusal_is_json_with_a_reason_and_a_message(
    kas: Kas, method: str, path: str, status: int, reason: str
) -> None:
    async with kas.http.request(method, f"{kas.address}{path}", headers=kas.headers) as response:
        answer = await response.json()

    assert response.status == status
    assert answer["error"]["reason"] == reason
    assert answer["error"]["message"]
    assert answer["error"]["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"project": "group/config"}',
        b'{"project": "group/config", "name": 7}',
        b'{"project": "group/config", "name": "Upper"}',
        b'{"project": "group/config", "name": "-a"}',
        b'{"project": "../etc", "name": "a"}',
        b'{"project": "group//config", "name": "a"}',
        b'{"project": "group/config", "name": "a", "id": 0}',
        b'{"project": "group/config", "name": "a", "id": true}',
        b'{"project": "group/config", "name": "a", "id": 9007199254740992}',
        b'{"project": "group/config", "name": "a", "description": "b"}',
    ],
)
async def test_an_agent_is_not_created_from_a_wrong_body(kas: Kas, body: bytes) -> None:
    async with kas.http.post(kas.url("agents"), data=body, headers=kas.headers) as response:
        answer = await response.json()

    assert response.status == 400
    assert answer["error"]["reason"] == "BadRequest"
    assert await kas.get("agents") == {"items": []}


async def test_a_body_that_is_too_large_is_refused(kas: Kas) -> None:
    async with kas.http.post(kas.url("agents"), data=b"x" * 70_000, headers=kas.headers) as response:
        answer = await response.json()

    assert response.status == 413
    assert answer["error"]["reason"] == "TooLarge"


async def test_an_agent_is_created_once(kas: Kas) -> None:
    created = await _registered(kas)
    refused = await kas.call("POST", "agents", {"project": "group/config", "name": "my-agent"}, status=409)

    assert created["status"] == "never connected"
    assert created.pop("warnings") == []
    assert (await kas.get(f"agents/{created['id']}")) == created
    assert (await kas.get("agents"))["items"] == [created]
    assert refused["error"]["reason"] == "AlreadyExists"  # type: ignore[index]


async def test_a_name_that_two_projects_use_must_be_given_with_its_project(kas: Kas) -> None:
    await _registered(kas, project="group/one")
    await _registered(kas, project="group/two")

    refused: Any = await kas.get("agents?agent=my-agent", status=409)
    found: Any = await kas.get("agents?agent=group/two:my-agent")

    assert "group/one:my-agent" in refused["error"]["hint"]
    assert [item["project"] for item in found["items"]] == ["group/two"]


def _everything_in(folder: Path) -> bytes:
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"SQLite format 3" in kept
    return kept


async def test_a_secret_is_shown_once_and_only_its_hash_is_kept(kas: Kas, tmp_path: Path) -> None:
    agent = await _registered(kas)

    created: Any = await kas.call("POST", f"agents/{agent['id']}/tokens", {"name": "west"}, status=201)
    listed: Any = await kas.get(f"agents/{agent['id']}/tokens")

    assert created["secret"].startswith("glagent-")
    assert [(token["id"], token["name"]) for token in listed["items"]] == [(created["id"], "west")]
    assert created["secret"] not in json.dumps(listed)
    assert created["secret"].encode() not in await asyncio.to_thread(_everything_in, tmp_path)


async def test_revoking_a_token_ends_its_connections_and_no_others(kas: Kas) -> None:
    agent = await _registered(kas)
    record = await kas.store.agents.get(agent["id"])
    tokens: list[Any] = [
        await kas.call("POST", f"agents/{record.id}/tokens", {"name": name}, status=201) for name in ("old", "new")
    ]
    for token in tokens:
        session = kas.connect(record, token["id"], connection_id=token["name"])
        assert session.identity.token_id == token["id"]

    revoked: Any = await kas.call("DELETE", f"tokens/{tokens[0]['id']}")

    assert revoked["revoked_at"]
    assert kas.forgotten_tokens == [tokens[0]["id"]]
    assert "old" not in {session.connection_id for session in kas.sessions.list()}
    assert {session.connection_id for session in kas.sessions.list()} == {"new"}


async def test_an_agent_reads_connected_with_what_it_said_of_itself_and_then_not(kas: Kas) -> None:
    agent = await _registered(kas)
    record = await kas.store.agents.get(agent["id"])
    token: Any = await kas.call("POST", f"agents/{record.id}/tokens", {}, status=201)

    kas.connect(record, token["id"])
    await kas.store.tokens.touch(token["id"])
    connected: Any = await kas.get(f"agents/{record.id}")
    kas.sessions.remove("c1")
    gone: Any = await kas.get(f"agents/{record.id}")
    await kas.call("DELETE", f"tokens/{token['id']}")
    revoked: Any = await kas.get(f"agents/{record.id}")

    assert connected["status"] == "connected"
    assert connected["connections"][0]["kubernetes_version"] == "v1.36.3"
    assert (gone["status"], gone["connections"]) == ("disconnected", [])
    assert gone["last_seen_at"]
    assert revoked["status"] == "token revoked"


async def _received(kas: Kas, agent_id: int, project: str, commit: str) -> None:
    project_id = await kas.store.projects.id_of(project)
    noted = await kas.store.syncs.received(
        agent_id, project_id, sync_id=f"s-{commit}", ref="branch main", commit=commit
    )
    kas.feed.publish([SyncChanged(sync) for sync in noted.changed])


async def test_syncs_are_the_newest_ones_unless_all_are_asked_for(kas: Kas) -> None:
    agent = await _registered(kas)
    await _received(kas, agent["id"], "group/app", "aaaa")
    await _received(kas, agent["id"], "group/app", "bbbb")

    newest: Any = await kas.get("syncs")
    everything: Any = await kas.get("syncs?all=1&agent=my-agent&project=group/app")
    superseded: Any = await kas.get("syncs?all=1&state=superseded")

    assert [item["commit"] for item in newest["items"]] == ["bbbb"]
    assert newest["items"][0]["agent"]["status"] == "never connected"
    assert [item["commit"] for item in everything["items"]] == ["bbbb", "aaaa"]
    assert [item["commit"] for item in superseded["items"]] == ["aaaa"]


async def test_a_configuration_in_error_is_a_sync_and_a_part_of_the_tree(kas: Kas) -> None:
    agent = await _registered(kas)
    project_id = await kas.store.projects.id_of("group/config")
    await _received(kas, agent["id"], "group/config", "cccc")
    await kas.store.syncs.failed(
        agent["id"],
        project_id,
        sync_id="f1",
        ref=CONFIGURATION_REF,
        commit="cccc",
        reason="InvalidConfig",
        message="line 3: expected a list",
    )

    syncs: Any = await kas.get("syncs?state=failed")
    tree: Any = await kas.get("tree?agent=my-agent")

    assert [(item["kind"], item["message"]) for item in syncs["items"]] == [
        ("configuration", "line 3: expected a list")
    ]
    assert [project["sync"]["kind"] for project in tree["projects"]] == ["configuration", "revision"]


class _Watch:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def line(self) -> Any:  # noqa: ANN401 -- JSON
        """Return the next line that is not a heartbeat; None at the end."""
        async with asyncio.timeout(20):
            while data := await self._response.content.readline():
                line = json.loads(data)
                if line["type"] != "HEARTBEAT":
                    return line
        return None

    async def until_bookmark(self) -> list[Any]:
        lines = []
        while (line := await self.line())["type"] != "BOOKMARK":
            lines.append(line)
        return lines


async def test_a_watch_tells_what_is_and_then_every_change(kas: Kas) -> None:
    agent = await _registered(kas)
    await _received(kas, agent["id"], "group/app", "aaaa")

    async with kas.http.get(kas.url("syncs?watch=1"), headers=kas.headers) as response:
        watch = _Watch(response)
        first = await watch.until_bookmark()
        await _received(kas, agent["id"], "group/app", "bbbb")
        second = await watch.line()
        await _received(kas, agent["id"], "group/other", "cccc")
        third = await watch.line()

    assert [(line["type"], line["object"]["commit"]) for line in [*first, second, third]] == [
        ("ADDED", "aaaa"),
        ("MODIFIED", "bbbb"),
        ("ADDED", "cccc"),
    ]


async def test_a_watch_of_agents_tells_of_a_connection_that_no_report_announces(kas: Kas) -> None:
    agent = await _registered(kas)
    record = await kas.store.agents.get(agent["id"])

    async with kas.http.get(kas.url("agents?watch=1"), headers=kas.headers) as response:
        watch = _Watch(response)
        await watch.until_bookmark()
        kas.connect(record, 1)
        line = await watch.line()

    assert (line["type"], line["object"]["status"]) == ("MODIFIED", "connected")


async def test_a_watch_of_events_reads_on_and_repeats_none(kas: Kas) -> None:
    async def happened(number: int) -> None:
        event = await kas.store.events.add(
            EventRecord(id=f"e{number}", at=utc_now(), source="kas", type="Normal", reason=f"R{number}", message="m")
        )
        assert event is not None
        kas.feed.publish([EventAdded(event)])

    await happened(1)
    async with kas.http.get(kas.url("events?watch=1"), headers=kas.headers) as response:
        watch = _Watch(response)
        seen = await watch.until_bookmark()
        for number in (2, 3):
            await happened(number)
            seen.append(await watch.line())

    assert [line["object"]["reason"] for line in seen] == ["R1", "R2", "R3"]


async def test_a_watch_ends_when_its_token_is_revoked(kas: Kas) -> None:
    (admin,) = await kas.store.api_tokens.list()

    async with kas.http.get(kas.url("syncs?watch=1"), headers=kas.headers) as response:
        watch = _Watch(response)
        await watch.until_bookmark()
        await kas.store.api_tokens.revoke(admin.id)
        end = await watch.line()
        nothing = await watch.line()

    assert end == {"type": "END", "message": "the API token is no longer valid"}
    assert nothing is None


async def test_a_watch_is_told_when_kas_stops(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with running_kas(tmp_path) as kas:
            response = await http.get(kas.url("syncs?watch=1"), headers=kas.headers)
            watch = _Watch(response)
            await watch.until_bookmark()
        # The listener has ended; what it said last is still on its way.
        end = await watch.line()

    assert end == {"type": "END", "message": "kas is stopping"}
