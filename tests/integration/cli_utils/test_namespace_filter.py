from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, namespace_of, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_namespace_in_which_something_stays_is_not_pruned(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    home = f"{namespace}-filter"
    detached = config_map("detached", namespace=home, annotations={"cli-utils.sigs.k8s.io/on-remove": "keep"})
    inside, beside = config_map("kept-in-git", namespace=home), config_map("beside-it")
    try:
        async with syncing(control_plane.kubeconfig, namespace) as (project,):
            await project.push(inside, namespace_of(home), detached, beside)
            assert project.done[0] == home

            await project.push(inside, beside, detached)
            assert project.reason(home) == "NamespaceInUse"
            assert "kept-in-git" in project.message(home)

            await project.push(beside)
            assert project.results == {
                "beside-it": "unchanged",
                "kept-in-git": "pruned",
                "detached": "skipped",
                home: "skipped",
            }
            assert project.reason(home) == "NamespaceInUse"
            assert kube.get(f"/api/v1/namespaces/{home}/configmaps/detached")["data"] == {"a": "1"}
    finally:
        kube.delete(f"/api/v1/namespaces/{home}")


async def test_the_namespace_of_the_inventory_itself_is_never_pruned(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    home = f"{namespace}-home"
    try:
        async with syncing(control_plane.kubeconfig, home) as (project,):
            await project.push(namespace_of(home), config_map("elsewhere", namespace=namespace))
            await project.push(config_map("elsewhere", namespace=namespace))
            assert project.reason(home) == "Protected"
            assert await project.inventory() == {home, "elsewhere"}
    finally:
        kube.delete(f"/api/v1/namespaces/{home}")
