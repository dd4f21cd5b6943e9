from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.synced import DEPENDS_ON, config_map, core, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_an_object_that_does_not_end_is_named_with_its_finalizers_and_the_rest_goes_on(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        project.configure(prune_timeout=1.0)
        needed = config_map("needed-by-held")
        held = config_map("held", annotations={DEPENDS_ON: core(namespace, "ConfigMap", "needed-by-held")})
        held["metadata"]["finalizers"] = ["example.com/never-ends"]
        await project.push(config_map("remains"), needed, held, config_map("goes"))
        path = f"/api/v1/namespaces/{namespace}/configmaps/held"
        try:
            result = await project.push(config_map("remains"))
            assert project.results == {
                "remains": "unchanged",
                "held": "failed",
                "needed-by-held": "skipped",
                "goes": "pruned",
            }
            assert [outcome.ref.name for outcome in result.failed] == ["held", "needed-by-held"]
            assert project.reason("held") == "PruneTimeout"
            assert "metadata.finalizers example.com/never-ends" in project.message("held")
            assert "configmap/held" in project.message("needed-by-held")
            assert await project.inventory() == {"remains", "held", "needed-by-held"}
        finally:
            kube.patch(path, {"metadata": {"finalizers": None}})
        await project.push(config_map("remains"))
        assert project.results["needed-by-held"] == "pruned"
        assert await project.inventory() == {"remains"}


async def test_something_newer_ends_the_wait_for_an_object_to_end(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    held = config_map("held-longer")
    held["metadata"]["finalizers"] = ["example.com/never-ends"]
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        await project.push(config_map("remains-too"), held)
        running = group.create_task(project.push(config_map("remains-too")))
        await project.waits()
        project.sync.interrupt()
        assert (await running).superseded
        assert project.reason("held-longer") == "Superseded"
        running = group.create_task(project.push(config_map("remains-too")))
        await project.waits()
        kube.patch(f"/api/v1/namespaces/{namespace}/configmaps/held-longer", {"metadata": {"finalizers": None}})
        assert not (await running).failed
        assert project.results["held-longer"] == "pruned"
