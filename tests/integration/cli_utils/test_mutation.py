from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentk.apply.model import SecretTargets
from agentk.apply.names import OWNING_INVENTORY as OWNING
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
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "data": {"key": value},
    }
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        project.configure(mutation_from_secrets=SecretTargets.ANY)
        result = await project.push(
            secret,
            config_map("no-path", annotations=mutation("Secret", "keys", "$.data.other")),
            config_map("no-source", annotations=mutation("Secret", "never", "$.data.key")),
            config_map("refused", annotations=mutation("Secret", "keys", "$.data.key", "$.metadata.labels.key")),
            config_map("works", annotations=mutation("Secret", "keys", "$.data.key"), value="x"),
        )
        assert project.results == {
            "keys": "created",
            "no-path": "failed",
            "no-source": "failed",
            "refused": "failed",
            "works": "created",
        }
        assert "secret/keys" in project.message("no-path")
        assert "$.data.other" in project.message("no-path")
        assert project.reason("no-source") == "SourceRefused"
        assert value not in repr(result)
        works = f"/api/v1/namespaces/{namespace}/configmaps/works"
        assert kube.get(works)["data"] == {"value": value}

        # What was filled from a Secret says so for good, so that nothing of it is ever told.
        marked = {"agentk.io/from-secrets": "true"}
        assert marked.items() <= kube.get(works)["metadata"]["annotations"].items()
        await project.push(secret, config_map("works", value="1"))
        assert kube.get(works)["data"] == {"value": "1"}
        assert marked.items() <= kube.get(works)["metadata"]["annotations"].items()
        again = await project.push(secret, config_map("works", value="1"))
        assert again.untouched + list(project.results.values()).count("unchanged") == 2


async def test_a_source_that_became_somebody_elses_is_not_read_any_more(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        filled = mutation("ConfigMap", "lent", "$.data.port")
        manifests = (config_map("borrows", annotations=filled, value="x"), config_map("lent", port="8080"))
        assert not (await project.push(*manifests)).failed
        kube.patch(f"{path}/lent", {"metadata": {"annotations": {OWNING: "7-7"}}, "data": {"port": "hush"}})
        kube.patch(f"{path}/borrows", {"data": {"value": "drifted"}})
        await project.misses_owner("lent")
        await project.push(*manifests)
        assert project.results["lent"] == "failed"
        assert project.results["borrows"] in {"failed", "skipped"}
        assert kube.get(f"{path}/borrows")["data"] == {"value": "drifted"}
