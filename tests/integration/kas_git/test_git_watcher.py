"""Watching real repositories: what is looked at, when, and what readers are told."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kas.git.mirrors import Mirrors
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.remotes import GitSettings, ProjectOverride
from kas.git.watcher import RefState, RefWatcher
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, HangingServer, HoldingProxy, family, settings_for
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from tests.support.git_server import GitServer

# Never in a test's time: whatever is seen was seen because of a poke.
NEVER = 3600.0
OFTEN = 0.02


@contextlib.asynccontextmanager
async def watching(mirrors: Mirrors, interval: float) -> AsyncIterator[RefWatcher]:
    watcher = RefWatcher(mirrors, poll_interval=interval)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watcher.run())
        try:
            yield watcher
        finally:
            running.cancel()


async def following(states: AsyncIterator[RefState]) -> RefState:
    async with asyncio.timeout(30):
        return await anext(states)


async def test_the_current_state_comes_first_and_a_poke_brings_the_next(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
        state = await following(states)
        assert (state.project, state.ref, state.commit, state.error) == (PROJECT, MAIN, first, None)
        second = repository.push_files({"a.yaml": "a: 2\n"})
        watcher.poke(PROJECT.upper())  # as the Git server writes it
        assert (await following(states)).commit == second
        assert await mirrors.mirror(PROJECT).has(second)


async def test_a_push_is_found_that_a_webhook_told_of_before_the_ref_had_moved(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
        await following(states)
        asked = len(git_server.requests)
        watcher.poke(PROJECT)
        await eventually(lambda: len(git_server.requests) > asked, what="it is looked at once")
        second = repository.push_files({"a.yaml": "a: 2\n"})
        assert (await following(states)).commit == second


async def test_a_push_nobody_told_of_is_found_by_polling(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with watching(mirrors, OFTEN) as watcher, watcher.subscribe(PROJECT, DEFAULT_BRANCH) as states:
        await following(states)
        second = repository.push_files({"a.yaml": "a: 2\n"})
        assert (await following(states)).commit == second


async def test_many_subscribers_are_one_watch(mirrors: Mirrors, git_server: GitServer) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    before = len(git_server.requests)
    async with watching(mirrors, NEVER) as watcher, contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(watcher.subscribe(PROJECT, MAIN)) for _ in range(20)]
        assert {(await following(states)).commit for states in readers} == {commit}
        # Capabilities, refs, objects: one fetch.
        assert len(git_server.requests) - before == 3


async def test_whoever_is_called_instead_of_waiting_hears_the_same_until_he_leaves(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    told: list[str | None] = []
    async with watching(mirrors, NEVER) as watcher:
        follower = watcher.follow(PROJECT, MAIN, lambda state: told.append(state.commit))
        await eventually(lambda: told == [first], what="the first state")
        late: list[str | None] = []
        other = watcher.follow(PROJECT, MAIN, lambda state: late.append(state.commit))
        assert late == [first]

        second = repository.push_files({"a.yaml": "a: 2\n"})
        watcher.poke(PROJECT)
        await eventually(lambda: told == late == [first, second], what="the second state")

        other.leave()
        third = repository.push_files({"a.yaml": "a: 3\n"})
        watcher.poke(PROJECT)
        await eventually(lambda: told == [first, second, third], what="the third state")
        assert late == [first, second]

        follower.leave()
        watcher.poke(PROJECT)
        await eventually(lambda: not watcher._projects, what="nobody looks any more")


async def test_a_poke_during_a_look_causes_another_look(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with HoldingProxy(git_server.port) as proxy:
        mirrors = Mirrors(settings_for(proxy.template), tmp_path / "data")
        async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
            await following(states)
            proxy.gate.clear()
            watcher.poke(PROJECT)
            await proxy.held.wait()
            # The look has been answered with the old commit and has not heard it yet.
            second = repository.push_files({"a.yaml": "a: 2\n"})
            watcher.poke(PROJECT)
            proxy.gate.set()
            assert (await following(states)).commit == second
        await mirrors.close()


async def test_a_commit_counts_from_when_the_server_told_of_it_however_long_it_takes_to_come(
    git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with HoldingProxy(git_server.port) as proxy:
        mirrors = Mirrors(settings_for(proxy.template), tmp_path / "data")
        async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
            await following(states)
            proxy.only_packs = True
            proxy.gate.clear()
            second = repository.push_files({"a.yaml": "a: 2\n"})
            watcher.poke(PROJECT)
            await proxy.held.wait()
            # What another kas finds from now on is newer.
            now = datetime.now(UTC)
            proxy.gate.set()
            state = await following(states)
            assert state.commit == second
            assert state.at < now
        await mirrors.close()


async def test_a_slow_reader_gets_the_newest_state_only(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with (
        watching(mirrors, NEVER) as watcher,
        watcher.subscribe(PROJECT, MAIN) as slow,
        watcher.subscribe(PROJECT, MAIN) as quick,
    ):
        await following(slow)
        await following(quick)
        for content in ("a: 2\n", "a: 3\n"):
            newest = repository.push_files({"a.yaml": content})
            watcher.poke(PROJECT)
            assert (await following(quick)).commit == newest
        assert (await following(slow)).commit == newest


async def test_an_error_is_told_once_with_the_last_good_commit_and_so_is_recovery(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    async with watching(mirrors, OFTEN) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
        await following(states)
        git_server.hide(PROJECT)
        failed = await following(states)
        assert failed.error is not None
        assert (failed.error.reason, failed.commit) == ("RepositoryNotFound", commit)
        looks = len(git_server.requests)
        await eventually(lambda: len(git_server.requests) >= looks + 3, what="it goes on looking")
        git_server.show(PROJECT)
        recovered = await following(states)
        assert (recovered.error, recovered.commit) == (None, commit)


async def test_a_branch_that_is_deleted_and_pushed_again_is_followed(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.branch("topic")
    first = repository.push_files({"a.yaml": "a: 2\n"})
    topic = GitRef(RefKind.BRANCH, "topic")
    async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, topic) as states:
        assert (await following(states)).commit == first
        repository.delete_remote("topic")
        watcher.poke(PROJECT)
        failed = await following(states)
        assert failed.error is not None
        assert (failed.error.reason, failed.commit) == ("RefNotFound", first)
        second = repository.push_files({"a.yaml": "a: 3\n"})
        watcher.poke(PROJECT)
        state = await following(states)
        assert (state.commit, state.error) == (second, None)


async def test_the_last_good_commit_outlives_kas(git_server: GitServer, tmp_path: Path) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    for reason in (None, "Unreachable"):
        mirrors = Mirrors(settings_for(git_server.template), tmp_path / "data")
        async with watching(mirrors, NEVER) as watcher, watcher.subscribe(PROJECT, MAIN) as states:
            state = await following(states)
            assert (state.commit, state.error and state.error.reason) == (commit, reason)
        await mirrors.close()
        git_server.stop()


async def test_repositories_that_hang_delay_no_other(git_server: GitServer, tmp_path: Path) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    async with HangingServer() as hanging:
        stuck = {
            f"stuck/{number}": ProjectOverride(url=hanging.template.replace("{project}", str(number)))
            for number in range(20)
        }
        settings = GitSettings(url_template=git_server.template, projects=stuck, allow_http=True)
        mirrors = Mirrors(settings, tmp_path / "data")
        async with watching(mirrors, NEVER) as watcher, contextlib.AsyncExitStack() as stack:
            for project in stuck:
                await stack.enter_async_context(watcher.subscribe(project, MAIN))
            await hanging.arrived.wait()
            states = await stack.enter_async_context(watcher.subscribe(PROJECT, MAIN))
            assert (await following(states)).commit == commit
        await mirrors.close()
        assert not family()


async def test_a_name_no_project_can_have_is_an_error_of_that_watch(mirrors: Mirrors) -> None:
    async with watching(mirrors, NEVER) as watcher, watcher.subscribe("../../etc", MAIN) as states:
        state = await following(states)
        assert state.error is not None
        assert (state.error.reason, state.commit) == ("Refused", None)


async def test_what_nobody_reads_is_no_longer_looked_at(mirrors: Mirrors, git_server: GitServer) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    async with watching(mirrors, OFTEN) as watcher:
        async with watcher.subscribe(PROJECT, MAIN) as states:
            await following(states)
        await eventually(lambda: not watcher._projects, what="the watch has ended")
        async with watcher.subscribe(PROJECT, MAIN) as states:
            assert (await following(states)).error is None


async def test_subscriptions_made_before_the_watcher_runs_are_served(mirrors: Mirrors, git_server: GitServer) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})
    watcher = RefWatcher(mirrors, poll_interval=NEVER)
    async with watcher.subscribe(PROJECT, MAIN) as states, asyncio.TaskGroup() as group:
        running = group.create_task(watcher.run())
        assert (await following(states)).commit == commit
        running.cancel()


async def test_a_defect_in_one_watch_stops_no_other(
    mirrors: Mirrors, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git_server.create(PROJECT).push_files({"a.yaml": "a: 1\n"})

    async def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(mirrors.mirror("group/other"), "look", broken)
    async with (
        watching(mirrors, NEVER) as watcher,
        watcher.subscribe("group/other", MAIN) as other,
        watcher.subscribe(PROJECT, MAIN) as states,
    ):
        state = await following(other)
        assert state.error is not None
        assert state.error.reason == "Internal"
        assert (await following(states)).commit == commit
