"""A Git server's name that leads to this machine or to a cloud's metadata: whoever answers for it is not believed."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kas.git.mirrors import Mirrors
from kas.git.remotes import CredentialKind, CredentialSettings
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, HangingServer, refused, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.git_server import GitServer

NAME = "git.example.test"
FAILS = "the name server does not answer this time"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Be the name server for ``NAME``: the addresses it gives, after a failure for each ``FAILS``."""
    given: list[str] = []
    really = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the real one's
        if host != NAME:
            return really(host, port, *args, **kwargs)
        if given[:1] == [FAILS]:
            del given[0]
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [item for address in given for item in really(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return given


@asynccontextmanager
async def mirrors_at(
    url: str, folder: Path, *allowed: str, credential: CredentialSettings | None = None
) -> AsyncIterator[Mirrors]:
    settings = settings_for(url, credential=credential)
    mirrors = Mirrors(replace(settings, allowed_hosts=frozenset(allowed)), folder)
    try:
        yield mirrors
    finally:
        await mirrors.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1", "2002:7f00:1::1"])
async def test_a_name_that_leads_there_is_refused_before_anything_is_asked(
    git_server: GitServer, tmp_path: Path, answers: list[str], address: str
) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    answers += ["192.0.2.1", address]
    port = git_server.template.split(":")[2].split("/")[0]
    before = len(git_server.requests)
    async with mirrors_at(f"http://{NAME}:{port}/{{project}}.git", tmp_path / "data") as mirrors:
        error = await refused(mirrors.mirror(PROJECT), MAIN)

    assert error.reason == "Refused"
    assert f"{NAME} leads to {address}" in str(error)
    assert "git.allowed_hosts" in str(error)
    assert len(git_server.requests) == before


async def test_git_connects_to_the_address_that_was_looked_at_and_an_allowed_name_may_lead_anywhere(
    git_server: GitServer, tmp_path: Path, answers: list[str]
) -> None:
    # Nobody else knows this name: git gets there only by the address that kas has looked at.
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    answers.append("127.0.0.1")
    port = git_server.template.split(":")[2].split("/")[0]
    async with mirrors_at(f"http://{NAME}:{port}/{{project}}.git", tmp_path / "data", NAME) as mirrors:
        assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit


async def test_a_name_that_is_not_answered_once_is_not_asked_for_by_anybody_and_its_credential_stays_here(
    git_server: GitServer, tmp_path: Path, answers: list[str]
) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    answers += [FAILS, "127.0.0.1"]
    (tmp_path / "token").write_text("deploy-secret\n")
    credential = CredentialSettings(CredentialKind.ACCESS_TOKEN, tmp_path / "token")
    port = git_server.template.split(":")[2].split("/")[0]
    before = len(git_server.requests)
    async with mirrors_at(f"http://{NAME}:{port}/{{project}}.git", tmp_path / "data", credential=credential) as mirrors:
        unanswered = await refused(mirrors.mirror(PROJECT), MAIN)
        answered = await refused(mirrors.mirror(PROJECT), MAIN)

    assert (unanswered.reason, unanswered.retryable) == ("Unreachable", True)
    assert f"the name {NAME} cannot be resolved" in str(unanswered)
    assert answered.reason == "Refused"
    assert len(git_server.requests) == before


async def test_a_name_below_localhost_is_this_machine_or_nothing(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **more: really("192.0.2.1", *args, **more))
    git_server.create(PROJECT)
    async with mirrors_at("http://git.localhost:1/{project}.git", tmp_path / "data") as mirrors:
        error = await refused(mirrors.mirror(PROJECT), MAIN)

    assert error.reason == "Refused"
    assert "git.localhost leads to 192.0.2.1, which is not this machine" in str(error)


async def test_git_uses_the_proxy_that_was_decided_for_also_where_curl_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # curl does not read this variable where Python does: git went straight to whatever the name leads to.
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with HangingServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        mirrors = Mirrors(settings_for(f"http://{NAME}/{{project}}.git", timeout=5.0), tmp_path / "data")
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            fetch = group.create_task(mirrors.mirror(PROJECT).fetch(MAIN))
            await proxy.arrived.wait()
            fetch.cancel()
        await mirrors.close()

    assert proxy.request.startswith(f"GET http://{NAME}/{PROJECT}.git".encode())
