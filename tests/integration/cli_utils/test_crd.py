from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import Gates, config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_crd_comes_before_its_resources_and_goes_after_them(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    kind = Gates(kube)
    name = f"gates.{kind.group}"
    try:
        async with syncing(control_plane.kubeconfig, namespace) as (project,):
            await project.push(kind.gate("resource"), config_map("beside-crd"), kind.definition)
            assert set(project.results.values()) == {"created"}
            assert project.done[0] == name
            assert project.done[-1] == "resource"

            await project.push(config_map("beside-crd"), kind.gate("resource"))
            assert project.reason(name) == "KindInUse"
            assert "gate" in project.message(name)

            await project.push(config_map("beside-crd"))
            assert project.done == ["resource", name]
            assert kube.find(kind.definition_path) is None
            assert await project.inventory() == {"beside-crd"}
    finally:
        kube.delete(kind.definition_path)
