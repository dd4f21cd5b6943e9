from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_revision_that_contradicts_itself_is_left_at_once_and_nothing_of_it_is_applied(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        await project.push(config_map("before"))
        result = await project.push(config_map("twice", a="1"), config_map("new"), config_map("twice", a="2"))
        assert result.blocked is not None
        assert result.blocked.reason == "DuplicateObject"
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/new") is None
        assert await project.inventory() == {"before"}
