"""A Git server's name that leads to this machine or to a cloud's metadata: whoever answers for it is not believed."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kas.git.mirrors import Mirrors
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, refused, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.git_server import GitServer

NAME = "git.example.test"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Be the name server for ``NAME``: the addresses it gives."""
    given: list[str] = []
    really = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the real one's
        if host != NAME:
            return really(host, port, *args, **kwargs)
        return [item for address in given for item in really(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return given


@asynccontextmanager
async def mirrors_at(url: str, folder: Path, *allowed: str) -> AsyncIterator[Mirrors]:
    mirrors = Mirrors(replace(settings_for(url), allowed_hosts=frozenset(allowed)), folder)
    try:
        yield mirrors
    finally:
        await mirrors.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1"])
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
