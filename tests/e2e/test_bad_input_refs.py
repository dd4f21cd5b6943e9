"""Refs and repositories that are missing, vanish, move or are rewritten: the last good revision stays, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, drive, installed
from tests.support.manifests import config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

UNKNOWN = "0123456789abcdef0123456789abcdef01234567"
REFS = {
    "group/later": "branch: later",
    "group/deleted": "branch: release",
    "group/tagged": "tag: stable",
    "group/unknown": f"commit: {UNKNOWN}",
}
PROJECTS = (*REFS, "group/hidden", "group/rewritten", "group/neighbour")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("refs"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture(scope="module")
def projects(shared: Installation, kube: Kube, namespace: str) -> dict[str, Driven]:
    """One agent, and for every test a manifest project of its own."""
    return drive(shared, kube, namespace, agent="main", projects=PROJECTS, refs=REFS)


def test_a_branch_that_does_not_exist_yet_is_named_and_synced_once_it_is_pushed(projects: dict[str, Driven]) -> None:
    project = projects["later"]
    sync = project.wait("failed", reason="RefNotFound")
    assert "branch later" in sync["message"]
    assert "push it, or correct the ref" in sync["message"]
    assert "RefNotFound" in project.kas.cli("get", "syncs", "--agent", "main", "-o", "wide")
    projects["neighbour"].goes_on()
    assert project.value("later") is None

    project.repository.branch("later")
    commit = project.push({"manifests/later.yaml": config_map("later", "there")})

    project.wait("healthy", commit=commit)
    assert project.value("later") == "there"


def test_a_deleted_branch_leaves_what_it_brought_and_goes_on_when_it_is_back(projects: dict[str, Driven]) -> None:
    project = projects["deleted"]
    project.repository.branch("release")
    first = project.push({"manifests/deleted.yaml": config_map("deleted", "first")})
    project.wait("healthy", commit=first)

    project.repository.delete_remote("release")
    project.kas.webhook(project.project)
    sync = project.wait("failed", reason="RefNotFound")

    assert sync["commit"] == first, "what is still in force"
    assert "branch release" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("deleted") == "first"

    second = project.push({"manifests/deleted.yaml": config_map("deleted", "second")})
    project.wait("healthy", commit=second)
    assert project.value("deleted") == "second"


def test_a_repository_that_vanishes_and_returns_unchanged_has_its_old_status_again(
    shared: Installation, projects: dict[str, Driven]
) -> None:
    project = projects["hidden"]
    before = project.wait("healthy")

    shared.git.hide(project.project)
    project.kas.webhook(project.project)
    sync = project.wait("failed", reason="RepositoryNotFound")
    assert "correct the project's name, url_template or the credential" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("hidden") == "1"

    shared.git.show(project.project)
    after = project.wait("healthy", commit=before["commit"])
    assert after["id"] == before["id"]
    assert (after["reason"], after["message"], after["applied_at"]) == ("", "", before["applied_at"])

    commit = project.push({"manifests/hidden.yaml": config_map("hidden", "2")})
    project.wait("healthy", commit=commit)


def test_a_rewritten_branch_is_followed_and_what_it_no_longer_has_is_pruned(projects: dict[str, Driven]) -> None:
    project = projects["rewritten"]
    old = project.push({"manifests/gone.yaml": config_map("gone")})
    project.wait("healthy", commit=old)

    project.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    new = project.repository.rewrite({"manifests/new.yaml": config_map("new")})
    project.kas.webhook(project.project)
    sync = project.wait("healthy", commit=new)

    assert (sync["counts"]["created"], sync["counts"]["pruned"]) == (1, 1)
    assert (project.value("gone"), project.value("new")) == (None, "1")

    project.repository.git("reset", "--quiet", "--hard", old)
    project.repository.push(force=True)
    project.kas.webhook(project.project)
    project.wait("healthy", commit=old)
    assert (project.value("gone"), project.value("new")) == ("1", None)


@pytest.mark.parametrize("annotated", [False, True], ids=["lightweight", "annotated"])
def test_a_moved_tag_is_followed(projects: dict[str, Driven], *, annotated: bool) -> None:
    project = projects["tagged"]
    for value in ("one", "two"):
        commit = project.repository.push_files({"manifests/tagged.yaml": config_map("tagged", f"{value}-{annotated}")})
        project.repository.tag("stable", annotated=annotated)
        project.kas.webhook(project.project)
        project.wait("healthy", commit=commit)
        assert project.value("tagged") == f"{value}-{annotated}"


def test_a_deleted_tag_leaves_what_it_brought(projects: dict[str, Driven]) -> None:
    project = projects["tagged"]
    commit = project.repository.push_files({"manifests/tagged.yaml": config_map("tagged", "last")})
    project.repository.tag("stable")
    project.kas.webhook(project.project)
    project.wait("healthy", commit=commit)

    project.repository.delete_remote("refs/tags/stable")
    project.kas.webhook(project.project)
    sync = project.wait("failed", reason="RefNotFound")

    assert (sync["commit"], project.value("tagged")) == (commit, "last")
    assert "tag stable" in sync["message"]


def test_a_commit_that_the_repository_does_not_have_is_named(projects: dict[str, Driven]) -> None:
    project = projects["unknown"]
    sync = project.wait("failed", reason="CommitNotFound")
    assert UNKNOWN[:8] in sync["message"]
    assert "correct the ref in the agent's configuration" in sync["message"]
    projects["neighbour"].goes_on()
    assert project.value("unknown") is None


def test_a_git_server_that_is_down_leaves_everything_running_and_is_asked_again_by_itself(
    shared: Installation, projects: dict[str, Driven]
) -> None:
    project = projects["hidden"]
    before = project.wait("healthy")

    shared.git.stop()
    sync = project.wait("failed", reason="Unreachable")
    assert "tried again by itself" in sync["message"]
    assert project.value("hidden") is not None

    shared.git.start()
    assert project.wait("healthy")["id"] == before["id"]
    projects["neighbour"].goes_on()
