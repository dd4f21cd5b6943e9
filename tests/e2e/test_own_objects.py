"""What agentk itself stands on, in Git and in what is to be pruned: refused, and everything else is applied."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.audit import administrator
from tests.support.driven import Driven
from tests.support.installation import Agent
from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io"
OWNING = "config.k8s.io/owning-inventory"


@pytest.fixture
def account(kube: Kube, started_control_plane: ControlPlane, tmp_path: Path) -> Iterator[str]:
    """The name of agentk's service account, in ``default``, and of the binding that gives it its rights."""
    name = f"own-{secrets.token_hex(3)}"
    administrator(started_control_plane, kube, name, tmp_path / "kubeconfig")
    yield name
    kube.delete(f"/apis/{RBAC}/v1/clusterrolebindings/{name}")
    for kind in ("serviceaccounts", "configmaps"):
        kube.delete(f"/api/v1/namespaces/default/{kind}/{name}")


def test_what_agentk_stands_on_is_neither_changed_nor_pruned_nor_given_more_rights(
    installation: Installation, kube: Kube, namespace: str, account: str, tmp_path: Path
) -> None:
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    kube.apply(f"{deployments}/agentk", _deployment("agentk"))
    inventory_of_another = f"/api/v1/namespaces/default/configmaps/{account}"
    kube.apply(
        inventory_of_another,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": account, "labels": {"cli-utils.sigs.k8s.io/inventory-id": "999-1"}},
        },
    )
    agent = Agent(
        installation.kas,
        "main",
        project="own/main",
        kubeconfig=tmp_path / "kubeconfig",
        directory=tmp_path / "agents",
        environment={"POD_NAMESPACE": namespace, "POD_NAME": _pod(kube, namespace)},
    )
    driven = Driven(installation.kas, "main", "own/main", installation.git.create("own/main"), kube, namespace)
    commit = driven.push(
        {
            **config_files("main", namespace, more="    inventory_policy: adopt_all\n"),
            "manifests/deployment.yaml": deployment("agentk", replicas=0),
            "manifests/namespace.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n",
            "manifests/account.yaml": _written("v1", "ServiceAccount", account, namespace="default"),
            "manifests/binding.yaml": _binding(account, account),
            "manifests/more.yaml": _binding(f"{account}-more", account),
            **{f"manifests/{name}.yaml": _written("v1", "Secret", name) for name in ("by-variable", "projected")},
            "manifests/inventory.yaml": _written("v1", "ConfigMap", account, namespace="default", data={"a": ""}),
            "manifests/beside.yaml": config_map("beside"),
        }
    )
    try:
        agent.start()
        sync = driven.wait("failed", commit=commit)
        assert sync["counts"]["failed"] == 8
        tree: dict[str, Any] = installation.kas.get("tree", agent="main")
        said = {one["path"]: one for project in tree["projects"] for one in project["objects"] if one["path"]}
        refused = {path for path, one in said.items() if one["reason"] == "Protected"}
        assert refused == {
            f"manifests/{name}.yaml"
            for name in ("deployment", "namespace", "account", "binding", "more", "by-variable", "projected")
        }
        assert said["manifests/inventory.yaml"]["reason"] == "InventoryRefused"
        assert "data" not in kube.get(inventory_of_another)
        assert driven.value("beside") == "1"
        assert kube.get(f"{deployments}/agentk")["spec"]["replicas"] == 1
        assert kube.find(f"/apis/{RBAC}/v1/clusterrolebindings/{account}-more") is None

        # As if it had once been one of the project's: in the inventory, annotated, and no longer in Git.
        maps = f"/api/v1/namespaces/{namespace}/configmaps"
        (inventory,) = kube.get(maps, labelSelector="cli-utils.sigs.k8s.io/inventory-id")["items"]
        inventory_id = inventory["metadata"]["labels"]["cli-utils.sigs.k8s.io/inventory-id"]
        agent.stop()
        labels = {"agentk.io/agent": inventory_id.partition("-")[0]}
        kube.patch(f"{deployments}/agentk", {"metadata": {"annotations": {OWNING: inventory_id}, "labels": labels}})
        kube.patch(f"{maps}/{inventory['metadata']['name']}", {"data": {f"{namespace}_agentk_apps_Deployment": ""}})
        agent.start()
        names = ("deployment", "namespace", "account", "binding", "more", "by-variable", "projected", "inventory")
        commit = driven.remove(*(f"manifests/{name}.yaml" for name in names))
        sync = driven.wait("healthy", commit=commit)
        assert sync["counts"]["pruned"] == 0
        assert (sync["reason"], "agentk" in sync["message"]) == ("Protected", True)
        assert "deletionTimestamp" not in kube.get(f"{deployments}/agentk")["metadata"]
    finally:
        agent.stop()


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "by-variable", "key": "token"}}}
    volume = {"name": "more", "projected": {"sources": [{"secret": {"name": "projected"}}]}}
    container = {"name": "agentk", "image": "agentk", "env": [variable]}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [volume]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _pod(kube: Kube, namespace: str) -> str:
    """Return the name of the Deployment's pod, which the controllers make; nothing runs in it."""
    pods = wait_until(
        lambda: kube.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector="app=agentk")["items"], what="its pod"
    )
    return str(pods[0]["metadata"]["name"])


def _written(api_version: str, kind: str, name: str, *, namespace: str = "", **content: object) -> str:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": metadata, **content})


def _binding(name: str, account: str) -> str:
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": "default"}]
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    return _written(f"{RBAC}/v1", "ClusterRoleBinding", name, roleRef=role, subjects=subjects)
