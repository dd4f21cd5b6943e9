"""Webhooks whose body is signed: GitHub, Gitea and Forgejo, and any other Git server (row 24 of the hostile inputs)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.integration.kas_web.conftest import WEBHOOK_SECRET, Kas, running_kas
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.forge.client import Gitea

HEADERS = {
    "github": ("X-Hub-Signature-256", "sha256=", {"X-GitHub-Event": "push"}),
    "gitea": ("X-Gitea-Signature", "", {"X-Gitea-Event": "push"}),
    "gogs": ("X-Gogs-Signature", "", {"X-Gogs-Event": "push"}),
    "bitbucket": ("X-Hub-Signature", "sha256=", {"X-Event-Key": "repo:push"}),
    "generic": ("X-Signature-256", "sha256=", {}),
}
PAYLOADS: dict[str, object] = {
    "github": {"ref": "refs/heads/main", "repository": {"full_name": "group/app"}},
    "gitea": {"ref": "refs/heads/main", "repository": {"full_name": "group/app"}},
    "gogs": {"ref": "refs/heads/main", "repository": {"full_name": "group/app"}},
    "bitbucket": {"push": {"changes": []}, "repository": {"full_name": "group/app"}},
    "generic": {"project": "group/app"},
}
senders = pytest.mark.parametrize("sender", list(HEADERS))


async def _post(
    kas: Kas,
    sender: str,
    payload: object,
    *,
    secret: str = WEBHOOK_SECRET,
    signed: bytes | None = None,
    event: str = "",
    at: str = "",
) -> tuple[int, Any]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    header, prefix, headers = HEADERS[sender]
    signature = hmac.new(secret.encode(), body if signed is None else signed, hashlib.sha256).hexdigest()
    headers = {**{key: event or usual for key, usual in headers.items()}, header: f"{prefix}{signature}"}
    async with kas.http.post(f"{kas.address}/webhooks/{sender}{at}", data=body, headers=headers) as response:
        return response.status, await response.json()


@senders
async def test_a_signed_push_makes_kas_look_at_its_project(kas: Kas, sender: str) -> None:
    assert await _post(kas, sender, PAYLOADS[sender]) == (202, {"accepted": True})
    assert kas.poked == ["group/app"]


@pytest.mark.parametrize("sender", ["github", "gitea", "gogs"])
async def test_a_payload_may_be_the_field_of_a_form_and_the_address_end_with_a_slash(kas: Kas, sender: str) -> None:
    form = urlencode({"payload": json.dumps(PAYLOADS[sender])}).encode()
    assert await _post(kas, sender, form, at="/") == (202, {"accepted": True})
    assert kas.poked == ["group/app"]


async def test_bitbucket_server_names_the_project_by_its_key(kas: Kas) -> None:
    payload = {"eventKey": "repo:refs_changed", "repository": {"slug": "app", "project": {"key": "PROJ"}}}
    assert await _post(kas, "bitbucket", payload, event="repo:refs_changed") == (202, {"accepted": True})
    assert await _post(kas, "bitbucket", payload, event="pr:opened") == (202, {"accepted": False})
    assert kas.poked == ["PROJ/app"]


async def test_azure_devops_shows_the_secret_in_a_header(kas: Kas) -> None:
    repository = {"name": "app", "project": {"name": "Shop"}}
    for secret, event, answer in (
        ("wrong", "git.push", (403, None)),
        (WEBHOOK_SECRET, "git.push", (202, {"accepted": True})),
        (WEBHOOK_SECRET, "workitem.created", (202, {"accepted": False})),
    ):
        payload = {"eventType": event, "resource": {"repository": repository}}
        headers = {"X-Kas-Token": secret}
        async with kas.http.post(f"{kas.address}/webhooks/azure", json=payload, headers=headers) as response:
            assert (response.status, await response.json() if response.status < 400 else None) == answer
    assert kas.poked == ["Shop/_git/app"]


@pytest.mark.parametrize("sender", ["github", "gitea", "gogs", "bitbucket"])
async def test_other_events_are_taken_and_ignored(kas: Kas, sender: str) -> None:
    assert await _post(kas, sender, {"zen": "."}, event="ping") == (202, {"accepted": False})
    assert kas.poked == []


@senders
async def test_a_wrong_signature_an_absent_one_and_an_unknown_secret_get_one_answer(
    kas: Kas, sender: str, tmp_path: Path
) -> None:
    header, prefix, _ = HEADERS[sender]
    answers = [
        await _post(kas, sender, PAYLOADS[sender], secret="wrong"),
        await _post(kas, sender, PAYLOADS[sender], signed=b"another body"),
        await _post(kas, sender, b"{", secret="wrong"),
    ]
    for value in ("", prefix, "sha1=00", WEBHOOK_SECRET, "é" * 64):
        async with kas.http.post(f"{kas.address}/webhooks/{sender}", data=b"{}", headers={header: value}) as response:
            answers.append((response.status, await response.json()))
    folder = tmp_path / "without-secret"
    folder.mkdir()
    async with running_kas(folder, webhook_secret=None) as unconfigured:
        answers.append(await _post(unconfigured, sender, PAYLOADS[sender]))
        answers.append(await _post(unconfigured, sender, PAYLOADS[sender], secret=""))
    assert {status for status, _ in answers} == {403}
    assert all(answer == answers[0][1] for _, answer in answers)
    assert kas.poked == []


@senders
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"payload=%7B%7D",
        {"repository": "x", "project": 7},
        {"repository": {"full_name": "../x"}, "project": "../x"},
    ],
)
async def test_a_malformed_body_of_one_who_knows_the_secret_is_refused(kas: Kas, sender: str, payload: object) -> None:
    status, answer = await _post(kas, sender, payload)
    assert (status, answer["error"]["reason"]) == (400, "BadRequest")
    assert kas.poked == []


@senders
async def test_slow_senders_without_the_secret_keep_no_others_waiting(kas: Kas, sender: str) -> None:
    """Many begin a large body and go no further; one who has the secret of GitLab is answered all the same."""
    header, _, _ = HEADERS[sender]
    host, port = kas.address.removeprefix("http://").split(":")
    async with AsyncExitStack() as stack:
        for _ in range(4):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            head = f"POST /webhooks/{sender} HTTP/1.1\r\nHost: kas\r\n{header}: x\r\nContent-Length: 20000000\r\n\r\n"
            writer.write(head.encode() + b"{")
            await writer.drain()
        large = json.dumps({"object_kind": "push", "project": {"path_with_namespace": "group/app"}, "x": "y" * 2**20})
        async with kas.http.post(
            f"{kas.address}/webhooks/gitlab",
            data=io.BytesIO(large.encode()),
            headers={"X-Gitlab-Token": WEBHOOK_SECRET},
        ) as response:
            assert response.status == 202
        assert (await _post(kas, sender, PAYLOADS[sender]))[0] == 202


@pytest.mark.forge
@pytest.mark.parametrize("sender", ["gitea", "github"])
async def test_a_push_to_a_real_forge_is_announced_by_its_own_webhook(kas: Kas, gitea: Gitea, sender: str) -> None:
    """Gitea sends GitHub's headers beside its own, so it stands for both."""
    project = f"team-{secrets.token_hex(3)}/manifests"
    repository = await asyncio.to_thread(gitea.create_project, project)
    await asyncio.to_thread(gitea.add_webhook, project, f"{kas.address}/webhooks/{sender}", secret=WEBHOOK_SECRET)
    await asyncio.to_thread(repository.push_files, {"a.yaml": "a: 1\n"})
    await asyncio.to_thread(wait_until, lambda: kas.poked == [project] or None, what="the webhook of the push")
