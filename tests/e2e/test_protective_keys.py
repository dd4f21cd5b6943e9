"""A protective key of config.yaml that is misspelt, empty or misplaced: the last good one goes on confining."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LOST = {
    "    allowed_namespaces: []\n": "allowed_namespaces: names no namespace",
    "    allowed_namespaces:\n": "allowed_namespaces: says nothing",
    "    alowed_namespaces: [{}]\n": "alowed_namespaces: unknown key; did you mean allowed_namespaces?",
    "    Allowed-Namespaces: [{}]\n": "Allowed-Namespaces: unknown key; did you mean allowed_namespaces?",
    "    policy: {{allowed_namespaces: [{}]}}\n": "policy.allowed_namespaces: means nothing here",
    "    impersonation: {{service_account: {}/nobody}}\n": "impersonation: unknown key; did you mean impersonate?",
}
"""Ways to lose a protection, and what is said of each. The namespace goes where the braces are."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("protective"), control_plane.kubeconfig) as installation:
        yield installation


@pytest.fixture
def elsewhere(kube: Kube) -> Iterator[str]:
    """A namespace that the project must not reach."""
    name = f"elsewhere-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def test_a_protection_that_gets_lost_opens_nothing(
    shared: Installation, kube: Kube, namespace: str, elsewhere: str
) -> None:
    kas = shared.kas
    driven = Driven(kas, "keys", "own/keys", shared.git.create("own/keys"), kube, namespace)
    good = config_files("keys", namespace, more=f"    allowed_namespaces: [{namespace}]\n")
    (path,) = good
    outside = config_map("outside", namespace=elsewhere)
    driven.push({**good, "manifests/inside.yaml": config_map("inside"), "manifests/outside.yaml": outside})
    shared.agent("keys", project="own/keys")
    driven.wait("failed", reason="OutsideAllowedNamespaces")

    for more, said in LOST.items():
        commit = driven.push(config_files("keys", namespace, more=more.format(namespace)))
        sync = kas.wait_sync("keys", state="failed", reason="InvalidConfiguration", commit=commit)
        assert f"{path}: line 5: gitops.manifest_projects[0].{said}" in sync["message"]

    # The last good configuration is in force: it goes on, and confines.
    driven.push({"manifests/inside.yaml": config_map("inside", "2")})
    wait_until(lambda: driven.value("inside") == "2", what="what is inside goes on")
    assert kube.find(f"/api/v1/namespaces/{elsewhere}/configmaps/outside") is None

    driven.push({**good, "manifests/inside.yaml": config_map("inside", "3")})
    wait_until(lambda: driven.value("inside") == "3", what="the repaired configuration is taken")
    driven.wait("failed", reason="OutsideAllowedNamespaces")
    assert kube.find(f"/api/v1/namespaces/{elsewhere}/configmaps/outside") is None
