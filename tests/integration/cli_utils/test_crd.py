from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentk.kube.objects import Objects
from tests.support.synced import Gates, config_map, syncing

if TYPE_CHECKING:
    from agentk.apply.model import Kind
    from agentlink.refs import ObjectRef
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


def _hand_made(gates: Gates) -> dict[str, Any]:
    """The definition, with a plural that no rule gives."""
    definition = gates.definition
    definition["metadata"]["name"] = f"gatery.{gates.group}"
    definition["spec"]["names"]["plural"] = "gatery"
    return definition


async def test_resources_of_a_hand_made_plural_are_forgotten_with_a_definition_that_others_deleted(
    control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    kind = Gates(kube)
    definition = _hand_made(kind)
    path = kind.definition_path.replace("gates", "gatery")
    try:
        async with syncing(control_plane.kubeconfig, namespace) as (project,):
            await project.push(definition, kind.gate("resource"), config_map("beside-plural"))
            kube.delete(path)
            await project.misses("resource")
            await project.served_no_more(kind.group, "Gate")
            await project.misses(f"gatery.{kind.group}")

            await project.push(config_map("beside-plural"))

            assert project.reason("resource") == "AlreadyGone"
            assert await project.inventory() == {"beside-plural"}
    finally:
        kube.delete(path)


async def test_resources_have_left_the_inventory_before_their_definition_is_deleted(
    control_plane: Cluster, kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Gates(kube)
    delete = Objects.delete
    held: list[set[str]] = []
    try:
        async with syncing(control_plane.kubeconfig, namespace) as (project,):

            async def noted(self: Objects, of: Kind, ref: ObjectRef, **options: Any) -> bool:  # noqa: ANN401 - passed on
                if of.kind == "CustomResourceDefinition":
                    held.append(await project.inventory())
                return await delete(self, of, ref, **options)

            monkeypatch.setattr(Objects, "delete", noted)
            await project.push(kind.definition, kind.gate("resource"), config_map("beside-books"))
            await project.push(config_map("beside-books"))

            assert held == [{f"gates.{kind.group}", "beside-books"}]
            assert await project.inventory() == {"beside-books"}
    finally:
        kube.delete(kind.definition_path)
