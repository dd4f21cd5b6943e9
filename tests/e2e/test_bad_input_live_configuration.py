"""What a push to config.yaml changes at a connected agent, without a restart, and what it must not take away."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("live"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture
def second_namespace(kube: Kube) -> Iterator[str]:
    """Another namespace to sync to."""
    name = f"second-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def test_projects_come_and_go_at_a_connected_agent_and_what_left_keeps_running(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas, git = shared.kas, shared.git
    one = Driven(kas, "comings", "comings/one", git.create("comings/one"), kube, namespace)
    two = Driven(kas, "comings", "comings/two", git.create("comings/two"), kube, namespace)
    one.push({"manifests/one.yaml": config_map("one")})
    two.push({"manifests/two.yaml": config_map("two"), "manifests/two-too.yaml": config_map("two-too")})
    config = git.create("comings/config")
    config.push_files(config_files("comings", namespace, "comings/one"))
    shared.agent("comings", project="comings/config")
    one.wait("healthy")

    config.push_files(config_files("comings", namespace, "comings/one", "comings/two"))
    kas.webhook("comings/config")
    two.wait("healthy")
    inventory = _inventory(kube, namespace, "two-too")

    config.push_files(config_files("comings", namespace, "comings/one"))
    kas.webhook("comings/config")
    wait_until(lambda: _projects(shared, "comings") == ["comings/one"], what="the agent was told")
    two.push({"manifests/two.yaml": config_map("two", "ignored")})
    two.remove("manifests/two-too.yaml")
    one.goes_on()
    assert (two.value("two"), two.value("two-too")) == ("1", "1")
    assert _inventory(kube, namespace, "two-too") == inventory

    config.push_files(config_files("comings", namespace, "comings/one", "comings/two"))
    kas.webhook("comings/config")
    wait_until(lambda: two.value("two") == "ignored", what="the returned project is synced")
    wait_until(lambda: two.value("two-too") is None, what="what left meanwhile is pruned: the inventory was kept")
    assert _log(shared, "comings").count("Connected to kas") == 1


def test_removing_the_whole_gitops_section_prunes_nothing(shared: Installation, kube: Kube, namespace: str) -> None:
    driven = Driven(shared.kas, "emptied", "own/emptied", shared.git.create("own/emptied"), kube, namespace)
    files = config_files("emptied", namespace)
    driven.push({**files, "manifests/emptied.yaml": config_map("emptied")})
    shared.agent("emptied", project="own/emptied")
    driven.wait("healthy")

    driven.push({next(iter(files)): "observability: {logging: {level: info}}\n"})
    wait_until(lambda: _projects(shared, "emptied") == [], what="the agent was told")
    assert "stay in the cluster" in shared.kas.wait_sync("emptied", state="superseded", reason="Orphaned")["message"]

    assert driven.value("emptied") == "1"


def confirm_prune(driven: Driven) -> None:
    """Say that what the configuration no longer selects may go."""
    driven.wait("waiting")
    driven.kas.cli("confirm-prune", driven.project, "--agent", driven.agent, "--yes")


def test_globs_and_default_namespace_are_applied_live(
    shared: Installation, kube: Kube, namespace: str, second_namespace: str
) -> None:
    driven = Driven(shared.kas, "globs", "own/globs", shared.git.create("own/globs"), kube, namespace)
    driven.push(
        {
            **config_files("globs", namespace),
            "manifests/a.yaml": config_map("glob-a"),
            "more/b.yaml": config_map("glob-b"),
        }
    )
    shared.agent("globs", project="own/globs")
    driven.wait("healthy")
    assert driven.value("glob-b") is None

    commit = driven.push(config_files("globs", namespace, glob="/{manifests,more}/**/*.yaml"))
    driven.wait("healthy", commit=commit)
    wait_until(lambda: driven.value("glob-b"), what="the second directory is synced")

    driven.push(config_files("globs", second_namespace, glob="/{manifests,more}/**/*.yaml"))
    moved = f"/api/v1/namespaces/{second_namespace}/configmaps/glob-a"
    wait_until(lambda: kube.find(moved), what="the objects are in the new default namespace")
    # What is in the old one stays with its inventory, until that is named.
    driven.wait("healthy", reason="InventoryElsewhere")
    assert driven.value("glob-a") == "1"
    named = f"    inventory_namespace: {namespace}\n"
    driven.push(config_files("globs", second_namespace, glob="/{manifests,more}/**/*.yaml", more=named))
    confirm_prune(driven)
    wait_until(lambda: driven.value("glob-a") is None, what="they have left the old one")

    commit = driven.push(config_files("globs", second_namespace, glob="/manifests/**/*.yaml", more=named))
    confirm_prune(driven)
    gone = f"/api/v1/namespaces/{second_namespace}/configmaps/glob-b"
    wait_until(lambda: kube.find(gone) is None, what="what the globs no longer select is pruned")
    driven.wait("healthy", commit=commit)


def test_the_log_level_is_applied_live(shared: Installation, kube: Kube, namespace: str) -> None:
    driven = Driven(shared.kas, "levels", "own/levels", shared.git.create("own/levels"), kube, namespace)
    files = config_files("levels", namespace)
    path = next(iter(files))
    driven.push({**files, "manifests/levels.yaml": config_map("levels")})
    agent = shared.agent("levels", project="own/levels")
    driven.wait("healthy")
    assert '"level":"debug"' not in agent.log.read_text()

    driven.push({path: f"{files[path]}observability: {{logging: {{level: debug}}}}\n"})
    wait_until(lambda: agent.log.read_text().count('"Configuration in force"') == 2, what="the agent was told")
    driven.goes_on()
    assert '"level":"debug"' in agent.log.read_text()

    driven.push({path: f"{files[path]}observability: {{logging: {{level: error}}}}\n"})

    def quiet() -> bool:
        length = len(agent.log.read_text())
        driven.goes_on()
        return len(agent.log.read_text()) == length

    wait_until(quiet, what="a sync is no longer logged")


def _projects(installation: Installation, agent: str) -> list[str] | None:
    """Return the projects of the newest configuration that the agent says it has."""
    lines = [json.loads(line) for line in _log(installation, agent).splitlines() if '"Configuration in force"' in line]
    return list(lines[-1]["projects"]) if lines else None


def _log(installation: Installation, agent: str) -> str:
    return (installation.directory / "agents" / f"agentk-{agent}.log").read_text()


def _inventory(kube: Kube, namespace: str, name: str) -> dict[str, str]:
    """Return what the inventory remembers that has this ConfigMap."""
    found = kube.get(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector="cli-utils.sigs.k8s.io/inventory-id")
    memories: list[dict[str, str]] = [item.get("data", {}) for item in found["items"]]
    return next(memory for memory in memories if f"{namespace}_{name}__ConfigMap" in memory)
