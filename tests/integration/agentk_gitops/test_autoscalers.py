"""The cluster's autoscalers, as the projects learn of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from agentk.gitops.autoscalers import Autoscalers
from agentk.kube.client import KubeClient
from agentk.kube.discovery import Discovery
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


class Project:
    """What is told."""

    def __init__(self) -> None:
        self.told: list[ObjectRef] = []

    def scaled(self, ref: ObjectRef) -> None:
        self.told.append(ref)


@asynccontextmanager
async def knowing(kubeconfig: Path) -> AsyncIterator[tuple[Autoscalers, Project]]:
    async with await KubeClient.connect(kubeconfig=str(kubeconfig)) as client, asyncio.TaskGroup() as tasks:
        discovery, project = Discovery(client), Project()
        await discovery.refresh()
        autoscalers = Autoscalers(client, discovery, tasks)
        autoscalers.register(project)
        try:
            yield autoscalers, project
        finally:
            autoscalers.stop()


def path(namespace: str) -> str:
    return f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"


def autoscaler(name: str, target: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": reference, "maxReplicas": 3}}


async def test_what_is_scaled_is_known_at_once_and_told_when_it_changes(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    first, second = (ObjectRef("apps", "Deployment", namespace, name) for name in ("first", "second"))
    kube.create(path(namespace), autoscaler("moving", "first"))
    async with knowing(control_plane.kubeconfig) as (autoscalers, project):
        await autoscalers.ensure({namespace})
        assert autoscalers.by_target[first].name == "moving"

        kube.create(path(namespace), autoscaler("also", "first"))
        kube.patch(f"{path(namespace)}/moving", autoscaler("moving", "second"))
        await eventually(lambda: second in autoscalers.by_target, what="the move is told")
        assert autoscalers.by_target[first].name == "also"
        kube.delete(f"{path(namespace)}/also")
        await eventually(lambda: first not in autoscalers.by_target, what="the end is told")
        assert {first, second} <= set(project.told)
        kube.delete(f"{path(namespace)}/moving")


async def test_where_the_cluster_may_not_be_looked_at_the_namespaces_are_and_else_nothing_is_known(
    control_plane: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]}
    account = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    token = kube.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}},
    )["status"]["token"]
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    for user in document["users"]:
        user["user"] = {"token": token}
    narrow = tmp_path / "kubeconfig"
    narrow.write_bytes(orjson.dumps(document))
    kube.create(path(namespace), autoscaler("there", "web"))
    web = ObjectRef("apps", "Deployment", namespace, "web")

    async with knowing(narrow) as (autoscalers, _):
        await autoscalers.ensure({namespace})
        assert not autoscalers.by_target
    kube.create(f"{rbac}/roles", {"metadata": {"name": "looking"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looking"}
    binding = {"metadata": {"name": "looking"}, "roleRef": reference, "subjects": [account]}
    kube.create(f"{rbac}/rolebindings", binding)

    async def known() -> bool:
        async with knowing(narrow) as (autoscalers, _):
            await autoscalers.ensure({namespace})
            return web in autoscalers.by_target

    await eventually(known, what="the namespace is looked at")
    kube.delete(f"{path(namespace)}/there")
