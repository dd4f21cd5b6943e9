"""Who wrote what and when, from the API server's own audit log; and replicas that it can tell apart."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.controlplane.cluster import open_control_plane
from tests.support.installed_agent import kubeconfig, service_account_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube

# Written before the answer is sent ("blocking"), so that the order of the lines is that of the answers.
_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
- level: None
"""


@dataclass(frozen=True)
class Written:
    """One write that the API server carried out.

    ``received`` and ``done`` are its own clock's times, as text that sorts; ``what`` is a resource and a name.
    """

    who: str
    received: str
    done: str
    what: str


@contextmanager
def audited_control_plane(directory: Path) -> Iterator[tuple[ControlPlane, AuditLog]]:
    """Yield a control plane of our own that notes every write."""
    directory.mkdir(parents=True, exist_ok=True)
    policy, log = directory / "audit-policy.yaml", directory / "audit.log"
    policy.write_text(_POLICY)
    with open_control_plane(f"--audit-policy-file={policy}", f"--audit-log-path={log}") as plane:
        yield plane, AuditLog(log)


class AuditLog:
    """What an API server has noted."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def writes(self, *resources: str, but: str = "") -> list[Written]:
        """Return the writes that succeeded, by the time at which they were received; of all resources or these."""
        found = []
        # The last line may be half written.
        for line in self._file.read_text().split("\n")[:-1]:
            event = json.loads(line)
            about = event.get("objectRef") or {}
            resource = about.get("resource", "")
            if event["responseStatus"]["code"] >= 300 or (resources and resource not in resources) or resource == but:
                continue
            who = event["user"]["username"].rpartition(":")[2]
            what = f"{resource}/{about.get('name', '')}"
            found.append(Written(who, event["requestReceivedTimestamp"], event["stageTimestamp"], what))
        return sorted(found, key=lambda written: written.received)


def administrator(plane: ControlPlane, kube: Kube, name: str, file: Path) -> Path:
    """Make a service account that may do everything, and write a kubeconfig of it, so that its writes can be told."""
    kube.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    kube.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    return kubeconfig(plane, service_account_token(kube, "default", name), file)
