"""What the loop of a project goes on doing while a sync of it waits; cli-utils has no loop, and nothing of the kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentk.apply.waiting import Patience
from agentk.gitops.driving import Driving
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.synced import DEPENDS_ON, Gates, config_map
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from agentlink.refs import ObjectRef
    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


def data(kube: Kube, agent: DrivenAgent, name: str) -> dict[str, str] | None:
    found = kube.find(f"/api/v1/namespaces/{agent.namespace}/configmaps/{name}")
    return found["data"] if found else None


async def test_drift_is_put_back_while_the_sync_waits_and_the_wait_goes_on(
    agent: DrivenAgent, kube: Kube, gates: Gates
) -> None:
    agent.configure(prune_propagation_policy=wire.PROPAGATION_POLICY_BACKGROUND)
    beside = agent.config_map("beside")
    await agent.reached(agent.offer(beside), "healthy")
    named = {DEPENDS_ON: gates.ref(agent.namespace, "shut")}
    waiting = config_map("waiting", annotations=named)
    sync_id = agent.offer(beside, gates.gate("shut"), waiting)
    await eventually(lambda: kube.find(gates.path(agent.namespace, "shut")), what="the dependency is applied")

    path = f"/api/v1/namespaces/{agent.namespace}/configmaps/beside"
    for number in range(2):
        kube.patch(path, {"data": {"value": f"by hand {number}"}})
        await eventually(lambda: data(kube, agent, "beside") == {"value": "1"}, what="drift is put back")
    assert data(kube, agent, "waiting") is None

    gates.open(agent.namespace, "shut")
    await agent.reached(sync_id, "healthy")
    assert data(kube, agent, "waiting") == {"a": "1"}


async def test_drift_that_comes_just_before_a_sync_waits_is_put_back_too(
    agent: DrivenAgent, kube: Kube, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_to_wait, seen, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    wait, notice = Patience.wait, Driving.notice

    async def wait_later(patience: Patience, ref: ObjectRef, awaited: Awaitable[object], seconds: float) -> object:
        about_to_wait.set()
        await go_on.wait()
        return await wait(patience, ref, awaited, seconds)

    def noticed(driving: Driving, ref: ObjectRef) -> bool:
        makes_way = notice(driving, ref)
        if about_to_wait.is_set() and ref.name == "beside":
            seen.set()
        return makes_way

    agent.configure(prune_propagation_policy=wire.PROPAGATION_POLICY_BACKGROUND)
    beside = agent.config_map("beside")
    await agent.reached(agent.offer(beside), "healthy")
    monkeypatch.setattr(Patience, "wait", wait_later)
    monkeypatch.setattr(Driving, "notice", noticed)
    named = {DEPENDS_ON: gates.ref(agent.namespace, "shut")}
    sync_id = agent.offer(beside, gates.gate("shut"), config_map("waiting", annotations=named))
    async with asyncio.timeout(30):
        await about_to_wait.wait()
        kube.patch(f"/api/v1/namespaces/{agent.namespace}/configmaps/beside", {"data": {"value": "by hand"}})
        await seen.wait()
    go_on.set()
    await eventually(lambda: data(kube, agent, "beside") == {"value": "1"}, what="drift is put back", within=20)
    gates.open(agent.namespace, "shut")
    await agent.reached(sync_id, "healthy")


async def test_a_newer_revision_does_not_wait_for_what_the_older_one_waits_for(
    agent: DrivenAgent, kube: Kube, gates: Gates
) -> None:
    agent.configure(prune_propagation_policy=wire.PROPAGATION_POLICY_BACKGROUND)
    named = {DEPENDS_ON: gates.ref(agent.namespace, "never")}
    agent.offer(gates.gate("never"), config_map("blocked", annotations=named))
    await eventually(lambda: kube.find(gates.path(agent.namespace, "never")), what="the dependency is applied")
    newer = agent.offer(config_map("blocked", a="2"))
    await agent.reached(newer, "healthy")
    assert data(kube, agent, "blocked") == {"a": "2"}
    assert kube.find(gates.path(agent.namespace, "never")) is None


async def test_a_dependency_that_failed_fails_the_sync_until_it_is_well(
    agent: DrivenAgent, kube: Kube, gates: Gates
) -> None:
    agent.configure(prune_propagation_policy=wire.PROPAGATION_POLICY_BACKGROUND)
    named = {DEPENDS_ON: gates.ref(agent.namespace, "broken")}
    sync_id = agent.offer(gates.gate("broken"), config_map("mended", annotations=named))
    await eventually(lambda: kube.find(gates.path(agent.namespace, "broken")), what="the dependency is applied")
    gates.fail(agent.namespace, "broken")
    told = await agent.reached(sync_id, "failed", reason="DependencyFailed")
    assert "the hinge is broken" in told.message
    gates.open(agent.namespace, "broken")
    await agent.reached(sync_id, "healthy")
    assert data(kube, agent, "mended") == {"a": "1"}
