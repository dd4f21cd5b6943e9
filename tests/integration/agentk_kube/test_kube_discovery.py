from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agentk.apply.model import Kind
from agentk.kube import discovery as discovery_module
from agentk.kube.discovery import Discovery
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentk.kube.client import KubeClient
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(group: str) -> dict[str, object]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [
                {"name": "v1beta1", "served": True, "storage": False, "schema": schema, "subresources": {"status": {}}},
                {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}},
            ],
        },
    }


@contextmanager
def created(kube: Kube, collection: str, body: dict[str, object], name: str) -> Iterator[None]:
    kube.create(collection, body)
    try:
        yield
    finally:
        kube.delete(f"{collection}/{name}")


async def test_kinds_are_found_in_the_version_asked_for_or_the_preferred_one(client: KubeClient) -> None:
    discovery = Discovery(client)
    assert discovery.find("", "ConfigMap", "v1") is None
    await discovery.refresh()
    assert discovery.find("", "ConfigMap", "v1") == Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
    deployment = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
    assert discovery.find("apps", "Deployment", "v1") == deployment
    assert discovery.find("apps", "Deployment", "v1beta1") == deployment
    assert discovery.kinds["apps", "Deployment"] == deployment
    role = discovery.kinds["rbac.authorization.k8s.io", "ClusterRole"]
    assert not role.namespaced
    assert {"get", "list", "watch", "patch", "delete"} <= discovery.verbs(deployment)
    review = discovery.kinds["authorization.k8s.io", "SelfSubjectAccessReview"]
    assert discovery.verbs(review) == {"create"}
    assert not [kind for kind in discovery.kinds.values() if "/" in kind.plural]
    assert ("autoscaling", "Scale") not in discovery.kinds
    assert discovery.find("no.such.group", "Thing", "v1") is None
    assert discovery.verbs(Kind("no.such.group", "v1", "Thing", "things", namespaced=True)) == frozenset()


async def test_a_server_of_before_aggregated_discovery_tells_the_same(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = Discovery(client), Discovery(client)
    await new.refresh()
    monkeypatch.setattr(discovery_module, "_AGGREGATED", "application/json")
    await old.refresh()
    assert dict(old.kinds) == dict(new.kinds)
    assert [old.verbs(kind) for kind in old.kinds.values()] == [new.verbs(kind) for kind in old.kinds.values()]
    assert old.stale == new.stale


async def test_a_kind_is_found_once_its_crd_is_served_and_forgotten_with_it(client: KubeClient, kube: Kube) -> None:
    group = f"g{secrets.token_hex(4)}.example.com"
    discovery = Discovery(client)
    await discovery.refresh()
    assert discovery.find(group, "Widget", "v1") is None

    async def found() -> Kind | None:
        await discovery.refresh()
        return discovery.find(group, "Widget", "v1beta1")

    with created(kube, CRDS, crd(group), f"widgets.{group}"):
        beta = await eventually(found, what="the kind is discovered")
        assert beta == Kind(group, "v1beta1", "Widget", "widgets", namespaced=True)
        assert discovery.kinds[group, "Widget"].version == "v1"
        assert "patch" in discovery.verbs(beta)

    async def forgotten() -> bool:
        return await found() is None

    await eventually(forgotten, what="the kind is forgotten")


@pytest.mark.parametrize("old", [False, True], ids=["aggregated", "classic"])
async def test_a_group_whose_own_server_is_down_is_named_and_the_rest_goes_on(
    client: KubeClient, kube: Kube, monkeypatch: pytest.MonkeyPatch, *, old: bool
) -> None:
    if old:
        monkeypatch.setattr(discovery_module, "_AGGREGATED", "application/json")
    group = f"g{secrets.token_hex(4)}.example.com"
    name = f"v1.{group}"
    body: dict[str, object] = {
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "version": "v1",
            "service": {"name": "nobody", "namespace": "default"},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    discovery = Discovery(client)

    async def stale() -> bool:
        await discovery.refresh()
        return f"{group}/v1" in discovery.stale

    with created(kube, "/apis/apiregistration.k8s.io/v1/apiservices", body, name):
        await eventually(stale, what="the group is named as stale")
        assert ("apps", "Deployment") in discovery.kinds

    async def whole() -> bool:
        return not await stale()

    await eventually(whole, what="the group is gone")
