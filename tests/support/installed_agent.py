"""What `kas generate` wrote, put into a cluster, and agentk run with exactly the rights that are in it.

No container runs here: agentk is a process, its token that of the generated service account, by ``TokenRequest``, as
kubelet gets it. ``in_pod`` gives it a pod's files and environment as well.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from tests.support.paths import ROOT
from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Kas
    from tests.support.kube import Kube

RBAC = "/apis/rbac.authorization.k8s.io/v1"

PLACES = {
    "Namespace": ("/api/v1", "namespaces"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "ClusterRole": (RBAC, "clusterroles"),
    "ClusterRoleBinding": (RBAC, "clusterrolebindings"),
    "Role": (RBAC, "roles"),
    "RoleBinding": (RBAC, "rolebindings"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Deployment": ("/apis/apps/v1", "deployments"),
}

SERVICE_ACCOUNT_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"

# A file system of our own over /var/run, seen by this process alone, since nobody may write into the machine's.
_AS_IN_A_POD = f"""
mount -t tmpfs tmpfs /var/run
mkdir -p {SERVICE_ACCOUNT_FILES}
cp "$0"/* {SERVICE_ACCOUNT_FILES}
exec "$@"
"""


def token_file(kas: Kas, agent: str) -> Path:
    """Return where ``generate`` leaves an agent's token."""
    return kas.directory / f"token-{agent}"


def generate(kas: Kas, agent: str, namespace: str, *more: str) -> str:
    """Register an agent of ``group/config``, and run `kas generate` for it; return the YAML."""
    kas.cli("agent", "create", "--project", "group/config", "--name", agent)
    token_file(kas, agent).write_text(kas.cli("token", "create", "--agent", agent))
    given = ("--agent-token-file", str(token_file(kas, agent)), "--kas-address", kas.address, "--namespace", namespace)
    return kas.cli("generate", *given, *more)


def documents(text: str) -> list[dict[str, Any]]:
    """Return the objects in YAML."""
    return list(yaml.safe_load_all(text))


def path_of(one: Mapping[str, Any]) -> str:
    """Return an object's path in the API."""
    api, plural = PLACES[one["kind"]]
    namespace = one["metadata"].get("namespace")
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{api}{where}/{plural}/{one['metadata']['name']}"


def apply(kube: Kube, objects: list[dict[str, Any]]) -> None:
    """Apply objects in their order; each must be accepted."""
    for one in objects:
        kube.apply(path_of(one), one, force=True)


def service_account_token(kube: Kube, namespace: str, name: str = "gitlab-agent") -> str:
    """Ask for a token of a service account, as kubelet does for its pods."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    return str(kube.create(path, request)["status"]["token"])


def kubeconfig(cluster: ControlPlane, token: str, file: Path) -> Path:
    """Write a kubeconfig with this token and nothing else."""
    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.url, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config))
    return file


def fetch(port: int, path: str) -> tuple[int, str]:
    """GET a path of a listener on loopback; return the status and the body, whatever they are."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def can_be_in_pod() -> bool:
    """Tell whether this machine lets us have a mount namespace."""
    command = [*_unshare(), "mount", "-t", "tmpfs", "tmpfs", "/var/run"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def in_pod(cluster: ControlPlane, token: str, *args: str | Path, directory: Path) -> Process:
    """Start ``agentk`` with what a pod has: the service account's files, and where the API server is."""
    files = directory / "serviceaccount"
    files.mkdir(parents=True)
    (files / "token").write_text(token)
    (files / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    server = urlsplit(cluster.url)
    environment = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "KUBECONFIG": "",
        "PYTHONPATH": str(ROOT),
    }
    command = [*_unshare(), "sh", "-ec", _AS_IN_A_POD, files, sys.executable, "-m", "agentk", *args]
    return Process("agentk", command, log=directory / "agentk.log", env=environment)


def _unshare() -> list[str]:
    become_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *become_root, "--mount", "--propagation", "private"]
