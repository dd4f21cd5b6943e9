"""An agent with rights in one namespace only works there, and says of everything else that it may not."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Agent
from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def confined_kubeconfig(kube: Kube, cluster: Cluster, namespace: str, file: Path) -> Path:
    """Write a kubeconfig of a service account that may do everything in its namespace and nothing elsewhere."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    kube.create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent"}})
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    kube.create(
        f"{RBAC}/namespaces/{namespace}/roles",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "agent"}, "rules": [rule]},
    )
    kube.create(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "agent"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": namespace}],
        },
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = kube.create(f"{accounts}/agent/token", request)["status"]["token"]
    ca = cluster.ca_file.read_bytes()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": cluster.url, "certificate-authority-data": base64.b64encode(ca).decode()},
            }
        ],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config))
    return file


def test_a_confined_agent_syncs_inside_and_is_refused_outside(
    installation: Installation, kube: Kube, control_plane: Cluster, namespace: str, tmp_path: Path
) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    first = repository.push_files(
        {
            **config_files("confined", namespace),
            "manifests/a.yaml": config_map("a"),
            "manifests/web.yaml": deployment("web", 0),
        }
    )
    kubeconfig = confined_kubeconfig(kube, control_plane, namespace, tmp_path / "kubeconfig")
    agent = Agent(kas, "confined", project="group/config", kubeconfig=kubeconfig, directory=tmp_path / "agent")
    try:
        agent.start()
        kas.wait_sync("confined", state="healthy", commit=first)
        maps = f"/api/v1/namespaces/{namespace}/configmaps"
        kube.patch(f"{maps}/a", {"data": {"value": "drifted"}})
        wait_until(lambda: kube.get(f"{maps}/a")["data"]["value"] == "1", what="drift is put back")

        outside = repository.push_files(
            {
                "manifests/b.yaml": config_map("b"),
                "manifests/outside.yaml": config_map("outside", namespace="kube-system"),
                "manifests/space.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: not-ours}\n",
            }
        )
        sync = kas.wait_sync("confined", state="failed", commit=outside, reason="Forbidden")

        assert sync["counts"]["created"] == 1
        assert sync["counts"]["failed"] == 2
        assert "may not watch" in sync["message"]
        assert kube.get(f"{maps}/b")["data"]["value"] == "1"
        assert kube.find("/api/v1/namespaces/not-ours") is None

        inside = repository.push_removal("manifests/outside.yaml", "manifests/space.yaml", "manifests/b.yaml")
        counts = kas.wait_sync("confined", state="healthy", commit=inside)["counts"]
        assert counts["pruned"] == 1
        assert kube.find(f"{maps}/b") is None
    finally:
        agent.stop()
