from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_an_object_that_somebody_recreated_is_not_pruned(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        await project.push(config_map("stays"), config_map("theirs"))
        stored = kube.get(f"{path}/theirs")["metadata"]
        kube.delete(f"{path}/theirs")
        kept = {"labels": stored["labels"], "annotations": stored["annotations"]}
        anew = kube.create(path, {"metadata": {"name": "theirs", **kept}, "data": {"a": "theirs"}})
        await project.push(config_map("stays"))
        assert project.reason("theirs") == "Recreated"
        assert kube.get(f"{path}/theirs")["metadata"]["uid"] == anew["metadata"]["uid"]
        assert await project.inventory() == {"stays"}
