"""A commit that changes nothing of what an agent selects: an answer for who waits for it, and no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentk.kube.client import KubeClient
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.waiting import eventually

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


async def test_it_is_healthy_at_once_and_the_api_server_is_not_asked(
    agent: DrivenAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.configure()
    first = agent.offer(agent.config_map("a"), agent.config_map("b"))
    await agent.reached(first, "healthy")
    asked: list[str] = []
    request = KubeClient.request

    async def noted(self: KubeClient, method: str, path: str, *args: object, **options: object) -> object:
        asked.append(f"{method} {path}")
        return await request(self, method, path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(KubeClient, "request", noted)
    for _ in range(3):
        same = agent.offer(agent.config_map("a"), agent.config_map("b"), like=1)
        told = await agent.reached(same, "healthy", reason="NotAffected")
        assert (told.counts.total, told.counts.unchanged) == (2, 2)
    assert [one for one in asked if "/leases/" not in one] == []

    changed = agent.offer(agent.config_map("a", "2"), agent.config_map("b"))
    counts = (await agent.reached(changed, "healthy")).counts
    assert (counts.configured, counts.unchanged) == (1, 1)


async def test_a_revision_after_one_that_failed_is_tried_whatever_it_changes(agent: DrivenAgent) -> None:
    agent.configure()
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not_A_Name"}, "data": {}}
    first = agent.offer(agent.config_map("a"), wrong)
    failed = agent.offer(agent.config_map("a"), wrong, like=1)

    def states(sync_id: str) -> set[int]:
        return {report.state for report in agent.syncs(sync_id)}

    await eventually(lambda: wire.SYNC_STATE_FAILED in states(failed), what="the second has failed by itself")
    assert wire.SYNC_STATE_HEALTHY not in states(first) | states(failed)
