"""Registering in a project that Git does not know: done, with a warning, as kas may be let in afterwards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from kas.git.reach import doubt_about
from kas.git.remotes import GitSettings
from tests.integration.kas_graphql.conftest import Person
from tests.integration.kas_graphql.test_registering import CREATE_AGENT
from tests.integration.kas_web.conftest import running_kas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.git_server import GitServer


@pytest.fixture
async def admin(git_server: GitServer, tmp_path: Path) -> AsyncIterator[Person]:
    mirrors = Mirrors(GitSettings(url_template=git_server.template, allow_http=True), tmp_path / "git")
    async with running_kas(tmp_path, doubt_about=partial(doubt_about, mirrors)) as kas:
        yield Person(kas, kas.secret)
    await mirrors.close()


async def test_a_project_that_git_does_not_know_is_warned_about(admin: Person) -> None:
    answer = await admin.graphql(CREATE_AGENT, path="group/confgi", name="a")
    created = await admin.rest("POST", "agents", {"project": "group/confgi", "name": "b"}, status=201)

    assert answer["data"]["createClusterAgent"]["errors"] == []
    (warning,) = answer["extensions"]["warnings"]
    assert warning.startswith("group/confgi: ")
    assert created["warnings"] == [warning]


async def test_a_project_that_git_knows_is_not_even_when_it_is_empty(admin: Person, git_server: GitServer) -> None:
    repository = git_server.create("group/config")
    empty = await admin.graphql(CREATE_AGENT, path="group/config", name="a")
    repository.push_files({"README": b"x"})
    full = await admin.rest("POST", "agents", {"project": "group/config", "name": "b"}, status=201)

    assert "extensions" not in empty
    assert full["warnings"] == []
