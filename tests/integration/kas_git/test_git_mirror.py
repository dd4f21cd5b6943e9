"""Mirrors of real repositories, served over HTTP by git's own backend."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from kas.git.mirrors import Mirrors
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.remotes import GitSettings
from tests.integration.kas_git.git_helpers import (
    MAIN,
    PROJECT,
    files_of,
    path_of,
    refused,
    settings_for,
)
from tests.support.git_repository import git

if TYPE_CHECKING:
    from tests.support.git_server import GitServer


async def test_a_push_is_fetched_and_its_files_can_be_read(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n", "dir/b.yaml": "b: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == first
    assert await files_of(mirror, first) == {"a.yaml": b"a: 1\n", "dir/b.yaml": b"b: 1\n"}
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirror.fetch(DEFAULT_BRANCH) == second
    assert await mirror.fetch(MAIN) == second
    assert (await files_of(mirror, second))["a.yaml"] == b"a: 2\n"
    assert await mirror.has(first)
    assert await mirror.has(second)
    assert not await mirror.has("0" * 40)


async def test_a_later_fetch_moves_only_what_is_new(mirrors: Mirrors, git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({f"{number}.bin": os.urandom(20_000) for number in range(50)})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    repository.push_files({"0.bin": b"small"})
    await mirror.fetch(MAIN)
    sizes = sorted(pack.stat().st_size for pack in path_of(tmp_path).glob("objects/pack/*.pack"))
    assert len(sizes) == 2
    assert sizes[0] < 10_000
    assert sizes[1] > 1_000_000


async def test_a_look_that_finds_nothing_new_costs_one_request(mirrors: Mirrors, git_server: GitServer) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    before = len(git_server.requests)
    await mirror.fetch(MAIN)
    assert len(git_server.requests) - before == 1


async def test_history_is_not_fetched(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    old = repository.push_files({"a.yaml": "a: 1\n"})
    new = repository.push_files({"a.yaml": "a: 2\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == new
    assert not await mirror.has(old)


async def test_a_force_push_is_followed(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    before = repository.push_files({"b.yaml": "b: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    after = repository.rewrite({"b.yaml": "b: 2\n"})
    assert await mirror.fetch(MAIN) == after
    assert (await files_of(mirror, after))["b.yaml"] == b"b: 2\n"
    assert (await files_of(mirror, before))["b.yaml"] == b"b: 1\n"


async def test_a_deleted_branch_is_an_error_and_its_last_commit_stays(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.branch("topic")
    commit = repository.push_files({"a.yaml": "a: 2\n"})
    topic = GitRef(RefKind.BRANCH, "topic")
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(topic)
    repository.delete_remote("topic")
    error = await refused(mirror, topic)
    assert error.reason == "RefNotFound"
    assert "branch topic" in str(error)
    assert await mirror.last(topic) == commit
    assert (await files_of(mirror, commit))["a.yaml"] == b"a: 2\n"


async def test_a_branch_may_be_replaced_by_one_below_its_name(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.branch("topic")
    repository.push()
    mirror = mirrors.mirror(PROJECT)
    commit = await mirror.fetch(GitRef(RefKind.BRANCH, "topic"))
    repository.delete_remote("topic")
    repository.git("branch", "--move", "topic", "topic/below")
    repository.push()
    assert await mirror.fetch(GitRef(RefKind.BRANCH, "topic/below")) == commit


@pytest.mark.parametrize("annotated", [False, True])
async def test_a_tag_leads_to_its_commit_and_may_move(
    mirrors: Mirrors, git_server: GitServer, *, annotated: bool
) -> None:
    repository = git_server.create(PROJECT)
    tag = GitRef(RefKind.TAG, "v1")
    mirror = mirrors.mirror(PROJECT)
    for content in ("a: 1\n", "a: 2\n"):
        commit = repository.push_files({"a.yaml": content})
        repository.tag("v1", annotated=annotated)
        assert await mirror.fetch(tag) == commit
        assert (await files_of(mirror, commit))["a.yaml"] == content.encode()
    assert (await refused(mirror, GitRef(RefKind.TAG, "v2"))).reason == "RefNotFound"


async def test_a_tag_of_something_else_than_a_commit_is_refused(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("tag", "blob", repository.git("rev-parse", "HEAD:a.yaml"))
    repository.push("refs/tags/blob")
    error = await refused(mirrors.mirror(PROJECT), GitRef(RefKind.TAG, "blob"))
    assert error.reason == "RefNotFound"
    assert "does not lead to a commit" in str(error)


async def test_a_commit_is_fetched_by_its_id_once(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    old = repository.push_files({"a.yaml": "a: 1\n"})
    repository.push_files({"a.yaml": "a: 2\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(GitRef(RefKind.COMMIT, old)) == old
    assert await files_of(mirror, old) == {"a.yaml": b"a: 1\n"}
    before = len(git_server.requests)
    assert await mirror.fetch(GitRef(RefKind.COMMIT, old)) == old
    assert len(git_server.requests) == before
    assert (await refused(mirror, GitRef(RefKind.COMMIT, "1" * 40))).reason == "CommitNotFound"


async def test_a_commit_is_found_in_the_branches_of_a_server_that_gives_no_others(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_server.create(PROJECT)
    old = repository.push_files({"a.yaml": "a: 1\n"})
    repository.push_files({"a.yaml": "a: 2\n"})
    bare = tmp_path / "git" / "repositories" / f"{PROJECT}.git"
    git("config", "uploadpack.allowAnySHA1InWant", "false", cwd=bare)
    # Only servers without protocol 2 refuse; this one is made such a server by never hearing of it.
    monkeypatch.setattr("kas.git.config.PROTOCOL", 0)
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(GitRef(RefKind.COMMIT, old)) == old
    assert await files_of(mirror, old) == {"a.yaml": b"a: 1\n"}
    assert (await refused(mirror, GitRef(RefKind.COMMIT, "1" * 40))).reason == "CommitNotFound"


async def test_an_empty_repository_has_no_default_branch(mirrors: Mirrors, git_server: GitServer) -> None:
    git_server.create(PROJECT)
    error = await refused(mirrors.mirror(PROJECT), DEFAULT_BRANCH)
    assert error.reason == "RefNotFound"
    assert "no commit in it yet" in str(error)


async def test_a_repository_may_vanish_and_return(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    git_server.hide(PROJECT)
    assert (await refused(mirror, MAIN)).reason == "RepositoryNotFound"
    assert await files_of(mirror, first) == {"a.yaml": b"a: 1\n"}
    git_server.show(PROJECT)
    git_server.stop()
    error = await refused(mirror, MAIN)
    assert error.reason == "Unreachable"
    assert error.retryable
    git_server.start()
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirror.fetch(MAIN) == second


async def test_names_that_are_not_text_symlinks_and_submodules_are_seen(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    (repository.path / os.fsdecode(b"na\xefve.yaml")).write_bytes(b"a: 1\n")
    (repository.path / "new\nline \t\u00e9.yaml").write_bytes(b"b: 1\n")
    (repository.path / "link").symlink_to("/etc/passwd")
    repository.git("add", ".")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repository.git("commit", "--quiet", "--message", "all kinds")
    repository.push()
    mirror = mirrors.mirror(PROJECT)
    entries = {entry.path: entry for entry in await mirror.tree(await mirror.fetch(MAIN))}
    blob_id = entries["na\udcefve.yaml"].blob_id
    assert await mirror.sizes([blob_id, blob_id]) == {blob_id: 5}
    assert entries["new\nline \t\u00e9.yaml"].mode == "100644"
    assert entries["link"].mode == "120000"
    assert entries["module"].mode == "160000"
    blobs = await mirror.blobs([entries["na\udcefve.yaml"].blob_id, entries["link"].blob_id])
    assert sorted(blobs.values()) == [b"/etc/passwd", b"a: 1\n"]


async def test_thousands_of_blobs_are_read_at_once(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({f"{number}.yaml": f"number: {number}\n" * 50 for number in range(2500)})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    files = await files_of(mirror, commit)
    assert len(files) == 2500
    assert all(files[f"{number}.yaml"] == f"number: {number}\n".encode() * 50 for number in range(2500))


async def test_a_redirect_to_another_server_is_not_followed(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        target = line.split()[1].decode()
        answer = f"HTTP/1.1 302 Found\r\nLocation: {git_server.url}{target}\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = GitSettings(url_template=f"http://127.0.0.1:{port}/{{project}}.git", allow_http=True)
    mirrors = Mirrors(settings, tmp_path / "data")
    before = len(git_server.requests)
    async with server:
        error = await refused(mirrors.mirror(PROJECT), MAIN)
    assert error.reason == "Redirected"
    assert "redirects" in str(error)
    assert len(git_server.requests) == before
    await mirrors.close()


@pytest.mark.parametrize("page", [b"", b"<!doctype html>\n<title>Sign in</title>\n"], ids=["empty", "a login page"])
async def test_a_page_where_git_is_expected_is_told_as_one_and_not_remembered(
    git_server: GitServer, tmp_path: Path, page: bytes
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    mirrors = Mirrors(settings_for(git_server.template), tmp_path / "data")
    git_server.stop()

    async def show_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(show_page, "127.0.0.1", urlsplit(git_server.url).port):
        error = await refused(mirrors.mirror(PROJECT), DEFAULT_BRANCH)
    assert (error.reason, error.retryable) == ("Unreachable", True)
    assert "a page (text/html)" in str(error)
    git_server.start()
    commit = repository.push_files({"a.yaml": "a: 2\n"})
    before = len(git_server.requests)
    assert await mirrors.mirror(PROJECT).fetch(DEFAULT_BRANCH) == commit
    assert sum("service=git-upload-pack" in request for request in git_server.requests[before:]) == 1
    await mirrors.close()


async def test_a_repository_larger_than_allowed_is_not_fetched(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create(PROJECT).push_files({"big.bin": os.urandom(3_000_000)})
    settings = GitSettings(url_template=git_server.template, allow_http=True, max_pack_bytes=1_000_000)
    mirrors = Mirrors(settings, tmp_path / "data")
    assert (await refused(mirrors.mirror(PROJECT), MAIN)).reason == "TooLarge"
    assert not list(path_of(tmp_path).glob("objects/pack/*"))
    await mirrors.close()


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_local_repository_is_fetched_only_when_that_is_allowed(
    git_server: GitServer, tmp_path: Path, *, allowed: bool
) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    settings = GitSettings(url_template=f"file://{tmp_path}/git/repositories/{{project}}.git", allow_file=True)
    mirrors = Mirrors(settings, tmp_path / "data")
    if allowed:
        assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit
    else:
        # As if an URL had got past the settings: git itself is told as well.
        mirrors._runner._settings = settings_for(git_server.template)
        error = await refused(mirrors.mirror(PROJECT), MAIN)
        assert (error.reason, "not allowed" in str(error)) == ("Refused", True)
    await mirrors.close()


async def test_a_relative_data_directory_lies_where_kas_was_started(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    monkeypatch.chdir(tmp_path)
    mirrors = Mirrors(settings_for(git_server.template), Path("data"))
    assert await files_of(mirrors.mirror(PROJECT), await mirrors.mirror(PROJECT).fetch(MAIN)) == {"a.yaml": b"a: 1\n"}
    assert path_of(tmp_path).is_dir()
    await mirrors.close()
