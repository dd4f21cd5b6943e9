from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentk.health.model import Status
from tests.support.synced import WAVE, Gates, config_map, syncing

if TYPE_CHECKING:
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


async def test_a_wave_begins_when_the_one_before_is_healthy_and_goes_first_when_it_is_deleted(
    control_plane: Cluster, namespace: str, gates: Gates
) -> None:
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        third = config_map("third", annotations={WAVE: "2"})
        second = config_map("second", annotations={"argocd.argoproj.io/sync-wave": "1"})
        first = (gates.gate("wave-0"), config_map("beside-wave"))
        running = group.create_task(project.push(third, second, *first))
        await project.waits()
        assert set(project.results) == {"wave-0", "beside-wave"}
        gates.open(namespace, "wave-0")
        assert not (await running).failed
        assert project.done[2:] == ["second", "third"]
        await project.push(config_map("beside-wave"))
        assert project.done == ["third", "second", "wave-0"]


async def test_an_unhealthy_wave_holds_the_next_and_lets_drift_of_it_be_put_back(
    control_plane: Cluster, kube: Kube, namespace: str, gates: Gates
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/upper"
    async with syncing(control_plane.kubeconfig, namespace) as (project,), asyncio.TaskGroup() as group:
        upper = config_map("upper", annotations={WAVE: "1"})
        running = group.create_task(project.push(gates.gate("lower"), upper))
        await project.waits()
        gates.open(namespace, "lower")
        await running

        gates.fail(namespace, "lower")
        await project.sees("lower", Status.FAILED)
        changed = config_map("upper", annotations={WAVE: "1"}, a="2")
        result = await project.push(gates.gate("lower"), changed)
        assert project.reason("upper") == "DependencyFailed"
        assert "the hinge is broken" in result.failed[0].message

        kube.delete(path)
        await project.misses("upper")
        await project.push(gates.gate("lower"), upper)
        assert project.results == {"lower": "unchanged", "upper": "created"}
