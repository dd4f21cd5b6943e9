"""The project's own Kubernetes client on the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from agentk.kube.client import KubeClient
from agentk.kube.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube


@pytest.fixture
async def client(control_plane: Cluster) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as connected:
        yield connected


@pytest.fixture
def objects(client: KubeClient) -> Objects:
    return Objects(client)


@pytest.fixture
def account_token(kube: Kube, namespace: str) -> str:
    """A token of the namespace's default service account, which may do nothing."""
    answer = kube.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}},
    )
    return str(answer["status"]["token"])


@pytest.fixture
def kubeconfig_of(control_plane: Cluster, tmp_path: Path) -> Callable[[dict[str, object]], str]:
    """Write a kubeconfig of the same cluster for another user."""

    def write(user: dict[str, object]) -> str:
        document = yaml.safe_load(control_plane.kubeconfig.read_text())
        document["users"] = [{"name": "other", "user": user}]
        for context in document["contexts"]:
            context["context"]["user"] = "other"
        path = tmp_path / "kubeconfig"
        path.write_bytes(orjson.dumps(document))
        return str(path)

    return write
