"""An agent with rights in one namespace only works there, and says of everything else that it may not."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.driven import Driven
from tests.support.installation import Agent
from tests.support.manifests import config_files, config_map, deployment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.installation import Installation, Kas
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def service_account(kube: Kube, namespace: str, name: str, *, verbs: tuple[str, ...] = ("*",)) -> None:
    """Make a service account that may do everything in its namespace, or only these verbs, and nothing elsewhere."""
    kube.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
    )
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": list(verbs)}
    kube.create(
        f"{RBAC}/namespaces/{namespace}/roles",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": [rule]},
    )
    kube.create(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    )


def kubeconfig_of(kube: Kube, cluster: ControlPlane, namespace: str, name: str, file: Path) -> Path:
    """Write a kubeconfig with a service account's own token."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    token = kube.create(path, request)["status"]["token"]
    ca = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.url, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config))
    return file


def confined(kas: Kas, name: str, project: str, namespace: str, kubeconfig: Path) -> Agent:
    """Return an agent, not started, with no more rights than its kubeconfig gives it."""
    directory = kubeconfig.parent / "agent"
    environment = {"POD_NAMESPACE": namespace}
    return Agent(kas, name, project=project, kubeconfig=kubeconfig, directory=directory, environment=environment)


@pytest.fixture
def other_namespace(kube: Kube) -> Iterator[str]:
    """A second namespace, of another tenant."""
    name = f"tenant-{secrets.token_hex(3)}"
    kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete(f"/api/v1/namespaces/{name}")


def test_a_confined_agent_syncs_inside_and_is_refused_outside(
    installation: Installation, kube: Kube, control_plane: ControlPlane, namespace: str, tmp_path: Path
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
    service_account(kube, namespace, "agent")
    kubeconfig = kubeconfig_of(kube, control_plane, namespace, "agent", tmp_path / "kubeconfig")
    agent = confined(kas, "confined", "group/config", namespace, kubeconfig)
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


def test_one_agent_serves_tenants_who_cannot_reach_each_others_namespaces(
    installation: Installation, kube: Kube, namespace: str, other_namespace: str
) -> None:
    kas = installation.kas
    for tenant in (namespace, other_namespace):
        service_account(kube, tenant, "deployer")
    configuration = "gitops:\n  manifest_projects:\n" + "".join(
        f"  - id: tenants/{name}\n    default_namespace: {tenant}\n"
        f"    impersonate: {{service_account: {tenant}/deployer}}\n"
        for name, tenant in (("one", namespace), ("two", other_namespace))
    )
    installation.git.create("group/config").push_files({".gitlab/agents/shared/config.yaml": configuration})
    one, two = (installation.git.create(f"tenants/{name}") for name in ("one", "two"))
    first = one.push_files({"mine.yaml": config_map("mine")})
    looking = {
        name: json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": f"after-{name}",
                    "annotations": {"config.kubernetes.io/depends-on": f"/namespaces/{namespace}/ConfigMap/{name}"},
                },
            }
        )
        for name in ("mine", "none")
    }
    intruding = two.push_files(
        {
            "mine.yaml": config_map("mine"),
            "theirs.yaml": config_map("x", namespace=namespace),
            **{f"z-{name}.yaml": text for name, text in looking.items()},
        }
    )

    installation.agent("shared", project="group/config")

    kas.wait_sync("shared", project="tenants/one", state="healthy", commit=first)
    sync = kas.wait_sync("shared", project="tenants/two", state="failed", commit=intruding, reason="Forbidden")
    assert sync["counts"]["created"] == 1
    assert f"system:serviceaccount:{other_namespace}:deployer" in sync["message"]
    assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/x") is None
    mine = kube.get(f"/api/v1/namespaces/{other_namespace}/configmaps/mine")
    assert mine["data"]["value"] == "1"
    # Nor does it learn of what the agent itself sees there.
    tree = kas.get("tree", agent="shared")
    said = {item["path"]: item for project in tree["projects"] for item in project["objects"]}
    there, nowhere = said["z-mine.yaml"], said["z-none.yaml"]
    assert there["reason"] == nowhere["reason"] == "DependencyNotFound"
    assert there["message"].replace("configmap/mine", "configmap/none") == nowhere["message"]


