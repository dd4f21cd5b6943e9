from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.synced import DEPENDS_ON, Gates, config_map, core, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_dependent_is_applied_when_its_dependency_is_healthy_and_the_rest_at_once(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        after = config_map("after", annotations={DEPENDS_ON: gates.ref(namespace, "first")})
        last = config_map("last", annotations={DEPENDS_ON: core(namespace, "ConfigMap", "after")})
        running = group.create_task(project.push(last, after, gates.gate("first"), config_map("beside")))
        await project.waits()
        assert project.results == {"first": "created", "beside": "created"}
        gates.open(namespace, "first")
        assert not (await running).failed
        assert project.done[2:] == ["after", "last"]

        again = await project.push(last, after, gates.gate("first"), config_map("beside"))
        assert not again.failed
        assert again.untouched + list(project.results.values()).count("unchanged") == 4

        await project.push(config_map("beside"))
        assert project.done == ["last", "after", "first"]
        assert await project.inventory() == {"beside"}


async def test_yesterdays_health_does_not_count_once_the_dependency_was_changed(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        named = {DEPENDS_ON: gates.ref(namespace, "again")}
        running = group.create_task(project.push(gates.gate("again"), config_map("waits", annotations=named)))
        await project.waits()
        gates.open(namespace, "again", observedGeneration=1)
        assert not (await running).failed

        changed = (gates.gate("again", size=2), config_map("waits", annotations=named, a="2"))
        running = group.create_task(project.push(*changed))
        await project.waits()
        assert project.results == {"again": "configured"}
        gates.open(namespace, "again", observedGeneration=2)
        assert not (await running).failed
        assert project.results == {"again": "configured", "waits": "configured"}


async def test_an_object_of_another_project_is_waited_for_too_and_stays_while_it_is_needed(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with (
        syncing(control_plane.kubeconfig, namespace, projects=2) as (platform, app),
        asyncio.TaskGroup() as group,
    ):
        named = config_map("app", annotations={DEPENDS_ON: gates.ref(namespace, "platform")})
        assert (await app.push(named)).failed
        assert app.reason("app") == "DependencyNotFound"
        assert "Gate" in app.message("app") or "gate" in app.message("app")

        await platform.push(gates.gate("platform"), config_map("more"))
        running = group.create_task(app.push(named))
        await app.waits()
        gates.open(namespace, "platform")
        assert not (await running).failed
        assert app.results == {"app": "created"}

        # As after a restart: what the other project holds is read from its inventory.
        app.sync.distrust()
        assert [ref.name for ref in (await app.sync.held()).recorded] == ["app"]
        await platform.push(config_map("more"))
        assert platform.reason("platform") == "DependedOn"
        assert "configmap/app" in platform.message("platform")
        await app.push(config_map("other"))
        await platform.push(config_map("more"))
        assert platform.results["platform"] == "pruned"


async def test_an_object_that_no_agent_applied_is_asked_for(
    control_plane: Cluster, kube: Kube, namespace: str, gates: Gates
) -> None:
    kube.create(gates.path(namespace, ""), gates.gate("foreign"))
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        named = config_map("of-foreign", annotations={DEPENDS_ON: gates.ref(namespace, "foreign")})
        running = group.create_task(project.push(named))
        await project.waits()
        gates.open(namespace, "foreign")
        assert not (await running).failed
        assert project.results == {"of-foreign": "created"}

        # That it has failed is told, and what it says of itself is not: it is nobody's here.
        kube.create(gates.path(namespace, ""), gates.gate("failing"))
        gates.fail(namespace, "failing")
        await project.push(
            named, config_map("after-failing", annotations={DEPENDS_ON: gates.ref(namespace, "failing")})
        )
        assert project.reason("after-failing") == "DependencyFailed"
        assert "has failed" in project.message("after-failing")
        assert "hinge" not in project.message("after-failing")


async def test_something_newer_ends_the_wait_at_once(control_plane: Cluster, namespace: str, gates: Gates) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        named = config_map("superseded", annotations={DEPENDS_ON: gates.ref(namespace, "shut")})
        running = group.create_task(project.push(gates.gate("shut"), named))
        await project.waits()
        project.sync.interrupt()
        result = await running
        assert result.superseded
        assert not result.failed
        assert project.results == {"shut": "created", "superseded": "skipped"}
        assert project.reason("superseded") == "Superseded"

        assert not (await project.push(gates.gate("shut"), config_map("superseded"))).failed
        assert project.results == {"shut": "unchanged", "superseded": "created"}
