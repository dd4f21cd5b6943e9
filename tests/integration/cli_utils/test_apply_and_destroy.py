from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_everything_is_applied_once_and_destroyed_when_it_leaves_git(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        objects = [config_map(f"applied-{i}") for i in range(5)]
        await project.push(*objects, config_map("last"))
        assert set(project.results.values()) == {"created"}
        assert len(await project.inventory()) == 6
        await project.push(config_map("last"))
        assert sorted(project.done) == [f"applied-{i}" for i in range(5)]
        assert await project.inventory() == {"last"}
        left = kube.get(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector=project.label)["items"]
        assert [one["metadata"]["name"] for one in left] == ["last"]
