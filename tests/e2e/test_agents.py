"""Several agents on one cluster, each with projects of its own: nobody touches what is another's."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Installation
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
def namespaces(kube: Kube) -> Iterator[tuple[str, str, str]]:
    names = tuple(f"agents-{letter}-{secrets.token_hex(3)}" for letter in "abc")
    for name in names:
        kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    first, second, third = names
    yield first, second, third
    for name in names:
        kube.delete(f"/api/v1/namespaces/{name}")


def ours(kube: Kube, namespace: str) -> dict[str, str]:
    """Return the versions of the ConfigMaps that agents applied in a namespace, by name."""
    items = kube.get(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector="agentk.io/agent")["items"]
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in items}


def names(installation: Installation, agent: str) -> set[str]:
    tree: dict[str, Any] = installation.kas.get("tree", agent=agent)
    return {each["object"]["name"] for project in tree["projects"] for each in project["objects"]}


def test_an_agent_that_is_removed_enforces_nothing_any_more_and_goes_on_when_it_is_registered_again(
    installation: Installation, kube: Kube, namespaces: tuple[str, str, str]
) -> None:
    kas, namespace = installation.kas, namespaces[0]
    repository = installation.git.create("group/removed")
    commit = repository.push_files({**config_files("removed", namespace), "manifests/a.yaml": config_map("a")})
    agent = installation.agent("removed", project="group/removed")
    kas.wait_sync("removed", state="healthy", commit=commit)
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    uid = kube.get(path)["metadata"]["uid"]

    kas.cli("agent", "delete", "removed", "--yes")
    agent.process.wait_until(lambda: "kas has removed this agent" in agent.log.read_text(), what="it has heard of it")
    kube.patch(path, {"data": {"value": "by hand"}})
    kas.cli("agent", "create", "--project", "group/removed", "--name", "removed")
    assert kube.get(path)["data"] == {"value": "by hand"}, "nothing is put back meanwhile"

    agent.token_file.write_text(kas.cli("token", "create", "--agent", "removed"))
    kas.wait_sync("removed", state="healthy", commit=commit)
    wait_until(lambda: kube.get(path)["data"] == {"value": "1"}, what="it goes on")
    assert kube.get(path)["metadata"]["uid"] == uid


def test_three_agents_each_sync_and_prune_their_own(
    installation: Installation, kube: Kube, namespaces: tuple[str, str, str]
) -> None:
    kas = installation.kas
    configuration = installation.git.create("group/config")
    agents = dict(zip(("red", "green", "blue"), namespaces, strict=True))
    for name, namespace in agents.items():
        configuration.push_files(config_files(name, namespace, f"group/{name}"))
    projects = {name: installation.git.create(f"group/{name}") for name in agents}
    commits = {
        name: project.push_files(
            {f"manifests/{name}-{number}.yaml": config_map(f"{name}-{number}") for number in range(3)}
        )
        for name, project in projects.items()
    }
    for name in agents:
        installation.agent(name, project="group/config")

    for name, commit in commits.items():
        assert kas.wait_sync(name, state="healthy", commit=commit)["counts"]["created"] == 3
    for name, namespace in agents.items():
        expected = {f"{name}-{number}" for number in range(3)}
        assert names(installation, name) == expected
        assert set(ours(kube, namespace)) == expected

    before = {name: ours(kube, agents[name]) for name in ("green", "blue")}
    commit = projects["red"].push_removal("manifests/red-0.yaml")
    kas.webhook("group/red")

    assert kas.wait_sync("red", state="healthy", commit=commit)["counts"]["pruned"] == 1
    assert set(ours(kube, agents["red"])) == {"red-1", "red-2"}
    assert {name: ours(kube, agents[name]) for name in before} == before
    assert [kas.syncs(name)[0]["counts"]["pruned"] for name in before] == [0, 0]


def test_an_object_that_two_agents_claim_stays_the_firsts(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    kas = installation.kas
    configuration = installation.git.create("group/config")
    for name in ("first", "second"):
        configuration.push_files(config_files(name, namespace, f"group/{name}"))
        installation.git.create(f"group/{name}").push_files(
            {
                "manifests/claimed.yaml": config_map("claimed", name),
                f"manifests/{name}.yaml": config_map(f"{name}-own"),
            }
        )
    installation.agent("first", project="group/config")
    kas.wait_sync("first", state="healthy")
    before = ours(kube, namespace)

    second = installation.agent("second", project="group/config")

    sync = kas.wait_sync("second", state="failed", reason="OwnedByAnotherInventory")
    assert f"{namespace}/configmap/claimed: belongs to inventory " in sync["message"]
    assert "remove it from one of the two" in sync["message"]
    assert (sync["counts"]["created"], sync["counts"]["failed"]) == (1, 1)
    # It tries again, and never takes.
    wait_until(
        lambda: second.log.read_text().count('"reason":"OwnedByAnotherInventory"') > 1,
        what="the second has tried again",
    )
    after = ours(kube, namespace)
    assert {name: after[name] for name in before} == before
    assert set(after) == {"claimed", "first-own", "second-own"}
    assert kas.syncs("first")[0]["state"] == "healthy"
    assert not [event for event in kas.get("events", agent="first") if event["reason"] == "DriftCorrected"]
    failed = [each for each in kas.get("tree", agent="second")["projects"][0]["objects"] if each["result"] == "failed"]
    assert [each["object"]["name"] for each in failed] == ["claimed"]


def private_settings(git: GitServer, directory: Path) -> str:
    """Return settings with one credential for all projects, and one project elsewhere with a credential of its own."""
    return f"""\
