"""A watch that begins only when a sync has ended must miss nothing of what happened meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from agentk.apply.model import Kind
from agentk.apply.names import AGENT_LABEL, OWNING_INVENTORY
from agentk.gitops.observer import Observer
from agentk.kube.client import KubeClient
from agentk.kube.objects import Objects
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentk.kube.errors import KubeError
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

AGENT, INVENTORY = 4711, "4711-1"
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)


class Project:
    """What the observer tells."""

    def __init__(self) -> None:
        self.seen: list[ObjectRef] = []

    def observed(self, ref: ObjectRef) -> None:
        self.seen.append(ref)

    def unreachable(self, error: KubeError) -> None:
        raise AssertionError(error)

    def resighted(self, kind: Kind) -> None:
        raise AssertionError(f"{kind} may be watched here")


@asynccontextmanager
async def observing(kube: KubeClient) -> AsyncIterator[tuple[Observer, Project]]:
    project = Project()
    async with asyncio.TaskGroup() as tasks:
        observer = Observer(kube, AGENT, tasks)
        observer.register(INVENTORY, project)
        yield observer, project
        observer.stop()


async def apply(objects: Objects, observer: Observer, namespace: str, name: str) -> ObjectRef:
    """Apply one object as a sync does."""
    ref = ObjectRef("", "ConfigMap", namespace, name)
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {AGENT_LABEL: str(AGENT)},
        "annotations": {OWNING_INVENTORY: INVENTORY},
    }
    body = orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": "1"}})
    observer.applied((await objects.apply(CONFIG_MAP, ref, body, force=False)).live)
    return ref


@pytest.mark.parametrize("count", [3, 130])
async def test_what_happens_during_a_sync_is_seen_when_it_ends(
    control_plane: Cluster, kube: Kube, namespace: str, count: int
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with (
        await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as client,
        observing(client) as (observer, project),
    ):
        objects = Objects(client)
        await observer.ensure({CONFIG_MAP: frozenset({namespace})})
        refs = [await apply(objects, observer, namespace, f"map-{count}-{number}") for number in range(count)]
        kube.delete(f"{path}/map-{count}-0")
        kube.patch(f"{path}/map-{count}-1", {"data": {"value": "by hand"}})
        before = observer.live[refs[1]]

        observer.begin()

        await eventually(lambda: refs[0] not in observer.live, what="the deletion is seen")
        await eventually(lambda: observer.live[refs[1]] != before, what="the change is seen")
        assert observer.live[refs[1]].fingerprint != before.fingerprint
        assert set(refs[1:]) <= set(observer.live)
        assert {refs[0], refs[1]} <= set(project.seen)
        kube.delete(f"{path}/map-{count}-2")
        await eventually(lambda: refs[2] not in observer.live, what="the watch goes on")


async def test_another_project_that_asks_for_the_kind_need_not_wait_for_the_end_of_a_sync(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with (
        await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as client,
        observing(client) as (observer, _),
    ):
        await observer.ensure({CONFIG_MAP: frozenset({namespace})})
        ref = await apply(Objects(client), observer, namespace, "other")

        await observer.ensure({CONFIG_MAP: frozenset({namespace})})
        kube.delete(f"/api/v1/namespaces/{namespace}/configmaps/other")

        await eventually(lambda: ref not in observer.live, what="the deletion is seen")


async def test_what_is_seen_before_its_answer_is_kept_under_the_name_that_the_project_has(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with (
        await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as client,
        observing(client) as (observer, _),
    ):
        ours = ObjectRef("", "ConfigMap", namespace, "ours")
        observer.share_names(INVENTORY, lambda ref: ours if ref == ours else ref)
        await observer.ensure({CONFIG_MAP: frozenset({namespace})})
        observer.begin()
        metadata = {"labels": {AGENT_LABEL: str(AGENT)}, "annotations": {OWNING_INVENTORY: INVENTORY}}
        for name in ("other", "ours"):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
            kube.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
        await eventually(lambda: ours in observer.live and ours._replace(name="other") in observer.live, what="both")
        assert next(ref for ref in observer.live if ref == ours) is ours
        observer.unregister(INVENTORY)
