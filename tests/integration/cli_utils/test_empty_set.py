from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_an_empty_revision_prunes_nothing_and_says_so(control_plane: Cluster, kube: Kube, namespace: str) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        await project.push(config_map("never-lost"))
        result = await project.push()
        assert not result.failed
        assert project.reason("never-lost") == "EmptySnapshot"
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/never-lost")
        assert await project.inventory() == {"never-lost"}
