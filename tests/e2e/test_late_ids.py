"""An id of GitLab's that comes late, or is wrong at first, takes nothing of others, and can be corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Agent, Installation
from tests.support.manifests import config_files, config_map

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.installation import Kas
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT_ID, RIGHT, WRONG = 8151, 4711, 4712
ANOTHER_AGENT_ID = 8152


def by_gitlabs_agent(kube: Kube, namespace: str, project_id: int, *names: str, agent_id: int = AGENT_ID) -> None:
    """Leave in the cluster what GitLab's agent left there for one project."""
    config_maps, inventory_id = f"/api/v1/namespaces/{namespace}/configmaps", f"{agent_id}-{project_id}"
    owner = {"config.k8s.io/owning-inventory": inventory_id}
    for name in names:
        kube.create(config_maps, {"metadata": {"name": name, "annotations": owner}, "data": {"value": "1"}})
    label = {"cli-utils.sigs.k8s.io/inventory-id": inventory_id}
    data = {f"{namespace}_{name}__ConfigMap": "" for name in names}
    kube.create(config_maps, {"metadata": {"name": f"inventory-{inventory_id}", "labels": label}, "data": data})


def with_id(kas: Kas, project_id: int | None, template: str) -> None:
    """Start kas with an id of the project in its kas.yaml, or none."""
    kas.stop()
    git = f'url_template: "{template}", allowed_schemes: [https, http], poll_interval: 1s'
    projects = f", projects: {{group/late: {{id: {project_id}}}}}" if project_id else ""
    lines = [line for line in kas.config.read_text().splitlines() if not line.startswith("git:")]
    kas.config.write_text("\n".join([*lines, f"git: {{{git}{projects}}}", ""]))
    kas.start()


def test_an_id_can_be_corrected_until_something_is_applied_and_takes_nothing_of_others(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    def found() -> dict[str, Any]:
        maps = kube.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
        return {one["metadata"]["name"]: one for one in maps}

    by_gitlabs_agent(kube, namespace, RIGHT, "late-mine", "late-gone")
    by_gitlabs_agent(kube, namespace, WRONG, "late-others", "late-too")
    before = found()
    repository, template = git_server.create("group/late"), git_server.template
    commit = repository.push_files({**config_files("late", namespace), "manifests/mine.yaml": config_map("late-mine")})
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as installation:
        kas, directory = installation.kas, installation.directory / "agents"
        kas.cli("agent", "create", "--project", "group/late", "--name", "late", "--id", str(AGENT_ID))
        agent = Agent(kas, "late", project="", kubeconfig=control_plane.kubeconfig, directory=directory, register=False)
        agent.token_file.write_text(kas.cli("token", "create", "--agent", "late"))
        try:
            agent.start()
            said = kas.wait_sync("late", state="failed", commit=commit, reason="OwnedByAnotherInventory")["message"]
            assert f"git.projects.group/late.id: {RIGHT} in kas.yaml" in said
            assert "adopt_all" not in said

            # Another project's number proves nothing, whatever is right about prunes.
            with_id(kas, WRONG, template)
            said = kas.wait_sync("late", state="failed", reason="InventoryNotProven")["message"]
            assert "late-others" in said
            assert "late-too" in said
            assert found() == before

            # It is corrected, and what had left Git before goes by the usual rules.
            with_id(kas, RIGHT, template)
            counts = kas.wait_sync("late", state="healthy", commit=commit)["counts"]
            assert counts["pruned"] == 1
            after = found()
            assert before.keys() - after.keys() == {"late-gone"}
            for name in ("late-others", "late-too", f"inventory-{AGENT_ID}-{WRONG}"):
                assert after[name] == before[name]
            assert after["late-mine"]["metadata"]["uid"] == before["late-mine"]["metadata"]["uid"]

            # Too late from here on: kas starts all the same, and goes on with what it has.
            with_id(kas, WRONG, template)
            commit = repository.push_files({"manifests/new.yaml": config_map("late-new")})
            kas.webhook("group/late")
            assert kas.wait_sync("late", state="healthy", commit=commit)["counts"]["created"] == 1
            assert f"it has applied objects under id {RIGHT}" in kas.log.read_text()
            assert found()["late-too"] == before["late-too"]
        finally:
            agent.stop()


def test_what_is_the_projects_own_after_all_goes_when_somebody_confirms_it(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    by_gitlabs_agent(kube, namespace, RIGHT, "sure-gone", agent_id=ANOTHER_AGENT_ID)
    repository = git_server.create("group/late")
    commit = repository.push_files({**config_files("sure", namespace), "manifests/new.yaml": config_map("sure-new")})
    with Installation(tmp_path, git_server, control_plane.kubeconfig) as installation:
        kas, directory = installation.kas, installation.directory / "agents"
        with_id(kas, RIGHT, git_server.template)
        kas.cli("agent", "create", "--project", "group/late", "--name", "sure", "--id", str(ANOTHER_AGENT_ID))
        agent = Agent(kas, "sure", project="", kubeconfig=control_plane.kubeconfig, directory=directory, register=False)
        agent.token_file.write_text(kas.cli("token", "create", "--agent", "sure"))
        try:
            agent.start()
            said = kas.wait_sync("sure", state="failed", commit=commit, reason="InventoryNotProven")["message"]
            assert "`kas confirm-prune`" in said
            config_maps = f"/api/v1/namespaces/{namespace}/configmaps"
            assert kube.find(f"{config_maps}/sure-new") is None
            kas.cli("confirm-prune", "--agent", "sure", "group/late", "--yes")
            counts = kas.wait_sync("sure", state="healthy", commit=commit)["counts"]
            assert (counts["created"], counts["pruned"]) == (1, 1)
            assert kube.find(f"{config_maps}/sure-gone") is None
        finally:
            agent.stop()
