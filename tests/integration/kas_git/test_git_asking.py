"""What our own client does in git's place: few requests, one process, and nothing taken in that git would not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from kas.git import process
from kas.git.errors import GitError
from kas.git.mirrors import Mirrors
from kas.git.packs import Packs
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from tests.integration.kas_git.git_helpers import (
    MAIN,
    PROJECT,
    HangingServer,
    HoldingProxy,
    children,
    family,
    files_of,
    path_of,
    refused,
    settings_for,
)
from tests.support.git_repository import fast_import
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.git_server import GitServer


def git_says(mirror: Path, *arguments: str) -> str:
    command = ["git", f"--git-dir={mirror}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that kas starts, open readers left out."""
    commands: list[str] = []
    run = process.GitProcess.run

    def watched(self: process.GitProcess, max_output: int, stdin: socket.socket | None = None) -> process.Finished:
        commands.extend(
            word for word in self._arguments if word in {"fetch", "init", "index-pack", "ls-tree", "diff-tree"}
        )
        return run(self, max_output, stdin)

    monkeypatch.setattr(process.GitProcess, "run", watched)
    return commands


async def test_a_first_fetch_and_a_push_cost_one_process_each(
    mirrors: Mirrors, git_server: GitServer, started: list[str]
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a/a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
    mirror, before = mirrors.mirror(PROJECT), len(git_server.requests)
    assert await mirror.fetch(MAIN) == first
    assert set(await files_of(mirror, first)) == {"a/a.yaml", "b.yaml"}
    # What the server can do, once; where the ref is; what is there.
    assert (len(git_server.requests) - before, started) == (3, ["index-pack"])
    started.clear()
    second = repository.push_files({"a/a.yaml": "a: 2\n"})
    before = len(git_server.requests)
    assert await mirror.fetch(MAIN) == second
    changes = await mirror.changes(first, second)
    assert [change.path for change in changes or ()] == ["a/a.yaml"]
    assert (len(git_server.requests) - before, started) == (2, ["index-pack"])


async def test_many_new_repositories_ask_a_server_what_it_can_do_a_few_times(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    projects = [f"group/many-{number}" for number in range(8)]
    commits = [git_server.create(project).push_files({"a.yaml": "a: 1\n"}) for project in projects]
    before = len(git_server.requests)
    assert await asyncio.gather(*(mirrors.mirror(project).fetch(MAIN) for project in projects)) == commits
    asked = [one for one in git_server.requests[before:] if one.startswith("GET")]
    assert 1 <= len(asked) <= 4


async def test_a_repository_with_longer_ids_is_refused_in_words_and_the_others_of_its_server_are_asked_as_ever(
    mirrors: Mirrors, git_server: GitServer, started: list[str]
) -> None:
    git_server.create("group/longer")
    git_server.delete("group/longer")
    bare = git_server.bare("group/longer")
    git_says(bare, "init", "--quiet", "--bare", "--object-format=sha256")
    text = b"commit refs/heads/main\ncommitter d <d@example.com> 1700000000 +0000\ndata 1\nx\n"
    fast_import(bare, text)
    with pytest.raises(GitError, match="sha256") as caught:
        await mirrors.mirror("group/longer").fetch(MAIN)
    assert str(caught.value).startswith("group/longer: the repository cannot be fetched")
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    started.clear()
    assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit
    assert started == ["index-pack"]  # no fetch of git's own


async def test_what_was_made_without_git_is_a_repository_to_git(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, started: list[str]
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    second = repository.push_files({"a.yaml": "a: 2\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    third = repository.push_files({"b.yaml": "b: 1\n"})
    await mirror.fetch(MAIN)
    assert started == ["index-pack", "index-pack"]
    path = path_of(tmp_path)
    assert git_says(path, "rev-parse", "--is-bare-repository", "--is-shallow-repository") == "true\ntrue"
    assert git_says(path, "rev-parse", "--show-object-format") == "sha1"
    assert git_says(path, "fsck", "--strict", "--full") == ""
    assert git_says(path, "for-each-ref", "--format=%(objectname)") == third
    assert git_says(path, "rev-list", third).split() == [third, second]
    assert (path / "shallow").read_text() == f"{second}\n"


async def test_a_force_push_back_to_an_earlier_commit_moves_nothing(
    mirrors: Mirrors, git_server: GitServer, started: list[str]
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirror.fetch(MAIN) == second
    started.clear()
    repository.git("push", "--quiet", "--force", "origin", f"{first}:main")
    assert await mirror.fetch(MAIN) == first
    assert started == []


async def test_another_branch_brings_only_what_the_first_did_not(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({f"{number}.bin": os.urandom(9000) for number in range(30)})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    repository.branch("topic")
    topic = repository.push_files({"new.yaml": "a: 1\n"})
    assert set(await mirror.look([MAIN, GitRef(RefKind.BRANCH, "topic")])) == {MAIN, GitRef(RefKind.BRANCH, "topic")}
    assert await mirror.last(GitRef(RefKind.BRANCH, "topic")) == topic
    assert git_says(path_of(tmp_path), "fsck", "--full") == ""
    # The second pack has the new file, and no other.
    sizes = sorted(pack.stat().st_size for pack in path_of(tmp_path).glob("objects/pack/*.pack"))
    assert (len(sizes), sizes[0] < 5000, sizes[1] > 200_000) == (2, True, True)


@pytest.mark.parametrize("cut", [4, 100])
async def test_an_answer_that_is_cut_off_changes_nothing(git_server: GitServer, tmp_path: Path, cut: int) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    async with HoldingProxy(git_server.port) as proxy:
        mirrors = Mirrors(settings_for(proxy.template), tmp_path / "data")
        proxy.cut = cut
        error = await refused(mirrors.mirror(PROJECT), MAIN)
        assert error.retryable
        assert await mirrors.mirror(PROJECT).last(MAIN) is None
        # With the last four bytes the end of the answer is gone, and not that of the pack.
        assert bool(list(path_of(tmp_path).glob("objects/pack/*"))) is (cut == 4)
        assert not list(path_of(tmp_path).glob("shallow*"))
        proxy.cut = 0
        assert await mirrors.mirror(PROJECT).fetch(MAIN) == commit
        await mirrors.close()


async def test_where_the_server_has_a_ref_counts_whatever_another_kas_tells(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    others = Mirrors(settings_for(git_server.template), tmp_path / "others")
    mirror = others.mirror(PROJECT)
    await mirror.fetch(MAIN)
    second = repository.push_files({"a.yaml": "a: 2\n"})
    assert await mirrors.mirror(PROJECT).fetch(MAIN) == second
    repository.git("commit", "--quiet", "--allow-empty", "--message", "nobody has merged it")
    unmerged = repository.head()
    repository.git("push", "--quiet", "origin", "HEAD:unmerged")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    assert await mirror.fetch(GitRef(RefKind.BRANCH, "unmerged")) == unmerged, "it is here, and of another ref"
    assert await mirror.bring(MAIN, second, []) == second
    third = repository.push_files({"a.yaml": "a: 3\n"})
    for told in (
        second,
        unmerged,
        "1" * 40,
        third,
    ):  # before it, beside it, nowhere, and right: told by nobody who had it
        assert await mirror.bring(MAIN, told, None if told == second else []) == third
        assert await mirror.last(MAIN) == third
    before = len(git_server.requests)
    assert await mirror.bring(MAIN, third, []) == third
    assert len(git_server.requests) == before, "that is known"
    await others.close()


async def test_files_are_read_through_one_open_process(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    (repository.path / "link.yaml").symlink_to("a b.yaml")
    commit = repository.push_files({"a b.yaml": "a: 1\n"})
    mirrors = Mirrors(settings_for(git_server.template), tmp_path / "data")
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    (file,) = [entry for entry in await mirror.tree(commit) if not entry.is_link]
    found = await mirror.follow(commit, ["link.yaml", "a b.yaml", "no such thing"])
    assert [info.object_id for info in found] == [file.blob_id, file.blob_id, ""]
    assert await mirror.sizes([file.blob_id]) == {file.blob_id: 5}
    assert await mirror.blobs([file.blob_id]) == {file.blob_id: b"a: 1\n"}
    assert not await mirror.has("1" * 40)
    # The Git server's own processes, of this process too, may be about to end.
    await eventually(lambda: len(children()) == 1, what="only the reader is open")
    await mirrors.close()
    await eventually(lambda: not children(), what="none is left")


@pytest.mark.parametrize("way", ["timeout", "cancelled"])
async def test_a_server_that_hangs_is_not_asked_again_by_git(tmp_path: Path, way: str) -> None:
    async with HangingServer() as server:
        mirrors = Mirrors(settings_for(server.template, timeout=1.0 if way == "timeout" else 60.0), tmp_path / "data")
        fetching = asyncio.gather(refused(mirrors.mirror(PROJECT), MAIN))
        await server.arrived.wait()
        assert not family()
        if way == "timeout":
            assert (await fetching)[0].reason == "Timeout"
        else:
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
        await mirrors.close()


@pytest.mark.parametrize("left_out", ["blob", "tree", "nothing"])
async def test_a_pack_without_all_that_it_refers_to_is_not_taken_in(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, left_out: str
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a/a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.fetch(MAIN)
    commit = repository.push_files({"a/b.yaml": "b: 1\n"})
    objects = {
        "commit": commit,
        "root": repository.git("rev-parse", f"{commit}^{{tree}}"),
        "tree": repository.git("rev-parse", f"{commit}:a"),
        "blob": repository.git("rev-parse", f"{commit}:a/b.yaml"),
    }
    objects.pop(left_out, None)
    packed = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        ["git", "pack-objects", "--stdout", "-q"],
        cwd=repository.path,
        input="\n".join(objects.values()).encode(),
        capture_output=True,
        check=True,
    ).stdout

    async def pieces() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(packed), 10):
            yield packed[at : at + 10]

    packs = Packs(PROJECT, path_of(tmp_path), mirrors._runner)
    if left_out == "nothing":
        await packs.take_in(pieces(), [], await packs.shallow())
    else:
        with pytest.raises(GitError) as caught:
            await packs.take_in(pieces(), [], await packs.shallow())
        assert "did not receive expected object" in str(caught.value)
    assert await mirror.has(commit) is (left_out == "nothing")
    assert await mirror.fetch(DEFAULT_BRANCH) == commit
    assert set(await files_of(mirror, commit)) == {"a/a.yaml", "a/b.yaml"}
