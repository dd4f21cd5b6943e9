"""A small commit brings an object whose health takes time: only it is looked at, and it is waited for all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


async def test_a_revision_is_healthy_when_the_object_is_that_it_brought(agent: DrivenAgent, kube: Kube) -> None:
    def pod(name: str) -> dict[str, object]:
        # Left alone by the scheduler, which another test may have started.
        spec = {"containers": [{"name": "main", "image": "example.com/main:1"}], "schedulerName": "nobody"}
        metadata = {"name": name, "namespace": agent.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def succeed(name: str) -> None:
        kube.patch(f"/api/v1/namespaces/{agent.namespace}/pods/{name}/status", {"status": {"phase": "Succeeded"}})

    many = [agent.config_map(f"m{number:02}") for number in range(30)]
    agent.configure()
    first = agent.offer(*many, pod("before"))
    await agent.reached(first, "applied", reason="Progressing")
    succeed("before")
    await agent.reached(first, "healthy")

    second = agent.offer(*many, pod("before"), pod("new"))
    waits = await agent.reached(second, "applied", reason="Progressing")
    assert (waits.counts.created, waits.counts.unchanged) == (1, 31)
    assert "pod/new" in waits.message
    assert "pod/before" not in waits.message
    assert wire.SYNC_STATE_HEALTHY not in {sync.state for sync in agent.syncs(second)}
    succeed("new")
    await agent.reached(second, "healthy")
