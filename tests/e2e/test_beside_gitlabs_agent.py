"""GitLab's own agentk left running for the same agent: nothing is applied beside it, and it is told what to do."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.driven import Driven
from tests.support.gitlab_agent import claim, let_write
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

REASON = "GitlabAgentAtWork"


@pytest.fixture
def other_namespace(kube: Kube, namespace: str) -> Iterator[str]:
    """A namespace in which somebody else may edit."""
    name = f"{namespace}-other"
    kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def test_nothing_is_applied_beside_gitlabs_agent_and_a_strangers_lease_holds_nothing_up(
    installation: Installation, kube: Kube, namespace: str, other_namespace: str
) -> None:
    name = f"beside-{secrets.token_hex(3)}"
    driven = Driven(installation.kas, name, f"{name}/main", installation.git.create(f"{name}/main"), kube, namespace)
    first = driven.push({**config_files(name, namespace), "manifests/a.yaml": config_map("a")})
    agent = installation.agent(name, project=f"{name}/main", start=False)
    (registered,) = [one for one in installation.kas.get("agents") if one["name"] == name]
    lease = f"agent-{registered['id']}-lock"
    # Anybody may make a Lease and a pod where they may edit; the account there may not write the inventory.
    claim(kube, other_namespace, lease)
    agent.start()
    driven.wait("healthy", commit=first)

    claim(kube, namespace, lease)
    let_write(kube, namespace)
    # As a pass of it does: it applies with our manager and without our label, from an older revision.
    objects = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = kube.get(f"{objects}/a")["metadata"]["annotations"]["config.k8s.io/owning-inventory"]
    manifest = yaml.safe_load(config_map("a", "older"))
    manifest["metadata"]["annotations"] = {"config.k8s.io/owning-inventory": owner}

    def is_held() -> bool:
        kube.apply(f"{objects}/a", manifest, manager="agentk", force=True)
        return bool(driven.sync()["reason"] == REASON)

    wait_until(is_held, what="the project is held")
    second = driven.push({"manifests/b.yaml": config_map("b")})
    held = driven.wait("failed", commit=second, reason=REASON)
    assert f"pod {namespace}/gitlab-agent has the lease {lease}" in held["message"]
    assert driven.value("b") is None
    assert driven.value("a") == "older", "nobody fights with it"

    # The remedy for one that does no GitOps, and going on at once.
    kube.patch(
        f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}",
        {"metadata": {"annotations": {"agentk.io/gitops": "none"}}},
    )
    installation.kas.cli("reconcile", driven.project, "--agent", name)
    driven.wait("healthy", commit=second)
    assert (driven.value("a"), driven.value("b")) == ("1", "1")
