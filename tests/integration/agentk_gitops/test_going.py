"""An object that is being deleted is not healthy, be it of a kind that has no health but to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.driven_agent import DrivenAgent, driven_agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

HELD = ["example.com/held"]


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


async def test_it_is_told_and_the_project_is_healthy_again_once_it_is_made_anew(agent: DrivenAgent, kube: Kube) -> None:
    held = agent.config_map("held")
    held["metadata"]["finalizers"] = HELD
    agent.configure()
    first = agent.offer(held, agent.config_map("beside"))
    await agent.reached(first, "healthy")
    path = f"/api/v1/namespaces/{agent.namespace}/configmaps/held"
    kube.delete(path)
    told = await agent.reached(first, "applied", reason="Progressing")
    assert f"{agent.namespace}/configmap/held: is being deleted" in told.message
    # A revision that is applied meanwhile is no more than applied.
    second = agent.offer(held, agent.config_map("beside", "2"))
    await agent.reached(second, "applied", reason="Progressing")

    kube.patch(path, {"metadata": {"finalizers": None}})
    await agent.reached(second, "healthy")
    kube.patch(path, {"metadata": {"finalizers": None}})
