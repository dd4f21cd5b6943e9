"""Private repositories: the credential opens them, and shows nowhere."""

from __future__ import annotations

import asyncio
import ssl
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from kas.git.remotes import CredentialKind, CredentialSettings, GitSettings
from kas.git.runner import GitRunner
from tests.integration.kas_git.git_helpers import (
    MAIN,
    PROJECT,
    HangingServer,
    HoldingProxy,
    family,
    proc,
    refused,
    settings_for,
)
from tests.support.authority import make_authority
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kas.git.mirror import Mirror
    from tests.support.git_server import GitServer

PASSWORD = "glpat-s3cret-Value"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{PASSWORD}\n")
    return file


@pytest.fixture
async def mirror(git_server: GitServer, tmp_path: Path, secret: Path) -> AsyncIterator[Mirror]:
    credential = CredentialSettings(CredentialKind.ACCESS_TOKEN, secret)
    mirrors = Mirrors(settings_for(git_server.template, credential=credential), tmp_path / "data")
    yield mirrors.mirror(PROJECT)
    await mirrors.close()


async def test_the_right_credential_opens_it(mirror: Mirror, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT, username="oauth2", password=PASSWORD)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    assert await mirror.fetch(MAIN) == commit


def write(secret: Path, content: str) -> None:
    secret.write_text(content)


async def test_a_rotated_credential_is_used_at_the_next_fetch(
    mirror: Mirror, git_server: GitServer, secret: Path
) -> None:
    commit = git_server.create(PROJECT, username="oauth2", password=PASSWORD).push_files({"a": "a"})
    await mirror.fetch(MAIN)
    git_server.set_password(PROJECT, "oauth2", "glpat-rotated")
    error = await refused(mirror, MAIN)
    assert error.reason == "AccessDenied"
    assert "401: it does not accept the login it was sent" in str(error)
    assert PASSWORD not in f"{error!r} {error}"
    write(secret, "glpat-rotated")
    assert await mirror.fetch(MAIN) == commit


async def test_no_credential_is_access_denied(mirrors: Mirrors, git_server: GitServer) -> None:
    git_server.create(PROJECT, username="oauth2", password=PASSWORD).push_files({"a": "a"})
    error = await refused(mirrors.mirror(PROJECT), MAIN)
    assert error.reason == "AccessDenied"
    assert "401: it asks for a login, and kas has none" in str(error)


async def test_a_credential_file_without_a_credential_is_named(mirror: Mirror, secret: Path) -> None:
    write(secret, "")
    error = await refused(mirror, MAIN)
    assert error.reason == "AccessDenied"
    assert str(secret) in str(error)


async def test_the_credential_is_in_no_argument_environment_or_readable_file(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What kas's own environment holds is no business of git's, and could redirect it.
    monkeypatch.setenv("KAS_DATABASE_PASSWORD", "db-s3cret")
    monkeypatch.setenv("GIT_WORK_TREE", "somewhere")
    async with HangingServer() as server:
        credential = CredentialSettings(CredentialKind.ACCESS_TOKEN, secret)
        template = server.as_proxy(monkeypatch)  # our own client would not need git
        mirrors = Mirrors(settings_for(template, credential=credential), tmp_path / "data")
        fetching = asyncio.gather(mirrors.mirror(PROJECT).fetch(MAIN))
        await server.arrived.wait()
        private = mirrors._runner._private
        shown = "".join(proc(pid, what) for pid in family() for what in ("cmdline", "environ"))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in private.glob("tmp*.gitconfig")}
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert "GIT_CONFIG_GLOBAL" in shown
        assert not [word for word in (PASSWORD, "Basic", "db-s3cret", "GIT_WORK_TREE=") if word in shown]
        assert (modes, stat.S_IMODE(private.stat().st_mode)) == ({0o600}, 0o700)
        assert b"authorization: basic" in server.request.lower()
        assert not list(private.glob("tmp*.gitconfig"))
        await mirrors.close()
        assert not private.exists()


async def test_what_a_killed_kas_left_of_a_credential_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "data" / "git-private" / "tmp0.gitconfig"
    left.parent.mkdir(parents=True)
    write(left, PASSWORD)
    mirrors = Mirrors(GitSettings(), tmp_path / "data")
    assert not left.exists()
    await mirrors.close()


async def test_a_server_is_trusted_by_the_authority_that_is_configured(git_server: GitServer, tmp_path: Path) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)  # noqa: ASYNC221 - nothing else runs
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with HoldingProxy(git_server.port, tls) as proxy:
        for ca_file, reason in ((None, "Unreachable"), (certificate, None)):
            mirrors = Mirrors(GitSettings(url_template=proxy.template, ca_file=ca_file), tmp_path / "data")
            if reason is None:
                assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit
            else:
                error = await refused(mirrors.mirror(PROJECT), MAIN)
                assert (error.reason, "git.ca_file" in str(error)) == (reason, True)
            await mirrors.close()


async def test_over_tls_a_rotated_password_and_a_rotated_authority_are_used_at_the_next_fetch(
    git_server: GitServer, tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT, username="oauth2", password=PASSWORD)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca_file = tmp_path / "authority.crt"

    def present(name: str) -> bytes:
        """Have the server show a certificate of an authority of its own from now on; return the authority's."""
        folder = tmp_path / name
        folder.mkdir()
        authority = make_authority(folder)
        tls.load_cert_chain(authority.server.certificate, authority.server.key)
        return authority.certificate.read_bytes()

    ca_file.write_bytes(present("one"))
    credential = CredentialSettings(CredentialKind.ACCESS_TOKEN, secret)
    async with HoldingProxy(git_server.port, tls) as proxy:
        settings = GitSettings(url_template=proxy.template, credential=credential, ca_file=ca_file)
        mirrors = Mirrors(settings, tmp_path / "data")
        mirror = mirrors.mirror(PROJECT)
        assert await mirror.fetch(MAIN) == first

        git_server.set_password(PROJECT, "oauth2", "glpat-rotated")
        error = await refused(mirror, MAIN)
        assert (error.reason, PASSWORD in str(error)) == ("AccessDenied", False)
        write(secret, "glpat-rotated")
        second = GitRepository(tmp_path / "again", repository.url, username="oauth2", password="glpat-rotated")
        second.git("pull", "--quiet", "origin", "main")
        pushed = second.push_files({"a.yaml": "a: 2\n"})
        with monkeypatch.context() as without_git:
            without_git.delattr(GitRunner, "network")
            assert await mirror.fetch(MAIN) == pushed

        authority = present("two")
        error = await refused(mirror, MAIN)
        assert (error.reason, "git.ca_file" in str(error)) == ("Unreachable", True)
        ca_file.write_bytes(authority)
        with monkeypatch.context() as without_git:
            without_git.delattr(GitRunner, "network")
            assert await mirror.fetch(MAIN) == pushed
        await mirrors.close()
