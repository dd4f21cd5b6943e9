from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import pytest

from agentk.apply.model import Kind
from agentk.kube.client import KubeClient
from agentk.kube.retry import RetryPolicy
from agentk.kube.watch import Gone, Interrupted, Synced, Unserved, Upsert, Watch, WatchEvent
from agentlink.refs import ObjectRef
from tests.support.kube import Kube

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.controlplane.server import ControlPlane

pytestmark = pytest.mark.cluster

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WITHIN = 30.0
"""Seconds; far more than anything here takes."""

Event = TypeVar("Event", bound="WatchEvent")


async def until(
    events: AsyncGenerator[WatchEvent, None], kind: type[Event], match: Callable[[Event], bool] = lambda _: True
) -> tuple[Event, list[WatchEvent]]:
    """Return the first event of that kind that matches, and those before it."""
    before: list[WatchEvent] = []
    async with asyncio.timeout(WITHIN):
        async for event in events:
            if isinstance(event, kind) and match(event):
                return event, before
            before.append(event)
    raise AssertionError(f"the watch ended after {before}")


def config_map(name: str, label: str = "yes", **data: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": {"watched": label}}, "data": data}


def collection(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def cm(namespace: str, name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", namespace, name)


@pytest.fixture
def label(kube: Kube, namespace: str) -> str:
    """A label value of this test alone, with one object that has it."""
    value = secrets.token_hex(4)
    kube.create(collection(namespace), config_map(f"first-{value}", value))
    return value


async def test_a_watch_lists_and_then_tells_each_change(
    client: KubeClient, kube: Kube, namespace: str, label: str
) -> None:
    path = collection(namespace)
    first, second = f"first-{label}", f"second-{label}"
    watch = Watch(client, CONFIG_MAP, selector=f"watched={label}")
    async with aclosing(watch.events()) as events:
        synced, before = await until(events, Synced)
        assert synced.refs == {cm(namespace, first)}
        assert [event.live.ref for event in before if isinstance(event, Upsert)] == [cm(namespace, first)]

        kube.create(path, config_map(second, label, a="1"))
        added, _ = await until(events, Upsert)
        assert (added.live.ref, added.raw) == (cm(namespace, second), None)
        kube.patch(f"{path}/{second}", {"data": {"a": "2"}})
        changed, _ = await until(events, Upsert)
        assert changed.live.resource_version != added.live.resource_version
        assert watch.resource_version == changed.live.resource_version

        kube.patch(f"{path}/{first}", {"metadata": {"labels": {"watched": "no"}}})
        assert (await until(events, Gone))[0].ref == cm(namespace, first)
        kube.delete(f"{path}/{second}")
        assert (await until(events, Gone))[0].ref == cm(namespace, second)


async def test_whole_objects_come_when_asked_for(client: KubeClient, kube: Kube, namespace: str, label: str) -> None:
    watch = Watch(client, CONFIG_MAP, namespace=namespace, selector=f"watched={label}", full=True)
    async with aclosing(watch.events()) as events:
        listed, _ = await until(events, Upsert)
        await until(events, Synced)
        kube.create(collection(namespace), config_map(f"whole-{label}", label, a="1"))
        watched, _ = await until(events, Upsert)
    assert listed.raw is not None
    assert watched.raw is not None
    assert (listed.raw["kind"], listed.raw["apiVersion"]) == (watched.raw["kind"], watched.raw["apiVersion"])
    assert watched.raw["data"] == {"a": "1"}


async def test_a_watch_can_start_where_a_list_of_others_ended(
    client: KubeClient, kube: Kube, namespace: str, label: str
) -> None:
    version = kube.get(collection(namespace))["metadata"]["resourceVersion"]
    kube.create(collection(namespace), config_map(f"later-{label}", label))
    watch = Watch(client, CONFIG_MAP, selector=f"watched={label}", resource_version=version)
    async with aclosing(watch.events()) as events:
        upsert, before = await until(events, Upsert)
    assert upsert.live.ref == cm(namespace, f"later-{label}")
    assert before == []


async def test_a_watch_whose_time_is_up_goes_on_without_a_gap(
    client: KubeClient, kube: Kube, namespace: str, label: str
) -> None:
    watch = Watch(client, CONFIG_MAP, selector=f"watched={label}", seconds=1)
    streams = 0
    original = client.stream

    def counted(*args: object, **named: object) -> object:
        nonlocal streams
        streams += 1
        if streams > 1:
            kube.create(collection(namespace), config_map(f"between-{streams}-{label}", label))
        return original(*args, **named)  # type: ignore[arg-type] # passes on whatever it is given

    client.stream = counted  # type: ignore[method-assign,assignment] # between two watches is where a gap would be
    async with aclosing(watch.events()) as events:
        await until(events, Synced)
        for number in (2, 3):
            between = cm(namespace, f"between-{number}-{label}")
            _, before = await until(events, Upsert, lambda event, ref=between: event.live.ref == ref)  # type: ignore[misc]
            assert not [event for event in before if isinstance(event, Interrupted)]


async def test_every_object_of_a_list_comes_before_it_is_synced(client: KubeClient, kube: Kube) -> None:
    watch = Watch(client, Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False))
    async with aclosing(watch.events()) as events:
        synced, before = await until(events, Synced)
    assert len(before) == len(synced.refs) == len(kube.get("/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"])


async def test_a_kind_that_is_no_longer_served_ends_the_watch(client: KubeClient, kube: Kube, namespace: str) -> None:
    group = f"g{secrets.token_hex(4)}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    widget = Kind(group, "v1", "Widget", "widgets", namespaced=True)
    kube.create(CRDS, definition)
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                watch = Watch(client, widget, retries=RetryPolicy(first=0.05, longest=0.2))
                async with aclosing(watch.events()) as events:
                    if not isinstance(await anext(events), Synced):
                        continue
                    kube.create(
                        f"/apis/{group}/v1/namespaces/{namespace}/widgets",
                        {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}},
                    )
                    await until(events, Upsert)
                    kube.delete(f"{CRDS}/widgets.{group}")
                    await until(events, Gone)
                    assert (await until(events, Unserved))[0].kind == widget
                    assert [event async for event in events] == []
                    break
    finally:
        kube.delete(f"{CRDS}/widgets.{group}")


async def test_a_watch_that_is_forbidden_says_so_and_keeps_trying(
    kubeconfig_of: Callable[[dict[str, object]], str], account_token: str, namespace: str
) -> None:
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"token": account_token})) as weak:
        watch = Watch(weak, CONFIG_MAP, namespace=namespace, retries=RetryPolicy(first=0.01, longest=0.01))
        async with aclosing(watch.events()) as events:
            for _ in range(3):
                interrupted, _ = await until(events, Interrupted)
                assert interrupted.error.status == 403
                assert "cannot list resource" in interrupted.error.message


