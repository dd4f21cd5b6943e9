"""What GitLab's own agentk leaves in a cluster while it runs: its pod, its Lease and its account. Nothing runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.kube import Kube

RBAC = "rbac.authorization.k8s.io"
IMAGE = "registry.gitlab.com/gitlab-org/cluster-integration/gitlab-agent/agentk:v16.5.0"


def claim(kube: Kube, namespace: str, lease: str) -> None:
    """Make a pod as GitLab's agent has it, which has the Lease."""
    metadata: dict[str, Any] = {"name": "gitlab-agent"}
    kube.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": metadata})
    spec = {"serviceAccountName": "gitlab-agent", "containers": [{"name": "agent", "image": IMAGE}]}
    kube.create(f"/api/v1/namespaces/{namespace}/pods", {"metadata": metadata, "spec": spec})
    kube.create(
        f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
        {"metadata": {"name": lease}, "spec": {"holderIdentity": "gitlab-agent", "leaseDurationSeconds": 15}},
    )


def let_write(kube: Kube, namespace: str) -> None:
    """Give the account of GitLab's agent the rights that it has."""
    kube.create(
        f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings",
        {
            "metadata": {"name": "gitlab-agent"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "gitlab-agent", "namespace": namespace}],
        },
    )
