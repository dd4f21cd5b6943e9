"""Webhooks as GitLab sends them, and as others would (rows 17 and 24 of the hostile inputs)."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from kas.web.webhooks import MAX_BODY
from tests.integration.kas_web.conftest import WEBHOOK_SECRET, Kas, running_kas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PUSH = {
    "object_kind": "push",
    "event_name": "push",
    "ref": "refs/heads/main",
    "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "project": {"id": 15, "path_with_namespace": "group/app"},
    "commits": [],
}
SECRET = {"X-Gitlab-Token": WEBHOOK_SECRET}


async def _post(kas: Kas, body: bytes | object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with kas.http.post(f"{kas.address}/webhooks/gitlab", data=data, headers=headers or {}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    "payload",
    [
        PUSH,
        {**PUSH, "object_kind": "tag_push", "event_name": "tag_push"},
        {"event_name": "push", "project": PUSH["project"]},
        {"event_name": "repository_update", "project": PUSH["project"]},
    ],
)
async def test_a_push_makes_kas_look_at_its_project(kas: Kas, payload: object) -> None:
    status, answer = await _post(kas, payload, SECRET)

    assert (status, answer) == (202, {"accepted": True})
    assert kas.poked == ["group/app"]


async def test_an_event_about_something_else_is_taken_and_ignored(kas: Kas) -> None:
    status, answer = await _post(kas, {"object_kind": "merge_request", "project": PUSH["project"]}, SECRET)

    assert (status, answer) == (202, {"accepted": False})
    assert kas.poked == []


async def test_who_does_not_know_the_secret_learns_nothing(kas: Kas, tmp_path: Path) -> None:
    given: list[dict[str, str]] = [{}, *({"X-Gitlab-Token": token} for token in ("", "wrong", WEBHOOK_SECRET + "x"))]
    bodies = (PUSH, {**PUSH, "project": {"path_with_namespace": "no/where"}}, b"{", b"")
    answers = [await _post(kas, body, headers) for headers in given for body in bodies]
    folder = tmp_path / "without-secret"
    folder.mkdir()
    async with running_kas(folder, webhook_secret=None) as unconfigured:
        answers.append(await _post(unconfigured, PUSH, SECRET))
        answers.append(await _post(unconfigured, PUSH, {"X-Gitlab-Token": ""}))
        assert unconfigured.poked == []

    assert {status for status, _ in answers} == {403}
    assert all(answer == answers[0][1] for _, answer in answers)
    assert WEBHOOK_SECRET not in json.dumps(answers[0][1])
    assert kas.poked == []


async def test_an_empty_secret_file_refuses_every_webhook(tmp_path: Path) -> None:
    async with running_kas(tmp_path, webhook_secret="") as kas:
        status, _ = await _post(kas, PUSH, {"X-Gitlab-Token": ""})

    assert status == 403


async def test_a_new_secret_counts_from_the_next_request_on(kas: Kas, tmp_path: Path) -> None:
    (tmp_path / "webhook-secret").write_text("rotated", encoding="utf-8")

    old, _ = await _post(kas, PUSH, SECRET)
    new, _ = await _post(kas, PUSH, {"X-Gitlab-Token": "rotated"})

    assert (old, new) == (403, 202)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"push"',
        b"[" * 100_000,
        b'{"object_kind": "push"}',
        b'{"object_kind": 7}',
        b'{"object_kind": "push", "project": []}',
        b'{"object_kind": "push", "project": {"path_with_namespace": 7}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": ""}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "../../etc/passwd"}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "group/../app"}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "group/-app; rm -rf /"}}',
        b'{"object_kind": "push", "project": {"path_with_namespace": "group/app\\n"}}',
        json.dumps({"object_kind": "push", "project": {"path_with_namespace": "a/" * 2000 + "b"}}).encode(),
    ],
)
async def test_a_malformed_body_is_refused(kas: Kas, body: bytes) -> None:
    status, answer = await _post(kas, body, SECRET)

    assert status == 400
    assert answer["error"]["reason"] == "BadRequest"
    assert kas.poked == []


async def test_a_body_that_says_it_is_too_large_is_refused_unread(kas: Kas) -> None:
    host, port = kas.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /webhooks/gitlab HTTP/1.1\r\nHost: kas\r\nX-Gitlab-Token: {WEBHOOK_SECRET}\r\n"
        f"Content-Length: {MAX_BODY + 1}\r\n\r\n"
    )
    writer.write(head.encode())

    async with asyncio.timeout(20):
        line = await reader.readline()
    writer.close()

    assert b" 413 " in line


async def test_an_endless_body_is_given_up_at_the_limit(kas: Kas) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_BODY:
            sent += 1024 * 1024
            yield b" " * (1024 * 1024)

    async with kas.http.post(f"{kas.address}/webhooks/gitlab", data=body(), headers=SECRET) as response:
        assert response.status == 413
    assert kas.poked == []


async def test_a_real_large_push_is_taken(kas: Kas) -> None:
    commit = {"id": "a" * 40, "added": [f"folder/file-{number}.yaml" for number in range(2000)]}
    payload = {**PUSH, "commits": [commit] * 40}
    assert len(json.dumps(payload)) > 1024 * 1024

    status, _ = await _post(kas, payload, SECRET)

    assert (status, kas.poked) == (202, ["group/app"])


async def test_webhooks_are_counted_by_result(kas: Kas) -> None:
    await _post(kas, PUSH, SECRET)
    await _post(kas, PUSH, {})
    await _post(kas, b"{", SECRET)
    body, _ = kas.metrics.exposition("")

    for result in ("accepted", "forbidden", "malformed"):
        assert f'kas_webhook_requests_total{{result="{result}"}} 1.0' in body.decode()
