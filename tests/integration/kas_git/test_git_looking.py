"""How little it takes to keep an eye on many refs: requests, counted at a real server."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from kas.git.errors import GitError
from kas.git.mirrors import Mirrors
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.remotes import CredentialKind, CredentialSettings
from kas.git.watcher import RefWatcher
from kas.replicas.local import Hub, LocalBus, LocalLeases
from kas.replicas.refs import SharedRefs
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, settings_for
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.git_server import GitServer

NEVER = 3600.0


def since(git_server: GitServer, before: int) -> list[str]:
    return [request.partition(f"{PROJECT}.git")[2] for request in git_server.requests[before:]]


async def test_a_look_at_many_unchanged_refs_is_one_request(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("push", "--quiet", "origin", *(f"HEAD:refs/heads/branch-{n}" for n in range(50)))
    refs = [MAIN, DEFAULT_BRANCH, *(GitRef(RefKind.BRANCH, f"branch-{n}") for n in range(50))]
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.look(refs) == dict.fromkeys(refs, commit)
    before = len(git_server.requests)
    assert await mirror.look(refs) == dict.fromkeys(refs, commit)
    assert since(git_server, before) == ["/git-upload-pack"]


async def test_all_refs_that_changed_are_fetched_together(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    names = [f"branch-{n}" for n in range(20)]
    repository.git("push", "--quiet", "origin", *(f"HEAD:refs/heads/{name}" for name in names))
    refs = [MAIN, *(GitRef(RefKind.BRANCH, name) for name in names)]
    mirror = mirrors.mirror(PROJECT)
    await mirror.look(refs)
    second = repository.push_files({"a.yaml": "a: 2\n"})
    repository.git("push", "--quiet", "origin", *(f"HEAD:refs/heads/{name}" for name in names[:10]))
    before = len(git_server.requests)
    found = await mirror.look(refs)
    assert [found[ref] for ref in refs] == [second] * 11 + [first] * 10
    # Where the refs are, and what is there.
    assert since(git_server, before) == ["/git-upload-pack"] * 2


async def test_a_ref_that_is_missing_keeps_no_other_from_being_fetched(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("push", "--quiet", "origin", "HEAD:refs/heads/other")
    gone, other, tag = GitRef(RefKind.BRANCH, "gone"), GitRef(RefKind.BRANCH, "other"), GitRef(RefKind.TAG, "v1")
    refs = [MAIN, gone, other, tag, GitRef(RefKind.COMMIT, first), GitRef(RefKind.BRANCH, "no..name")]
    found = await mirrors.mirror(PROJECT).look(refs)
    said = [value.reason if isinstance(value, GitError) else value for value in found.values()]
    assert dict(zip(found, said, strict=True)) == dict(
        zip(refs, [first, "RefNotFound", first, "RefNotFound", first, "Refused"], strict=True)
    )


async def test_a_moved_annotated_tag_and_a_force_push_are_news(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("tag", "-a", "-m", "one", "v1")
    repository.git("push", "--quiet", "origin", "v1")
    tag, mirror = GitRef(RefKind.TAG, "v1"), mirrors.mirror(PROJECT)
    assert await mirror.look([MAIN, tag]) == {MAIN: first, tag: first}
    repository.git("commit", "--quiet", "--amend", "--message", "another history")
    second = repository.head()
    repository.git("tag", "-f", "-a", "-m", "two", "v1")
    repository.git("push", "--quiet", "--force", "origin", "HEAD:main", "v1")
    assert await mirror.look([MAIN, tag]) == {MAIN: second, tag: second}


async def test_a_storm_of_webhooks_is_one_look_more(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    watcher = RefWatcher(mirrors, poll_interval=NEVER)
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
        running = group.create_task(watcher.run())
        readers = [await stack.enter_async_context(watcher.subscribe(PROJECT, MAIN)) for _ in range(30)]
        for states in readers:
            await anext(states)
        before = len(git_server.requests)
        second = repository.push_files({"a.yaml": "a: 2\n"})
        pushing = len(since(git_server, before))
        for _ in range(500):
            watcher.poke(PROJECT)
        for states in readers:
            assert (await anext(states)).commit == second
        for _ in range(500):
            watcher.poke(PROJECT)
        await eventually(lambda: not watcher._projects[PROJECT].poked, what="the second storm has been heard")
        third = repository.push_files({"a.yaml": "a: 3\n"})
        watcher.poke(PROJECT)
        assert (await anext(readers[0])).commit == third
        requests = [one for one in since(git_server, before) if one == "/git-upload-pack"]
        # One look for each storm, and one for the last push; two of them have found something.
        assert (len(requests), pushing > 0) == (5, True)
        running.cancel()


async def test_webhooks_that_prove_to_work_make_looks_rare_and_one_lost_ends_that(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    watcher = RefWatcher(mirrors, poll_interval=NEVER)
    async with asyncio.TaskGroup() as group, watcher.subscribe(PROJECT, MAIN) as states:
        running = group.create_task(watcher.run())
        await anext(states)
        project = watcher._projects[PROJECT]
        (watch,) = project.watches.values()

        def pause() -> float:
            return watch.due - asyncio.get_running_loop().time()

        for number in range(2, 5):
            repository.push_files({"a.yaml": f"a: {number}\n"})
            watcher.poke(PROJECT)
            await anext(states)
        await eventually(lambda: pause() > 5 * NEVER, what="it looks rarely")
        repository.push_files({"a.yaml": "a: lost\n"})
        watch.due = 0.0  # the clock comes round, without a webhook
        project.wake.set()
        await anext(states)
        await eventually(lambda: 0 < pause() < 2 * NEVER, what="it looks as often as before")
        running.cancel()


async def test_credentials_are_sent_and_rotated_while_asking(git_server: GitServer, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("first\n")
    credential = CredentialSettings(CredentialKind.BASIC, secret, "kas")
    repository = git_server.create(PROJECT, username="kas", password="first")
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    mirrors = Mirrors(settings_for(git_server.template, credential=credential), tmp_path / "data")
    mirror = mirrors.mirror(PROJECT)
    for password in ("first", "second"):
        git_server.set_password(PROJECT, "kas", password)
        secret.write_text(f"{password}\n")
        await mirror.look([MAIN])
        before = len(git_server.requests)
        assert await mirror.look([MAIN]) == {MAIN: commit}
        assert since(git_server, before) == ["/git-upload-pack"]
    git_server.set_password(PROJECT, "kas", "third")
    found = (await mirror.look([MAIN]))[MAIN]
    assert isinstance(found, GitError)
    assert (found.reason, "second" in str(found)) == ("AccessDenied", False)
    await mirrors.close()


async def test_a_project_that_has_moved_to_another_group_is_not_followed_there(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    git_server.create(PROJECT)
    git_server.create("other/secret").push_files({"a.yaml": "a: theirs\n"})
    git_server.redirect(PROJECT, "other/secret", HTTPStatus.MOVED_PERMANENTLY)
    before = len(git_server.requests)

    error = (await mirrors.mirror(PROJECT).look([MAIN]))[MAIN]

    assert isinstance(error, GitError)
    assert (error.reason, error.retryable) == ("Redirected", False)
    assert str(error).startswith(f"{PROJECT} has moved out of its top-level group")
    paths = {request.split()[1].partition(".git")[0] for request in git_server.requests[before:]}
    assert paths == {f"/{PROJECT}"}


async def test_a_project_that_was_renamed_is_followed_on_its_server_and_that_is_said(
    mirrors: Mirrors, git_server: GitServer, caplog: pytest.LogCaptureFixture
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.look([MAIN]) == {MAIN: first}
    moved = git_server.create("group/renamed")
    second = moved.push_files({"a.yaml": "a: 2\n"})
    git_server.redirect(PROJECT, "group/renamed", HTTPStatus.MOVED_PERMANENTLY)
    assert await mirror.look([MAIN]) == {MAIN: second}
    assert "has moved" in caplog.text
    before = len(git_server.requests)
    assert await mirror.look([MAIN]) == {MAIN: second}
    assert {request.split()[1].partition(".git")[0] for request in git_server.requests[before:]} == {"/group/renamed"}
    # Renamed back.
    git_server.hide("group/renamed")
    git_server.redirect(PROJECT, None)
    with contextlib.suppress(GitError):
        await mirror.look([MAIN])
    assert await mirror.look([MAIN]) == {MAIN: first}


async def test_an_emptied_a_deleted_and_a_returned_repository_each_say_so(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    git_server.create(PROJECT)
    mirror = mirrors.mirror(PROJECT)

    async def reason(ref: GitRef) -> str:
        found = (await mirror.look([ref]))[ref]
        return found.reason if isinstance(found, GitError) else found

    assert [await reason(DEFAULT_BRANCH), await reason(MAIN)] == ["RefNotFound", "RefNotFound"]
    git_server.hide(PROJECT)
    assert [await reason(DEFAULT_BRANCH), await reason(MAIN)] == ["RepositoryNotFound", "RepositoryNotFound"]
    assert await reason(GitRef(RefKind.COMMIT, "1" * 40)) == "RepositoryNotFound"
    git_server.show(PROJECT)
    assert await reason(GitRef(RefKind.COMMIT, "1" * 40)) == "CommitNotFound"


@pytest.mark.parametrize(("key", "requests"), [(b"key", 2), (b"", 6)])
async def test_of_several_kas_one_asks_and_hands_on_or_each_of_the_others_asks_once_for_what_it_found(
    git_server: GitServer, tmp_path: Path, key: bytes, requests: int
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    hub = Hub()
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
        readers, pokes, running = [], [], []
        for number in range(3):
            mirrors = Mirrors(settings_for(git_server.template), tmp_path / f"kas-{number}")
            stack.push_async_callback(mirrors.close)
            shared = SharedRefs(LocalBus(hub), LocalLeases(hub), key)
            stack.enter_context(shared.listening())
            watcher = RefWatcher(mirrors, poll_interval=NEVER, sharing=shared)
            running.append(group.create_task(watcher.run()))
            readers.append(await stack.enter_async_context(watcher.subscribe(PROJECT, MAIN)))
            pokes.append(watcher.poke)
        for states in readers:
            await anext(states)
        second = repository.push_files({"a.yaml": "a: 2\n"})
        before = len(git_server.requests)
        pokes[2](PROJECT)
        assert [(await anext(states)).commit for states in readers] == [second] * 3
        # Where the ref is and what is there, asked by one; or by each, where nobody vouches for what is told.
        assert since(git_server, before) == ["/git-upload-pack"] * requests
        for task in running:
            task.cancel()
