"""Health by the configuration's own expressions, of custom resources and of a built-in kind, on the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.synced import Gates
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


def health(agent: DrivenAgent, name: str) -> tuple[str, str]:
    one = agent.outcome(name)
    return (wire.Health.Name(one.health).removeprefix("HEALTH_"), one.message) if one else ("", "")


@pytest.fixture
def gates(kube: Kube) -> Iterator[Gates]:
    kind = Gates(kube)
    yield kind
    kube.delete(kind.definition_path)


async def becomes(agent: DrivenAgent, name: str, status: str, message: str = "") -> None:
    def seen() -> bool:
        now = health(agent, name)
        return now[0] == status and message in now[1]

    await eventually(seen, what=f"{name} is {status} {message}, not {health(agent, name)}")


async def test_custom_resources_are_current_and_failed_as_the_rule_says(
    agent: DrivenAgent, gates: Gates, kube: Kube
) -> None:
    def status(**fields: Any) -> None:  # noqa: ANN401 - JSON
        kube.patch(f"{gates.path(agent.namespace, 'a')}/status", {"status": fields})

    rule = wire.HealthRule(
        group=gates.group,
        kind="Gate",
        current='self.status.phase == "Open" && self.status.doors == self.spec.doors',
        failed='has(self.status.phase) && self.status.phase == "Broken"',
    )
    agent.configure(health=[rule])
    sync_id = agent.offer(gates.definition, gates.gate("a", doors=2))
    await agent.reached(sync_id, "applied", reason="Progressing")
    await becomes(agent, "a", "IN_PROGRESS", 'not yet: self.status.phase == "Open"')
    await becomes(agent, "a", "IN_PROGRESS", 'Key not found in map : "phase"')

    # Its condition Ready is of no account: the rule has taken the place of the built-in one.
    gates.open(agent.namespace, "a")
    status(phase="Open", doors=1)
    await becomes(agent, "a", "IN_PROGRESS", "not yet")
    status(doors=2)
    await agent.reached(sync_id, "healthy")
    status(phase="Broken")
    told = await agent.reached(sync_id, "failed", reason="Unhealthy")
    assert "has failed by the configuration's rule" in told.message

    agent.configure()
    await agent.reached(sync_id, "healthy")


async def test_a_rule_for_a_built_in_kind_takes_the_place_of_the_built_in_one_and_may_come_and_go(
    agent: DrivenAgent, kube: Kube
) -> None:
    agent.configure()
    sync_id = agent.offer(agent.config_map("a"))
    await agent.reached(sync_id, "healthy")

    agent.configure(health=[wire.HealthRule(kind="ConfigMap", current="has(self.data.ready)")])
    await agent.reached(sync_id, "applied", reason="Progressing")
    await becomes(agent, "a", "IN_PROGRESS", "not yet: has(self.data.ready)")
    kube.patch(f"/api/v1/namespaces/{agent.namespace}/configmaps/a", {"data": {"ready": "yes"}})
    await agent.reached(sync_id, "healthy")

    agent.configure(health=[wire.HealthRule(kind="ConfigMap", current="self.data.value > 1")])
    await agent.reached(sync_id, "applied", reason="Progressing")
    await becomes(agent, "a", "UNKNOWN", "No matching overloads")
    agent.configure()
    await agent.reached(sync_id, "healthy")
