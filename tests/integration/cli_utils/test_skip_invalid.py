from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.synced import DEPENDS_ON, MUTATION, WAVE, config_map, core, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster

pytestmark = pytest.mark.cluster


async def test_invalid_objects_are_refused_each_with_its_reason_and_the_others_applied(
    control_plane: Cluster, namespace: str
) -> None:
    def depends(name: str, other: str) -> dict[str, object]:
        return config_map(name, annotations={DEPENDS_ON: other})

    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        await project.push(config_map("left-git"))
        await project.push(
            depends("malformed", "no/such/path/at/all/there"),
            depends("itself", core(namespace, "ConfigMap", "itself")),
            depends("nowhere", core(namespace, "ConfigMap", "not-there")),
            depends("a", core(namespace, "ConfigMap", "b")),
            depends("b", core(namespace, "ConfigMap", "a")),
            depends("of-a", core(namespace, "ConfigMap", "a")),
            config_map("odd-wave", annotations={WAVE: "first"}),
            config_map("odd-mutation", annotations={MUTATION: "- nothing"}),
            config_map("valid"),
        )
        assert {name: project.reason(name) for name in project.outcomes if name != "valid"} == {
            "malformed": "InvalidDependency",
            "itself": "InvalidDependency",
            "nowhere": "DependencyNotFound",
            "a": "DependencyCycle",
            "b": "DependencyCycle",
            "of-a": "DependencyFailed",
            "odd-wave": "InvalidWave",
            "odd-mutation": "InvalidMutation",
            "left-git": "PruneWaits",
        }
        assert project.done == ["valid"]
        one, other = f"{namespace}/configmap/a", f"{namespace}/configmap/b"
        assert f"{one} → {other} → {one}" in project.message("a")
        assert f"{namespace}/configmap/not-there" in project.message("nowhere")
