"""Earlier commits: found in a history that has to be fetched first, and kept when nobody else has them any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, files_of

if TYPE_CHECKING:
    from kas.git.mirrors import Mirrors
    from tests.support.git_server import GitServer

NOWHERE = "0123456789" * 4


async def test_an_earlier_commit_is_found_in_history_that_is_fetched_for_it(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    repository = git_server.create(PROJECT)
    commits = [repository.push_files({"a.yaml": f"a: {number}\n"}, f"Number {number}") for number in range(3)]
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(MAIN) == commits[2]
    assert [await mirror.has(commit) for commit in commits] == [False, False, True]

    assert await mirror.leads_to(MAIN, commits[0]) is True
    assert await mirror.leads_to(MAIN, commits[2]) is True
    assert await mirror.leads_to(MAIN, NOWHERE) is False
    assert await mirror.leads_to(MAIN, "main") is False
    assert await files_of(mirror, commits[0]) == {"a.yaml": b"a: 0\n"}
    told = await mirror.commits([*commits, NOWHERE, "--all"])
    assert [told[commit].subject for commit in commits] == ["Number 0", "Number 1", "Number 2"]
    assert {info.author for info in told.values()} == {"Dev"}


async def test_a_commit_of_another_branch_is_not_in_the_history(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.branch("other")
    aside = repository.push_files({"a.yaml": "a: 2\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.keep(aside)
    assert await mirror.has(aside)
    assert await mirror.leads_to(MAIN, aside) is False


async def test_a_kept_commit_outlives_a_force_push_and_tidying(mirrors: Mirrors, git_server: GitServer) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 0\n"})
    taken_away = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    assert await mirror.fetch(DEFAULT_BRANCH) == taken_away
    await mirror.keep(taken_away)
    rewritten = repository.rewrite({"a.yaml": "a: 2\n"})
    assert await mirror.fetch(DEFAULT_BRANCH) == rewritten
    await mirror._repository.output(("gc", "--quiet", "--prune=now"))
    await mirror._runner.forget(mirror._repository.path)  # what is open still reads packs that are gone
    assert await mirror.has(taken_away)
    assert await files_of(mirror, taken_away) == {"a.yaml": b"a: 1\n"}
    assert await mirror.leads_to(DEFAULT_BRANCH, taken_away) is False


async def test_a_commit_that_nobody_has_cannot_be_kept(mirrors: Mirrors, git_server: GitServer) -> None:
    git_server.create(PROJECT).push_files({"a.yaml": "a: 0\n"})
    with pytest.raises(GitError) as caught:
        await mirrors.mirror(PROJECT).keep(NOWHERE)
    assert caught.value.reason == "CommitNotFound"
    assert await mirrors.mirror("group/never").commits([NOWHERE]) == {}
