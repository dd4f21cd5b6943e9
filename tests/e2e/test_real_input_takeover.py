"""An installation of GitLab's agent is taken over as it stands, when agent and project keep the ids they have there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import Agent, Installation
from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT_ID, PROJECT_ID = 8150, 4711
INVENTORY_ID = f"{AGENT_ID}-{PROJECT_ID}"
OWNED = {"config.k8s.io/owning-inventory": INVENTORY_ID}


def by_gitlabs_agent(kube: Kube, namespace: str) -> dict[str, str]:
    """Leave in the cluster what GitLab's agent left there; return the paths of the objects with their uids."""
    labels = {"app": "taken-web"}
    web = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "taken-web", "annotations": OWNED},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "nginx", "image": "nginx:1.26"}]},
            },
        },
    }
    settings: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "taken-settings", "annotations": OWNED},
        "data": {"value": "1"},
    }
    inventory: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"inventory-{INVENTORY_ID}",
            "labels": {"cli-utils.sigs.k8s.io/inventory-id": INVENTORY_ID},
        },
        "data": {f"{namespace}_taken-web_apps_Deployment": "", f"{namespace}_taken-settings__ConfigMap": ""},
    }
    config_maps = f"/api/v1/namespaces/{namespace}/configmaps"
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    kube.apply(f"{deployments}/taken-web", web, manager="agentk")
    kube.create(config_maps, settings)  # before 15.0 it applied as kubectl does, without managing fields
    kube.create(config_maps, inventory)
    paths = (f"{deployments}/taken-web", f"{config_maps}/taken-settings", f"{config_maps}/inventory-{INVENTORY_ID}")
    return {path: kube.get(path)["metadata"]["uid"] for path in paths}


def test_what_gitlabs_agent_applied_goes_on_without_being_made_anew(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    before = by_gitlabs_agent(kube, namespace)
    web, settings, inventory = before
    repository = git_server.create("group/app")
    commit = repository.push_files(
        {
            **config_files("taker", namespace),
            "manifests/web.yaml": deployment("taken-web", 1),
            "manifests/settings.yaml": config_map("taken-settings"),
        }
    )
    pinned = f"""\
git:
  url_template: "{git_server.template}"
  allowed_schemes: [https, http]
  poll_interval: 1s
  projects: {{group/app: {{id: {PROJECT_ID}}}}}
"""
    with Installation(tmp_path, git_server, control_plane.kubeconfig, settings=pinned) as installation:
        kas = installation.kas
        said = kas.cli("agent", "create", "--project", "group/app", "--name", "taker", "--id", str(AGENT_ID))
        assert f"(id {AGENT_ID})" in said
        directory = installation.directory / "agents"
        agent = Agent(
            kas,
            "taker",
            project="group/app",
            kubeconfig=control_plane.kubeconfig,
            directory=directory,
            register=False,
        )
        agent.token_file.write_text(kas.cli("token", "create", "--agent", "taker"))
        try:
            agent.start()
            counts = kas.wait_sync("taker", state="applied", commit=commit)["counts"]

            assert (counts["configured"] + counts["unchanged"], counts["total"]) == (2, 2)
            assert {path: kube.get(path)["metadata"]["uid"] for path in before} == before
            assert kube.get(web)["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
            selector = f"cli-utils.sigs.k8s.io/inventory-id={INVENTORY_ID}"
            assert len(kube.get("/api/v1/configmaps", labelSelector=selector)["items"]) == 1
            assert all(kube.get(inventory)["data"].values()), "what was applied is remembered from now on"

            # It is ours from here on: drift is put back, and what leaves Git is pruned.
            kube.patch(web, {"spec": {"replicas": 5}})
            wait_until(lambda: kube.get(web)["spec"]["replicas"] == 1, what="drift is put back")
            removed = repository.push_removal("manifests/settings.yaml")
            kas.webhook("group/app")
            assert kas.wait_sync("taker", state="applied", commit=removed)["counts"]["pruned"] == 1
            assert kube.find(settings) is None
            assert kube.get(web)["metadata"]["uid"] == before[web]
        finally:
            agent.stop()
