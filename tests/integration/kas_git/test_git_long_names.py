"""Names as long as Git and file systems let them be, and longer: read, or refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink.manifests.model import Limits
from kas.git.errors import GitError
from kas.git.refs import GitRef, RefKind
from kas.gitops.snapshots import Snapshots, Wanted
from tests.integration.kas_git.git_helpers import MAIN, files_of
from tests.support.git_repository import fast_import

if TYPE_CHECKING:
    from kas.git.mirrors import Mirrors
    from tests.support.git_server import GitServer

COMPONENT = "c" * 250
"""With ``.yaml`` 255 bytes, the longest that a file system takes; no checkout could hold the paths made of it."""

MANIFEST = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def commit_paths(git_server: GitServer, project: str, paths: list[str]) -> str:
    """Commit files without a work tree, whose paths no file system would take; return the commit."""
    commands = [b"commit refs/heads/main\ncommitter d <d@example.com> 1700000000 +0000\ndata 1\nx\n"]
    commands += [b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(MANIFEST), MANIFEST) for path in paths]
    return fast_import(git_server.bare(project), b"".join(commands))


async def test_paths_of_4096_bytes_and_of_255_bytes_a_component_are_read(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    project = "group/paths"
    git_server.create(project)
    folders = "/".join([COMPONENT] * 15)
    paths = [f"{folders}/{'d' * (4096 - len(folders) - 6)}.yaml", f"{COMPONENT}.yaml", f"{'é' * 125}.yaml"]
    assert [len(path.encode()) for path in paths] == [4096, 255, 255]
    commit = commit_paths(git_server, project, paths)
    mirror = mirrors.mirror(project)
    assert await mirror.fetch(MAIN) == commit
    assert await files_of(mirror, commit) == dict.fromkeys(paths, MANIFEST)
    wanted = Wanted(project, (f"/{COMPONENT}/**/*.yaml",), "default")
    snapshot = await Snapshots(mirrors, Limits()).make(wanted, commit)
    assert [file.path for file in snapshot.files] == [paths[0]]


async def test_a_ref_may_be_as_long_as_a_server_keeps_one_and_what_is_longer_is_refused_in_words(
    mirrors: Mirrors, git_server: GitServer
) -> None:
    project = "group/refs"
    repository = git_server.create(project)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    long = "b" * 249  # with .lock, which git makes beside it, 254 bytes
    repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{long}", f"HEAD:refs/tags/{long}")
    refs = [GitRef(RefKind.BRANCH, long), GitRef(RefKind.TAG, long)]
    assert await mirrors.mirror(project).look(refs) == dict.fromkeys(refs, commit)
    found = await mirrors.mirror(project).look([GitRef(RefKind.BRANCH, f"{long}/{long}")])
    (error,) = found.values()
    assert isinstance(error, GitError)
    assert (error.reason, str(error)) == (
        "Refused",
        f"{project}: {'b' * 60!r} is not a name a branch can have; correct the ref",
    )


@pytest.mark.parametrize("project", [f"{'g' * 255}/{'p' * 251}", f"{'g/' * 200}p"])
async def test_a_project_may_have_the_longest_path_there_is(
    mirrors: Mirrors, git_server: GitServer, project: str
) -> None:
    commit = git_server.create(project).push_files({"a.yaml": "a: 1\n"})
    assert await mirrors.mirror(project).fetch(MAIN) == commit


async def test_a_project_path_longer_than_any_is_refused_in_words(mirrors: Mirrors) -> None:
    with pytest.raises(GitError, match="is not a project path; write it as group/project") as caught:
        await mirrors.mirror("group/" + "p" * 600).fetch(MAIN)
    assert (caught.value.reason, len(str(caught.value)) < 200) == ("Refused", True)
