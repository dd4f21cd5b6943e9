"""Rules judge an object as it is sent: what apply-time mutation brings in gets past none of them.

And strangers' objects keep nothing of others in the cluster, whatever their labels and annotations say.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.audit import administrator
from tests.support.driven import Driven, installed
from tests.support.installation import Agent
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

MUTATION = "config.kubernetes.io/apply-time-mutation"
DEPENDS_ON = "config.kubernetes.io/depends-on"
OWNING = "config.k8s.io/owning-inventory"
INVENTORY = "cli-utils.sigs.k8s.io/inventory-id"
LABEL = "agentk.io/agent"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """One kas for the tests of this file; each has an agent of its own."""
    with installed(tmp_path_factory.mktemp("judged"), control_plane.kubeconfig) as found:
        yield found


@pytest.fixture
def account(kube: Kube, started_control_plane: ControlPlane, tmp_path: Path) -> Iterator[str]:
    """The name of agentk's service account, in ``default``."""
    name = f"judged-{secrets.token_hex(3)}"
    administrator(started_control_plane, kube, name, tmp_path / "kubeconfig")
    # A role that gathers its rules by a label, by way of another one, bound to the account as a user.
    roles, bindings = f"/apis/{RBAC}/v1/clusterroles", f"/apis/{RBAC}/v1/clusterrolebindings"
    for role, label, selected in (("outer", "none", "outer"), ("inner", "outer", "inner")):
        selector = {"matchLabels": {f"{name}/to": selected}}
        metadata = {"name": f"{name}-{role}", "labels": {f"{name}/to": label}}
        kube.create(
            roles,
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": metadata,
                "aggregationRule": {"clusterRoleSelectors": [selector]},
            },
        )
    bound = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{name}-outer"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"{name}-outer"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": f"system:serviceaccount:default:{name}"}],
    }
    kube.create(bindings, bound)
    yield name
    for path in (f"{bindings}/{name}-outer", f"{roles}/{name}-outer", f"{roles}/{name}-inner"):
        kube.delete(path)
    kube.delete(f"{bindings}/{name}")
    kube.delete(f"/api/v1/namespaces/default/serviceaccounts/{name}")


def filled(
    api_version: str,
    kind: str,
    name: str,
    target: str,
    key: str,
    *,
    place: str = "",
    **content: Any,  # noqa: ANN401 - JSON
) -> str:
    """Return a manifest with one field that is filled from a key of the ConfigMap ``words``, which is in ``place``."""
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "words", **({"namespace": place} if place else {})}
    mutation = json.dumps([{"sourceRef": ref, "sourcePath": f"$.data.{key}", "targetPath": target}])
    metadata = {"name": name, "annotations": {MUTATION: mutation}, "labels": {"x": "y"}}
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": metadata, **content})


def filled_map(name: str, target: str, key: str) -> str:
    """Return a ConfigMap of that kind."""
    return filled("v1", "ConfigMap", name, target, key, data={"value": "1"})


def binding(name: str, kind: str, key: str, place: str) -> str:
    """Return a binding of view rights whose subject's name is filled in."""
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    subjects = [{"apiGroup": RBAC, "kind": kind, "name": "nobody"}]
    made = (f"{RBAC}/v1", "ClusterRoleBinding", name, "$.subjects[0].name", key)
    return filled(*made, place=place, roleRef=role, subjects=subjects)


def as_agentk(account: str) -> dict[str, dict[str, Any]]:
    """Return objects that would come by agentk's own account."""
    metadata = {"name": f"{account}-taken", "namespace": "default"}
    token = {**metadata, "annotations": {"kubernetes.io/service-account.name": account}}
    pod = {"serviceAccountName": account, "containers": [{"name": "a", "image": "a"}]}
    return {
        "token": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": token,
            "type": "kubernetes.io/service-account-token",
        },
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        "decoy": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "jobTemplate": None,
                "selector": {"matchLabels": {"app": "taken"}},
                "template": {"metadata": {"labels": {"app": "taken"}}, "spec": pod},
            },
        },
    }


