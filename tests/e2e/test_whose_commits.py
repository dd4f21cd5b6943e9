"""Whose commits people may look at in a cluster: of the project's own branches and tags, and audited."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import drive, installed
from tests.support.manifests import config_map
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.driven import Driven
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

PROJECT, AGENT = "group/whose", "whose"


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster, kube: Kube, namespace: str
) -> Iterator[Driven]:
    """One project of one agent for the tests of this file."""
    with installed(tmp_path_factory.mktemp("whose"), control_plane.kubeconfig) as running:
        driven = drive(running, kube, namespace, agent=AGENT, projects=(PROJECT,))["whose"]
        driven.wait("healthy")
        yield driven


@pytest.fixture(scope="module")
def maintainer(project: Driven) -> str:
    """The secret of a token that may operate the agent."""
    made = project.kas.post("api-tokens", {"name": "maintainer", "role": "maintainer", "project": "config"})
    return str(made["secret"])


@pytest.fixture(scope="module")
def of_a_fork(project: Driven) -> str:
    """A commit as a forge keeps it for a merge request of somebody's fork."""
    return elsewhere(project, "refs/merge-requests/1/head", "refs/keep-around/1", "refs/pull/1/head", name="fork")


def elsewhere(project: Driven, *refs: str, name: str, parent: str = "main") -> str:
    """Push a commit with one ConfigMap more to refs of the server; return it."""
    repository = project.repository
    repository.git("checkout", "--quiet", "--detach", parent)
    repository.write({f"manifests/{name}.yaml": config_map(name)})
    commit = repository.commit(name)
    repository.push(*(f"{commit}:{ref}" for ref in refs))
    repository.checkout("main")
    return commit


def run(project: Driven, secret: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a token."""
    return subprocess.run(
        [sys.executable, "-m", "kas", *args],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "KAS_ADDRESS": project.kas.api, "KAS_TOKEN": secret},
        timeout=60,
        check=False,
    )


def audit(project: Driven, action: str) -> list[dict[str, Any]]:
    """Return the lines of the audit log about an action, oldest first."""
    lines = json.loads(project.kas.cli("audit", "-o", "json"))["items"]
    return [line for line in lines if line["action"] == action]


def test_a_commit_that_only_a_fork_has_is_shown_to_no_operator_and_the_attempt_is_audited(
    project: Driven, maintainer: str, of_a_fork: str
) -> None:
    for ref in (of_a_fork, "refs/merge-requests/1/head", "merge-requests/1/head", "../merge-requests/1/head"):
        shown = run(project, maintainer, "diff", PROJECT, "--agent", AGENT, "--ref", ref)
        assert (shown.returncode, shown.stdout) == (2, "")
    refused = run(project, maintainer, "diff", PROJECT, "--agent", AGENT, "--ref", of_a_fork)
    assert f"commit {of_a_fork} is at the tip of no branch or tag of {PROJECT}" in refused.stderr
    assert "push it to a branch" in refused.stderr
    line = audit(project, "project.diff")[-1]
    assert (line["outcome"], line["actor"], line["project"]) == ("refused", "maintainer", f"config/{AGENT}")
    assert of_a_fork in line["subject"]


def test_one_that_does_not_exist_is_refused_in_the_same_words(project: Driven, maintainer: str, of_a_fork: str) -> None:
    words = [
        run(project, maintainer, "diff", PROJECT, "--agent", AGENT, "--ref", ref).stderr.replace(ref, "X")
        for ref in (of_a_fork, "b" * 40)
    ]
    assert words[0] == words[1]


def test_an_administrator_may_look_at_it_and_the_audit_log_says_that_no_ref_has_it(
    project: Driven, of_a_fork: str
) -> None:
    shown = project.kas.run_cli("diff", PROJECT, "--agent", AGENT, "--ref", of_a_fork)
    assert (shown.returncode, "configmap/fork" in shown.stdout) == (1, True), shown.stderr
    line = audit(project, "project.diff")[-1]
    assert (line["outcome"], line["actor"]) == ("done", "first")
    assert f"project {PROJECT}, commit {of_a_fork}, in no branch or tag" in line["subject"]
    # Having been looked at makes it nobody's to go back to.
    refused = project.kas.run_cli("rollback", PROJECT, "--agent", AGENT, "--to", of_a_fork)
    assert refused.returncode == 1
    assert "is not in the history of" in refused.stderr


def test_branches_tags_and_the_past_of_what_is_followed_are_shown_and_audited(project: Driven, maintainer: str) -> None:
    first = project.sync()["commit"]
    feature = elsewhere(project, "refs/heads/feature", name="feature")
    project.repository.checkout(feature)
    project.repository.tag("v1", annotated=True)
    project.repository.checkout("main")
    tagged = elsewhere(project, "refs/heads/gone", name="tagged")
    project.repository.checkout(tagged)
    project.repository.tag("v2", annotated=True)
    project.repository.checkout("main")
    project.repository.delete_remote("gone")
    project.repository.write({"manifests/between.yaml": config_map("between")})
    between = project.repository.commit("never sent: both are pushed at once")
    pushed = project.push({"manifests/more.yaml": config_map("more")})
    project.wait("healthy", commit=pushed)
    for ref, commit, name in (
        ("feature", feature, "branch feature"),
        (feature, feature, "branch feature"),
        ("v1", feature, "tag v1"),
        (tagged, tagged, "tag v2"),
        (between, between, "in the history of default branch"),
        (first, first, "a revision of this agent"),
        (first[:10], first, "a revision of this agent"),
    ):
        shown = run(project, maintainer, "diff", PROJECT, "--agent", AGENT, "--ref", ref)
        assert (shown.returncode, shown.stderr) == (1, "")
        line = audit(project, "project.diff")[-1]
        assert (line["outcome"], line["actor"]) == ("done", "maintainer")
        assert f"project {PROJECT}, commit {commit}, {name}" in line["subject"], line
    assert run(project, maintainer, "diff", PROJECT, "--agent", AGENT).returncode == 0
    assert f"commit {pushed}, default branch" in audit(project, "project.diff")[-1]["subject"]
