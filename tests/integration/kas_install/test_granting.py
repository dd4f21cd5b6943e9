"""Manifests that grant rights: what the generated roles let an agent apply, on a real API server, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.kas_install.test_generated_rights import AGENT, scoped
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

MANIFESTS = ROOT.parent / "shared" / "manifests" / "kube-prometheus"
"""A monitoring stack as its makers publish it; its roles grant what no generated role has, such as `/metrics`."""


def granting(name: str) -> str:
    """Return a role that grants what the agent has not itself."""
    rule = '{apiGroups: [""], resources: [pods], verbs: [deletecollection]}'
    return f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: [{rule}]\n"


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the manifests of kube-prometheus are not here")
def test_an_agent_for_the_whole_cluster_applies_the_roles_of_a_monitoring_stack(
    installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    wanted = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount", "Namespace"}
    with scoped(installation, cluster, kube, tmp_path) as agent, agent.running():
        # Not to be mixed up with what another test has of it.
        renamed = {
            file.name: file.read_text().replace("namespace: monitoring", f"namespace: {agent.inside}")
            for file in MANIFESTS.glob("*.yaml")
        }
        chosen: dict[str, str | bytes] = {}
        for name, text in renamed.items():
            documents = [one for one in yaml.safe_load_all(text) if one]
            lists = [item for one in documents for item in (one["items"] if one["kind"].endswith("List") else [one])]
            kept = [one for one in lists if one["kind"] in wanted and one["metadata"].get("name") != "monitoring"]
            kept = [one for one in kept if one["metadata"].get("namespace", agent.inside) == agent.inside]
            if kept:
                chosen[name] = yaml.safe_dump_all(kept)
        assert sum("nonResourceURLs" in str(text) for text in chosen.values()) >= 1

        commit = agent.push({**chosen, "role.yaml": granting("broom")})
        sync = agent.kas.wait_sync(AGENT, state="healthy", commit=commit)
        agent.kas.wait_sync(AGENT, state="waiting", commit=agent.repository.push_removal(*_paths(chosen)))

    assert sync["counts"]["failed"] == 0
    assert sync["counts"]["created"] > 10


def _paths(chosen: dict[str, str | bytes]) -> list[str]:
    return [f"manifests/{name}" for name in chosen]


@pytest.mark.parametrize("verb", ["escalate", "bind"])
def test_without_either_right_to_grant_the_sync_fails_with_the_remedy(
    verb: str, installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path) as agent:
        agent.take_away(verb, of="roles")
        reference = "{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}"
        binding = (
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: all}\n"
            f"roleRef: {reference}\nsubjects: [{{kind: ServiceAccount, name: default, namespace: {agent.inside}}}]\n"
        )
        commit = agent.push({"grant.yaml": granting("broom") if verb == "escalate" else binding})
        with agent.running():
            sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit)

    assert sync["reason"] == "EscalationRefused"
    assert "see docs/install.md" in sync["message"]


def test_a_narrowed_agent_cannot_widen_itself_and_the_rest_is_applied(
    installation: Installation, cluster: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    with scoped(installation, cluster, kube, tmp_path, "namespace=INSIDE") as agent, agent.running():
        commit = agent.push(
            {"role.yaml": granting("broom"), "narrow.yaml": granting("x").replace("deletecollection", "get")}
        )
        sync = agent.kas.wait_sync(AGENT, state="failed", commit=commit)

        assert sync["counts"]["created"] == 1
        assert kube.find(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{agent.inside}/roles/broom") is None
    assert sync["reason"] == "EscalationRefused"
    assert "may grant no more than it has itself" in sync["message"]
