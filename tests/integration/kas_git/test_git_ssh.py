"""Repositories behind SSH: a real server, keys that rotate, and servers that are not who they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from kas.git.remotes import CredentialKind, CredentialSettings, GitSettings
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, refused
from tests.support.ssh_server import SSHD, SshServer, ssh_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.git_server import GitServer

pytestmark = pytest.mark.skipif(SSHD is None, reason="sshd is missing: install openssh-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "ssh") as running:
        yield running


def mirrors_of(server: SshServer, git_server: GitServer, key: Path, known_hosts: Path, data: Path) -> Mirrors:
    credential = CredentialSettings(CredentialKind.SSH_KEY, key, known_hosts_file=known_hosts)
    root = git_server.bare(PROJECT).parent.parent
    template = f"{server.url}{root}/{{project}}.git"
    return Mirrors(GitSettings(url_template=template, credential=credential, allow_ssh=True), data)


async def test_a_repository_is_fetched_with_a_key_that_is_rotated_without_a_restart(
    server: SshServer, git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    old, new = server.new_key("old"), server.new_key("new")
    server.let_in(old)
    # As a mounted secret is: readable by others, which ssh refuses of a key that is its user's own.
    used = tmp_path / "key with a space"
    used.write_bytes(old.read_bytes())
    used.chmod(0o644)
    mirrors = mirrors_of(server, git_server, used, server.known_hosts("known hosts"), tmp_path / "data")
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.look([MAIN]) == {MAIN: first}
    server.let_in(new)
    error = await refused(mirror, MAIN)
    assert (error.reason, "PRIVATE" in str(error)) == ("AccessDenied", False)
    used.write_bytes(new.read_bytes())
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirror.look([MAIN]) == {MAIN: second}
    assert not list((tmp_path / "data" / "git-private").glob("*.key"))
    await mirrors.close()


async def test_a_server_with_another_key_is_told_nothing(
    server: SshServer, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    key = server.new_key("user")
    server.let_in(key)
    empty = tmp_path / "empty"
    empty.write_text("")
    for known_hosts in (server.known_hosts("wrong", key="user"), empty):
        mirrors = mirrors_of(server, git_server, key, known_hosts, tmp_path / f"data-{known_hosts.name}")
        error = await refused(mirrors.mirror(PROJECT), MAIN)
        assert error.reason == "Refused"
        assert "known_hosts_file" in str(error)
        await mirrors.close()
    assert "Accepted publickey" not in server.log.read_text()


async def test_a_repository_that_is_not_there_says_so(server: SshServer, git_server: GitServer, tmp_path: Path) -> None:
    key = server.new_key("user")
    server.let_in(key)
    mirrors = mirrors_of(server, git_server, key, server.known_hosts("known"), tmp_path / "data")
    assert (await refused(mirrors.mirror(PROJECT), MAIN)).reason == "RepositoryNotFound"
    key.write_text("no key\n")
    assert (await refused(mirrors.mirror(PROJECT), MAIN)).reason == "AccessDenied"
    await mirrors.close()
