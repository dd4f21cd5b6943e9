from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import DEPENDS_ON, config_map, core, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_dependency_stays_while_a_dependent_does_and_so_does_what_it_needs_itself(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        base = config_map("base")
        middle = config_map("middle", annotations={DEPENDS_ON: core(namespace, "ConfigMap", "base")})
        top = config_map("top", annotations={DEPENDS_ON: core(namespace, "ConfigMap", "middle")})
        await project.push(top, middle, base)
        assert project.done == ["base", "middle", "top"]

        result = await project.push(top)
        assert not result.failed
        assert project.reason("middle") == project.reason("base") == "DependedOn"
        assert "configmap/top" in project.message("middle")
        assert await project.inventory() == {"base", "middle", "top"}
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/base")

        await project.push(config_map("top"))
        assert project.done == ["top", "middle", "base"]
