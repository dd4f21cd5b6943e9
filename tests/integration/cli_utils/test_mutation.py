from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.synced import MUTATION, Gates, config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


def mutation(kind: str, name: str, source: str, target: str = "$.data.value", *, token: str = "") -> dict[str, str]:
    lines = [f"- sourceRef: {{kind: {kind}, name: {name}, apiVersion: v1}}", f"  sourcePath: {source}"]
    lines += [f"  targetPath: {target}", *([f"  token: '{token}'"] if token else [])]
    return {MUTATION: "\n".join(lines)}


async def test_a_field_is_filled_from_another_object_and_follows_it(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        source = config_map("source", port="8080")
        filled = mutation("ConfigMap", "source", "$.data.port", token="${port}")
        target = config_map("target", annotations=filled, value="http://web:${port}/")
        await project.push(target, source)
        assert project.done == ["source", "target"]
        assert kube.get(f"{path}/target")["data"] == {"value": "http://web:8080/"}

        before = kube.get(f"{path}/target")["metadata"]["resourceVersion"]
        await project.push(target, source)
        assert project.results == {"source": "unchanged", "target": "unchanged"}
        assert kube.get(f"{path}/target")["metadata"]["resourceVersion"] == before
        # The outcome of a request holds the digest of what was sent.
        assert project.outcomes["target"].digest == ""

        await project.push(target, config_map("source", port="9090"))
        assert project.results == {"source": "configured", "target": "configured"}
        assert kube.get(f"{path}/target")["data"] == {"value": "http://web:9090/"}


async def test_a_status_is_taken_once_its_object_is_healthy(
    control_plane: Cluster, kube: Kube, namespace: str, gates: Gates
) -> None:
    filled = mutation("Gate", "told", "$.status.address").copy()
    filled[MUTATION] = filled[MUTATION].replace("apiVersion: v1", f"group: {gates.group}")
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        target = config_map("of-status", annotations=filled, value="unknown")
        running = group.create_task(project.push(target, gates.gate("told")))
        await project.waits()
        gates.open(namespace, "told", address="10.0.0.7")
        assert not (await running).failed
        assert kube.get(f"/api/v1/namespaces/{namespace}/configmaps/of-status")["data"] == {"value": "10.0.0.7"}


async def test_what_cannot_be_filled_names_source_and_path_and_no_value_of_a_secret(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    value = "aGVhcnR5LWJyZWFkZmFzdA=="
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": {"key": value}}
    kube.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        result = await project.push(
            config_map("no-path", annotations=mutation("Secret", "keys", "$.data.other")),
            config_map("no-source", annotations=mutation("Secret", "never", "$.data.key")),
            config_map("refused", annotations=mutation("Secret", "keys", "$.data.key", "$.metadata.labels.key")),
            config_map("works", annotations=mutation("Secret", "keys", "$.data.key"), value="x"),
        )
        assert project.results == {
            "no-path": "failed",
            "no-source": "failed",
            "refused": "failed",
            "works": "created",
        }
        assert "secret/keys" in project.message("no-path")
        assert "$.data.other" in project.message("no-path")
        assert project.reason("no-source") == "DependencyNotFound"
        assert value not in repr(result)
        assert kube.get(f"/api/v1/namespaces/{namespace}/configmaps/works")["data"] == {"value": value}