def test_what_is_filled_gets_past_no_rule(
    running: Installation, kube: Kube, namespace: str, account: str, tmp_path: Path
) -> None:
    agent = Agent(
        running.kas,
        "judged",
        project="judged/main",
        kubeconfig=tmp_path / "kubeconfig",
        directory=tmp_path / "agents",
        environment={"POD_NAMESPACE": namespace},
    )
    driven = Driven(running.kas, "judged", "judged/main", running.git.create("judged/main"), kube, namespace)
    words = {
        "name": "other",
        "account": f"system:serviceaccount:default:{account}",
        "accounts": "system:serviceaccounts",
        "everybody": "system:authenticated",
        "keep": "keep",
        "inner": "inner",
        "inventory": "7-9",
    }
    files = {
        "name": filled_map("name", "$.metadata.name", "name"),
        "namespace": filled_map("namespace", "$.metadata.namespace", "name"),
        "kind": filled_map("kind", "$.kind", "name"),
        "label": filled_map("label", f"$.metadata.labels['{LABEL}']", "name"),
        "labels": filled_map("labels", "$.metadata.labels", "name"),
        "metadata": filled_map("metadata", "$['metadata']", "name"),
        "inventory": filled_map("inventory", f"$.metadata.labels['{INVENTORY}']", "inventory"),
        "owner": filled_map("owner", f'$.metadata.annotations["{OWNING}"]', "inventory"),
        "keep": filled_map("keep", "$.metadata.annotations['cli-utils.sigs.k8s.io/on-remove']", "keep"),
        "user": binding(f"{account}-user", "User", "account", namespace),
        "accounts": binding(f"{account}-accounts", "Group", "accounts", namespace),
        "everybody": binding(f"{account}-everybody", "Group", "everybody", namespace),
        "role": filled(
            f"{RBAC}/v1",
            "ClusterRole",
            f"{account}-role",
            f"$.metadata.labels['{account}/to']",
            "inner",
            place=namespace,
        ),
    }
    plain = json.loads(binding(f"{account}-plain", "Group", "name", namespace))
    del plain["metadata"]["annotations"]
    plain["subjects"][0]["name"] = "system:authenticated"
    source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": words}
    commit = driven.push(
        {
            **config_files("judged", namespace),
            **{f"manifests/{name}.yaml": text for name, text in files.items()},
            "manifests/plain.yaml": json.dumps(plain),
            **{f"manifests/{name}.yaml": json.dumps(one) for name, one in as_agentk(account).items()},
            "manifests/words.yaml": json.dumps(source),
            "manifests/fine.yaml": filled_map("fine", "$.data.value", "name"),
        }
    )
    try:
        agent.start()
        sync = driven.wait("failed", commit=commit)
        assert (sync["counts"]["failed"], sync["counts"]["created"]) == (len(files) + 1 + len(as_agentk(account)), 2)
        tree: dict[str, Any] = running.kas.get("tree", agent="judged")
        said = {one["path"]: one for project in tree["projects"] for one in project["objects"]}
        reasons = {name: said[f"manifests/{name}.yaml"]["reason"] for name in (*files, "plain", *as_agentk(account))}
        rights = {"user", "accounts", "everybody", "role"}
        assert {reasons[name] for name in (*rights, "plain", *as_agentk(account))} == {"Protected"}
        assert {reasons[name] for name in files if name not in rights} == {"InvalidMutation"}
        assert driven.value("fine") == "other"
        bindings = [one["metadata"]["name"] for one in kube.get(f"/apis/{RBAC}/v1/clusterrolebindings")["items"]]
        assert {name for name in bindings if name.startswith(account)} == {account, f"{account}-outer"}
        assert kube.find(f"/apis/{RBAC}/v1/clusterroles/{account}-role") is None
    finally:
        agent.stop()


def test_an_object_that_strangers_label_keeps_nothing_from_being_pruned(
    running: Installation, kube: Kube, namespace: str
) -> None:
    files = config_files("holding", namespace, "group/platform", "group/app")
    running.git.create("config/holding").push_files(files)
    platform, app = (
        Driven(running.kas, "holding", f"group/{name}", running.git.create(f"group/{name}"), kube, namespace)
        for name in ("platform", "app")
    )
    names = ("wanted", "unwanted", "stays")
    platform.repository.push_files({f"manifests/{name}.yaml": config_map(name) for name in names})
    metadata = {"name": "app", "annotations": {DEPENDS_ON: f"/namespaces/{namespace}/ConfigMap/wanted"}}
    dependent = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": "1"}})
    app.repository.push_files({"manifests/app.yaml": dependent, "manifests/other.yaml": config_map("other")})
    running.agent("holding", project="config/holding")
    platform.wait("healthy")
    app.wait("healthy")

    mine = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/app")["metadata"]
    marks = {"labels": {LABEL: mine["labels"][LABEL]}, "name": "stranger"}
    claims = {OWNING: mine["annotations"][OWNING], DEPENDS_ON: f"/namespaces/{namespace}/ConfigMap/unwanted"}
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**marks, "annotations": claims}}
    kube.create(f"/api/v1/namespaces/{namespace}/configmaps", stranger)
    # Nor by what they write on an object that is really the other project's.
    claim = {DEPENDS_ON: f"/namespaces/{namespace}/ConfigMap/unwanted"}
    kube.patch(f"/api/v1/namespaces/{namespace}/configmaps/other", {"metadata": {"annotations": claim}})

    commit = platform.remove("manifests/wanted.yaml", "manifests/unwanted.yaml")
    sync = platform.wait("healthy", commit=commit, reason="DependedOn")
    assert "configmap/app depends on it" in sync["message"]
    assert sync["counts"]["pruned"] == 1
    wait_until(lambda: platform.config_map("unwanted") is None, what="nothing that is ours needs it")
    assert platform.config_map("wanted") is not None
