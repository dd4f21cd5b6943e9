"""A kind that the cluster ceases, or begins, to serve is noticed with nothing new in Git; with the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentk.gitops import retry
from agentk.kube.client import KubeClient
from agentk.kube.errors import KubeError
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.driven_agent import DrivenAgent, driven_agent
from tests.support.kube import ApiError
from tests.support.synced import Gates
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NEVER = 3600.0


@pytest.fixture
async def agent(control_plane: Cluster, kube: Kube, tmp_path: Path) -> AsyncIterator[DrivenAgent]:
    async with driven_agent(control_plane, kube, tmp_path) as driven:
        yield driven


@pytest.fixture
def gates(kube: Kube) -> Iterator[Gates]:
    """A kind of custom resource that is not served yet."""
    found = Gates(kube)
    yield found
    kube.delete(found.definition_path)


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no failure be tried again by the clock."""
    for name in ("FIRST_SECONDS", "LONGEST_SECONDS"):
        monkeypatch.setattr(retry, name, NEVER)


@pytest.fixture(params=["watching", "asking"])
def noticing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn of kinds either way: an agent that may not watch definitions asks what is served."""
    if request.param == "watching":
        return
    send = KubeClient.send

    async def refused(self: KubeClient, method: str, path: str, **options: Any) -> object:  # noqa: ANN401 - passed on
        if path.startswith((DEFINITIONS, "/apis/apiregistration")):
            raise KubeError(403, "Forbidden", "may not list definitions")
        return await send(self, method, path, **options)

    monkeypatch.setattr(KubeClient, "send", refused)


async def _served(kube: Kube, gates: Gates) -> None:
    def served() -> bool:
        try:
            return kube.find(f"/apis/{gates.group}/v1/gates") is not None
        except ApiError as error:
            return error.status != 429

    await eventually(served, what="gates are served")


@pytest.mark.usefixtures("no_clock", "noticing")
async def test_a_kind_that_is_not_served_is_named_and_applied_as_soon_as_it_is(
    agent: DrivenAgent, kube: Kube, gates: Gates
) -> None:
    agent.configure()
    revision = agent.offer(agent.config_map("a"), gates.gate("one"))
    told = await agent.reached(revision, "failed", reason="UnknownKind")
    assert f"{gates.group}/v1 Gate" in told.message

    kube.create(DEFINITIONS, gates.definition)

    await agent.reached(revision, "applied", reason="Progressing")
    gates.open(agent.namespace, "one")
    await agent.reached(revision, "healthy")


@pytest.mark.usefixtures("no_clock")
@pytest.mark.parametrize("drift", [wire.DRIFT_POLICY_UNSPECIFIED, wire.DRIFT_POLICY_REPORT])
async def test_a_kind_that_is_taken_away_is_named_and_its_objects_are_as_after_any_deletion_when_it_is_back(
    agent: DrivenAgent, kube: Kube, gates: Gates, drift: wire.DriftPolicy
) -> None:
    kube.create(DEFINITIONS, gates.definition)
    await _served(kube, gates)
    agent.configure(drift_policy=drift)
    revision = agent.offer(agent.config_map("a"), gates.gate("one"))
    await agent.reached(revision, "applied", reason="Progressing")
    gates.open(agent.namespace, "one")
    await agent.reached(revision, "healthy")

    kube.delete(gates.definition_path)

    told = await agent.reached(revision, "failed", reason="UnknownKind")
    assert "install its CustomResourceDefinition" in told.message
    assert kube.find(f"/api/v1/namespaces/{agent.namespace}/configmaps/a")

    kube.create(DEFINITIONS, gates.definition)

    await agent.reached(revision, "applied", reason="Progressing")
    if drift != wire.DRIFT_POLICY_REPORT:
        gates.open(agent.namespace, "one")
        await agent.reached(revision, "healthy")


async def test_a_kind_that_is_taken_away_from_a_suspended_project_is_named_and_seen_again_when_it_is_back(
    agent: DrivenAgent, kube: Kube, gates: Gates
) -> None:
    kube.create(DEFINITIONS, gates.definition)
    await _served(kube, gates)
    agent.configure()
    revision = agent.offer(gates.gate("one"))
    await agent.reached(revision, "applied", reason="Progressing")
    gates.open(agent.namespace, "one")
    await agent.reached(revision, "healthy")
    agent.configure(suspension=wire.Suspension(by="alice"))
    await agent.reached(revision, "healthy", reason="Suspended")

    kube.delete(gates.definition_path)

    told = await agent.reached(revision, "failed", reason="Suspended")
    assert f"{gates.group}/v1 Gate" in told.message

    kube.create(DEFINITIONS, gates.definition)

    await eventually(lambda: agent.syncs(revision)[-1].state != wire.SYNC_STATE_FAILED, what="it is seen again")
    assert kube.find(gates.path(agent.namespace, "one")) is None