def test_an_account_that_may_not_be_impersonated_is_refused_and_nothing_is_done_instead(
    installation: Installation, kube: Kube, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    kas = installation.kas
    service_account(kube, namespace, "powerless")
    files = config_files("powerless", namespace, more="    impersonate: {service_account: kube-system/default}\n")
    commit = installation.git.create("group/config").push_files({**files, "manifests/never.yaml": config_map("never")})
    kubeconfig = kubeconfig_of(kube, control_plane, namespace, "powerless", tmp_path / "kubeconfig")
    agent = confined(kas, "powerless", "group/config", namespace, kubeconfig)
    try:
        agent.start()

        sync = kas.wait_sync("powerless", state="failed", commit=commit, reason="Forbidden")

        assert "impersonate" in sync["message"]
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/never") is None
    finally:
        agent.stop()


def test_an_agent_that_may_not_watch_says_that_drift_goes_unseen(
    installation: Installation, kube: Kube, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    kas = installation.kas
    files = {**config_files("blind", namespace), "manifests/blind.yaml": config_map("blind")}
    commit = installation.git.create("group/config").push_files(files)
    service_account(kube, namespace, "blind", verbs=("get", "list", "create", "patch", "delete"))
    kubeconfig = kubeconfig_of(kube, control_plane, namespace, "blind", tmp_path / "kubeconfig")
    agent = confined(kas, "blind", "group/config", namespace, kubeconfig)
    try:
        agent.start()

        sync = kas.wait_sync("blind", state="healthy", commit=commit, reason="WatchForbidden")

        assert "drift of ConfigMap objects goes unseen" in sync["message"]
    finally:
        agent.stop()


@pytest.fixture
def narrow(kube: Kube, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> tuple[str, Path]:
    """A namespace with the service account ``narrow``, which may do everything there, and a kubeconfig of it."""
    service_account(kube, namespace, "narrow")
    return namespace, kubeconfig_of(kube, control_plane, namespace, "narrow", tmp_path / "kubeconfig")


def test_the_rights_of_an_agent_elsewhere_are_neither_changed_nor_pruned(
    installation: Installation, kube: Kube, narrow: tuple[str, Path], other_namespace: str
) -> None:
    namespace, kubeconfig = narrow
    there = f"{RBAC}/namespaces/{other_namespace}"
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    kube.create(f"{there}/roles", {**_role("narrow"), "rules": [rule]})
    kube.create(f"{there}/rolebindings", _role_binding("narrow", {"name": "narrow", "namespace": namespace}))
    driven = Driven(
        installation.kas, "narrow", "own/narrow", installation.git.create("own/narrow"), kube, other_namespace
    )
    account = {"name": "somebody", "namespace": other_namespace}
    many = {f"manifests/{number}.yaml": config_map(f"plain-{number}") for number in range(40)}
    first = driven.push({**config_files("narrow", other_namespace, more="    inventory_policy: adopt_all\n"), **many})
    agent = confined(installation.kas, "narrow", "own/narrow", namespace, kubeconfig)
    try:
        agent.start()
        driven.wait("healthy", commit=first)
        commit = driven.push(
            {
                "manifests/role.yaml": json.dumps({**_role("narrow"), "rules": []}),
                "manifests/binding.yaml": json.dumps(_role_binding("narrow", account)),
                "manifests/theirs.yaml": json.dumps({**_role("theirs"), "rules": []}),
            }
        )
        sync = driven.wait("failed", commit=commit, reason="Protected")
        assert (sync["counts"]["failed"], sync["counts"]["created"]) == (2, 1)
        assert kube.get(f"{there}/roles/narrow")["rules"] == [rule]
        assert kube.get(f"{there}/rolebindings/narrow")["subjects"][0]["name"] == "narrow"

        # As if the binding had once been one of the project's: in the inventory, annotated, and no longer in Git.
        maps = f"/api/v1/namespaces/{other_namespace}/configmaps"
        (inventory,) = kube.get(maps, labelSelector="cli-utils.sigs.k8s.io/inventory-id")["items"]
        inventory_id = inventory["metadata"]["labels"]["cli-utils.sigs.k8s.io/inventory-id"]
        agent.stop()
        annotations = {"config.k8s.io/owning-inventory": inventory_id}
        kube.patch(f"{there}/rolebindings/narrow", {"metadata": {"annotations": annotations}})
        key = f"{other_namespace}_narrow_rbac.authorization.k8s.io_RoleBinding"
        kube.patch(f"{maps}/{inventory['metadata']['name']}", {"data": {key: ""}})
        commit = driven.remove("manifests/role.yaml", "manifests/binding.yaml")
        agent.start()
        sync = driven.wait("healthy", commit=commit, reason="Protected")
        assert sync["counts"]["pruned"] == 0
        assert kube.find(f"{there}/rolebindings/narrow")
    finally:
        agent.stop()


def _role(name: str) -> dict[str, object]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}}


def _role_binding(name: str, account: dict[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", **account}],
    }
