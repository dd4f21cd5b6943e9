from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, namespace_of, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_failed_object_stops_what_depends_on_it_and_nothing_else(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        bad_home = f"Not-A-Name-{namespace}"
        inside = config_map("inside", namespace=bad_home)
        bad = config_map("Not_A_Name")
        result = await project.push(namespace_of(bad_home), inside, bad, config_map("good"))
        assert project.results == {
            bad_home: "failed",
            "inside": "skipped",
            "Not_A_Name": "failed",
            "good": "created",
        }
        assert project.reason("inside") == "DependencyFailed"
        assert f"namespace/{bad_home}" in project.message("inside")
        assert {outcome.ref.name for outcome in result.failed} == {bad_home, "Not_A_Name", "inside"}
        assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/good")


async def test_a_namespace_that_is_there_and_cannot_be_changed_stops_nothing(
    control_plane: Cluster, namespace: str
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        await project.push(namespace_of(namespace), config_map("inside-of-it"))
        assert project.reason(namespace) == "NotInInventory"
        assert project.results["inside-of-it"] == "created"
