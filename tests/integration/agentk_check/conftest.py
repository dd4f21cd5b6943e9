"""A real kas listener with TLS, and service accounts with few rights on the real API server."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import Kas, running
from tests.support.authority import make_authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.agent_link import Authority
    from tests.support.kube import Kube

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def kas(tmp_path: Path) -> AsyncIterator[Kas]:
    async with running(ListenerSettings(host="127.0.0.1", websocket_port=0, grpc_port=0), tmp_path) as running_kas:
        yield running_kas


@pytest.fixture
async def kas_tls(authority: Authority, tmp_path: Path) -> AsyncIterator[Kas]:
    settings = ListenerSettings(host="127.0.0.1", websocket_port=0, grpc_port=0, tls=authority.server)
    async with running(settings, tmp_path) as running_kas:
        yield running_kas


@pytest.fixture
def account(
    kube: Kube, namespace: str, control_plane: Cluster, tmp_path: Path
) -> Callable[[Sequence[dict[str, object]]], str]:
    """Make a service account with a Role of these rules in the namespace, and return a kubeconfig of it."""

    def make(rules: Sequence[dict[str, object]]) -> str:
        name = f"account-{secrets.token_hex(3)}"
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        kube.create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        api = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": name}, "rules": [*rules]}
        kube.create(f"{RBAC}/namespaces/{namespace}/roles", role)
        kube.create(
            f"{RBAC}/namespaces/{namespace}/rolebindings",
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        )
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = kube.create(f"{accounts}/{name}/token", request)["status"]["token"]
        document = yaml.safe_load(control_plane.kubeconfig.read_text())
        document["users"] = [{"name": "u", "user": {"token": token}}]
        for context in document["contexts"]:
            context["context"]["user"] = "u"
        file = tmp_path / f"{name}.kubeconfig"
        file.write_bytes(orjson.dumps(document))
        return str(file)

    return make
