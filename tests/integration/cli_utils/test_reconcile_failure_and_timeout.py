from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.synced import DEPENDS_ON, Gates, config_map, core, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster

pytestmark = pytest.mark.cluster


async def test_a_dependency_that_fails_ends_the_wait_at_once_and_is_named(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        first = config_map("of-broken", annotations={DEPENDS_ON: gates.ref(namespace, "broken")})
        second = config_map("of-of-broken", annotations={DEPENDS_ON: core(namespace, "ConfigMap", "of-broken")})
        leaving = config_map("leaving")
        await project.push(leaving)
        running = group.create_task(project.push(gates.gate("broken"), first, second, config_map("by-itself")))
        await project.waits()
        gates.fail(namespace, "broken")
        result = await running
        assert project.results == {
            "broken": "created",
            "by-itself": "created",
            "of-broken": "skipped",
            "of-of-broken": "skipped",
            "leaving": "skipped",
        }
        assert project.reason("of-broken") == "DependencyFailed"
        assert "the hinge is broken" in project.message("of-broken")
        assert "configmap/of-broken" in project.message("of-of-broken")
        assert project.reason("leaving") == "PruneWaits"
        assert [outcome.ref.name for outcome in result.failed] == ["of-broken", "of-of-broken"]


async def test_a_dependency_that_takes_too_long_is_named_with_what_it_waits_for(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,):
        project.configure(reconcile_timeout=0.5)
        named = config_map("of-slow", annotations={DEPENDS_ON: gates.ref(namespace, "slow")})
        result = await project.push(gates.gate("slow"), named)
        assert [outcome.ref.name for outcome in result.failed] == ["of-slow"]
        assert project.reason("of-slow") == "DependencyTimeout"
        assert "not healthy after 0.5 s" in project.message("of-slow")
        assert "the gate is closed" in project.message("of-slow")
