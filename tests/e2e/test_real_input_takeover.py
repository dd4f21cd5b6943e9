"""An installation of GitLab's agent is taken over as it stands, when agent and project keep the ids they have there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agentk.apply.seal import SEALED
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
OTHERS = {"config.k8s.io/owning-inventory": "1-2"}
KPT_STATUS = '{"actuation":"Succeeded","reconcile":"Succeeded","strategy":"Apply"}'
"""What newer versions of cli-utils leave as a value."""


def by_gitlabs_agent(kube: Kube, namespace: str) -> dict[str, str]:
    """Leave in the cluster what GitLab's agent left there; return the paths of the objects with their uids."""
    config_maps = f"/api/v1/namespaces/{namespace}/configmaps"
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    for name, image in (("taken-web", "nginx:1.26"), ("taken-same", "nginx:1.27")):
        web = yaml.safe_load(deployment(name, 1))
        web["metadata"]["annotations"] = OWNED
        web["spec"]["template"]["spec"]["containers"][0]["image"] = image
        kube.apply(f"{deployments}/{name}", web, manager="agentk")

    def settings(name: str, annotations: dict[str, str]) -> dict[str, Any]:
        return {"metadata": {"name": name, "annotations": annotations}, "data": {"value": "1"}}

    # Before 15.0 it applied as kubectl does, without managing fields.
    for name in ("taken-settings", "taken-left"):
        kube.create(config_maps, settings(name, OWNED))
    for name in ("taken-others", "taken-lost"):
        kube.create(config_maps, settings(name, OTHERS))
    inventory: dict[str, Any] = {
        "metadata": {
            "name": f"inventory-{INVENTORY_ID}",
            "labels": {"cli-utils.sigs.k8s.io/inventory-id": INVENTORY_ID},
        },
        "data": {
            f"{namespace}_taken-web_apps_Deployment": "",
            f"{namespace}_taken-same_apps_Deployment": KPT_STATUS,
            f"{namespace}_taken-settings__ConfigMap": "",
            f"{namespace}_taken-left__ConfigMap": KPT_STATUS,
            f"{namespace}_taken-lost__ConfigMap": "",
        },
    }
    kube.create(config_maps, inventory)
    names = ("taken-settings", f"inventory-{INVENTORY_ID}", "taken-left", "taken-others", "taken-lost")
    paths = [f"{deployments}/taken-web", f"{deployments}/taken-same", *(f"{config_maps}/{name}" for name in names)]
    return {path: kube.get(path)["metadata"]["uid"] for path in paths}


def test_what_gitlabs_agent_applied_goes_on_without_being_made_anew(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    before = by_gitlabs_agent(kube, namespace)
    web, same, settings, inventory, left, others, lost = before
    untouched = {path: kube.get(path) for path in (others, lost)}
    generation = kube.get(same)["metadata"]["generation"]
    repository = git_server.create("group/app")
    commit = repository.push_files(
        {
            **config_files("taker", namespace),
            "manifests/web.yaml": deployment("taken-web", 1),
            "manifests/same.yaml": deployment("taken-same", 1),
            "manifests/settings.yaml": config_map("taken-settings"),
            "manifests/others.yaml": config_map("taken-others", "2"),
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
            sync = kas.wait_sync("taker", state="failed", commit=commit, reason="OwnedByAnotherInventory")
            assert f"belongs to inventory 1-2, not to {INVENTORY_ID}" in sync["message"]
            counts = sync["counts"]
            assert (counts["configured"] + counts["unchanged"], counts["failed"]) == (3, 1)
            assert {path: kube.get(path)["metadata"]["uid"] for path in before} == before, (
                "nothing is made anew or gone"
            )
            assert {path: kube.get(path) for path in untouched} == untouched, (
                "what another inventory owns stays as it is"
            )
            assert kube.get(web)["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
            assert kube.get(same)["metadata"]["generation"] == generation, "what is equal is not rolled out anew"

            # With nothing in its way any more, what had left Git before goes by the usual rules.
            commit = repository.push_removal("manifests/others.yaml")
            kas.webhook("group/app")
            counts = kas.wait_sync("taker", state="applied", commit=commit)["counts"]
            assert (counts["unchanged"], counts["pruned"]) == (3, 1)
            assert kube.find(left) is None
            assert {path: kube.get(path) for path in untouched} == untouched
            assert {path: kube.get(path)["metadata"]["uid"] for path in before if path != left} == {
                path: uid for path, uid in before.items() if path != left
            }
            selector = f"cli-utils.sigs.k8s.io/inventory-id={INVENTORY_ID}"
            assert len(kube.get("/api/v1/configmaps", labelSelector=selector)["items"]) == 1
            found = kube.get(inventory)["data"]
            assert {key.split("_")[1] for key in found} == {"taken-web", "taken-same", "taken-settings"}
            assert all(SEALED.fullmatch(value) for value in found.values()), "what was applied is remembered"

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
