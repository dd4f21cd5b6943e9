from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.git_repository import GitCommandError, git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.git_server import GitServer


def clone(url: str, to: Path) -> str:
    git("clone", "--quiet", url, str(to), cwd=to.parent)
    return git("rev-parse", "HEAD", cwd=to)


def test_a_pushed_commit_can_be_cloned(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create("group/sub/project")
    commit = repository.push_files({"deep/file.yaml": "a: 1\n", ".hidden": "x"})

    assert clone(repository.url, tmp_path / "copy") == commit
    assert (tmp_path / "copy/deep/file.yaml").read_text() == "a: 1\n"
    assert git_server.template.replace("{project}", "group/sub/project") == repository.url
    assert any("service=git-upload-pack" in request for request in git_server.requests)


def test_a_pack_larger_than_gits_buffer_travels_in_chunks(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create("large")
    data = os.urandom(3 * 1024 * 1024)
    commit = repository.push_files({"blob": data})

    assert clone(repository.url, tmp_path / "copy") == commit
    assert (tmp_path / "copy/blob").read_bytes() == data


def test_a_private_repository_wants_its_password(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create("private", username="deploy", password="s3cr3t/@:")
    commit = repository.push_files({"a": "1"})

    with pytest.raises(GitCommandError, match="could not read Username"):
        clone(repository.url, tmp_path / "anonymous")
    with pytest.raises(GitCommandError, match="Authentication failed"):
        clone(repository.url.replace("://", "://deploy:wrong@"), tmp_path / "wrong")
    clone(repository.url.replace("://", "://deploy:s3cr3t%2F%40%3A@"), tmp_path / "right")
    assert git("rev-parse", "HEAD", cwd=tmp_path / "right") == commit
    assert "s3cr3t" not in (repository.path / ".git/config").read_text()

    git_server.set_password("private", "deploy", "rotated")
    with pytest.raises(GitCommandError, match="Authentication failed"):
        repository.git("fetch")


def test_a_hidden_repository_is_not_found_until_it_is_shown_again(git_server: GitServer) -> None:
    repository = git_server.create("project")
    repository.push_files({"a": "1"})

    git_server.hide("project")
    with pytest.raises(GitCommandError, match="not found"):
        repository.git("fetch")
    git_server.show("project")
    repository.git("fetch")


def test_a_stopped_server_refuses_connections_and_returns_on_its_port(git_server: GitServer) -> None:
    repository = git_server.create("project")
    repository.push_files({"a": "1"})

    git_server.stop()
    with pytest.raises(GitCommandError, match="Failed to connect"):
        repository.git("fetch")
    git_server.start()
    repository.git("fetch")


def test_history_can_be_rewritten_and_refs_can_move_and_go(git_server: GitServer) -> None:
    repository = git_server.create("project")
    first = repository.push_files({"a": "1"})
    repository.tag("v1", annotated=True)
    second = repository.rewrite({"a": "2"})
    repository.tag("v1")
    repository.branch("feature")
    repository.push()

    def refs() -> dict[str, str]:
        lines = git("ls-remote", repository.url, cwd=repository.path).splitlines()
        return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}

    assert first != second
    assert refs() == dict.fromkeys(("HEAD", "refs/heads/main", "refs/heads/feature", "refs/tags/v1"), second)
    repository.delete_remote("feature")
    assert "refs/heads/feature" not in refs()
    repository.checkout("main")
    third = repository.push_removal("a")
    assert refs()["refs/heads/main"] == third
    assert repository.git("ls-tree", "--name-only", third) == ""
