from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import Gates, config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_an_object_that_cannot_be_looked_at_is_neither_pruned_nor_forgotten(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    kind = Gates(kube)
    async with syncing(control_plane.kubeconfig, namespace, projects=2) as (project, other):
        await other.push(kind.definition, kind.gate("theirs"))
        await project.push(kind.gate("unseen"), config_map("seen"), config_map("leaves"))
        kube.delete(kind.definition_path)
        await project.served_no_more(kind.group, "Gate")
        await project.push(config_map("seen"))
        assert project.results["leaves"] == "pruned"
        assert project.reason("unseen") == "UnknownKind"
        assert await project.inventory() == {"seen", "unseen"}