async def test_a_watch_survives_the_api_server_and_misses_nothing(own_control_plane: ControlPlane) -> None:
    plane = own_control_plane
    path = collection("default")
    kube = Kube(plane.kubeconfig)
    kube.create(path, config_map("before"))
    retries = RetryPolicy(first=0.05, longest=0.5)
    async with await KubeClient.connect(kubeconfig=str(plane.kubeconfig)) as client:
        watch = Watch(client, CONFIG_MAP, selector="watched=yes", retries=retries)
        async with aclosing(watch.events()) as events:
            await until(events, Synced)
            old = watch.resource_version
            plane.stop_api_server()
            interrupted, _ = await until(events, Interrupted)
            assert interrupted.error.status == 0
            await asyncio.to_thread(plane.start_api_server)
            kube.create(path, config_map("after"))
            upsert, _ = await until(events, Upsert, lambda event: event.live.ref.name == "after")
            assert upsert.live.ref == cm("default", "after")

        # A server that has just started keeps no history from before: 410.
        kube.delete(f"{path}/before")
        plane.stop_api_server()
        await asyncio.to_thread(plane.start_api_server)
        query = {"watch": "true", "resourceVersion": old, "timeoutSeconds": "1"}
        async with client.stream("/api/v1/configmaps", params=query) as lines:
            answer = [line async for line in lines]
        assert b'"code":410' in answer[0]
        watch = Watch(client, CONFIG_MAP, selector="watched=yes", resource_version=old, retries=retries)
        async with aclosing(watch.events()) as events:
            synced, before = await until(events, Synced)
        assert {ref.name for ref in synced.refs} == {"after"}
        assert not [event for event in before if isinstance(event, Interrupted)]
    kube.close()
