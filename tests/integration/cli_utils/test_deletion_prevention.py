from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("cli-utils.sigs.k8s.io/on-remove", "keep"), ("client.lifecycle.config.k8s.io/deletion", "detach")],
)
async def test_an_object_that_is_to_stay_is_let_go_and_another_project_may_have_it(
    control_plane: Cluster, kube: Kube, namespace: str, annotation: str, value: str
) -> None:
    name = f"prevented-{value}"
    async with syncing(control_plane.kubeconfig, namespace, projects=2) as (first, second):
        await first.push(config_map(name, annotations={annotation: value}), config_map(f"rest-{value}"))
        await second.push(config_map(name))
        assert second.reason(name) == "OwnedByAnotherInventory"

        await first.push(config_map(f"rest-{value}"))
        assert (first.results[name], first.reason(name)) == ("skipped", "Released")
        assert await first.inventory() == {f"rest-{value}"}
        stored = kube.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        assert "labels" not in stored["metadata"]
        assert stored["metadata"]["annotations"] == {annotation: value}
        assert stored["data"] == {"a": "1"}

        second.configure(inventory_policy="adopt_if_no_inventory")
        await second.push(config_map(name, a="2"))
        assert second.results[name] == "configured"