git:
  url_template: "{git.template}"
  allowed_schemes: [https, http]
  poll_interval: 1s
  credential: {{kind: basic, username: kas, token_file: {directory / "common"}}}
  projects:
    group/manifests:
      url: "{git.url}/elsewhere/renamed.git"
      credential: {{kind: deploy_token, username: deploy, token_file: {directory / "own"}}}
"""


def test_private_projects_are_read_with_credentials_from_files(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    (tmp_path / "common").write_text("common-password-1\n")
    (tmp_path / "own").write_text("own-password-2\n")
    settings = private_settings(git_server, tmp_path)
    configuration = git_server.create("group/config", username="kas", password="common-password-1")
    manifests = git_server.create("elsewhere/renamed", username="deploy", password="own-password-2")
    first = configuration.push_files(
        {
            **config_files("private", namespace, "group/config", "group/manifests"),
            "manifests/one.yaml": config_map("private-one"),
        }
    )
    second = manifests.push_files({"manifests/two.yaml": config_map("private-two")})

    with Installation(tmp_path, git_server, control_plane.kubeconfig, settings=settings) as installation:
        kas = installation.kas
        agent = installation.agent("private", project="group/config")

        kas.wait_sync("private", state="healthy", project="group/config", commit=first)
        kas.wait_sync("private", state="healthy", project="group/manifests", commit=second)
        assert set(ours(kube, namespace)) >= {"private-one", "private-two"}

        git_server.set_password("elsewhere/renamed", "deploy", "rotated-password-3")
        sync = kas.wait_sync("private", state="failed", project="group/manifests", reason="AccessDenied")
        assert str(tmp_path / "own") in sync["message"] or "credential" in sync["message"]
        assert set(ours(kube, namespace)) >= {"private-one", "private-two"}
        (tmp_path / "own").write_text("rotated-password-3\n")
        kas.webhook("group/manifests")
        kas.wait_sync("private", state="healthy", project="group/manifests", commit=second)

        shown = kas.cli("get", "syncs", "-o", "json", "--all") + kas.cli("events", "-o", "json")
        text = shown + kas.log.read_text() + agent.log.read_text()
        assert not [word for word in ("password-1", "password-2", "password-3") if word in text]
