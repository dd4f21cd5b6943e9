"""Electing a leader through the real API server: handing over, deleted and damaged leases, a server that is away."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentk.apply.model import Kind, Propagation
from agentk.kube.client import KubeClient
from agentk.kube.errors import NotLeaderError
from agentk.kube.objects import Objects
from agentk.kube.retry import RetryPolicy
from agentk.leadership.election import Timing
from agentk.leadership.guard import Guard
from agentk.leadership.leadership import Leadership
from agentlink.refs import ObjectRef
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentk.leadership.campaign import Trouble
    from tests.controlplane.cluster import Cluster
    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

LEASES = "/apis/coordination.k8s.io/v1/namespaces"
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)

LONG = Timing(60)
"""Nothing that a test waits for comes about by a lease of this running out."""

ids = itertools.count(1000)


class Replica:
    """One replica's part, and what it has said."""

    def __init__(self, client: KubeClient, namespace: str, name: str, timing: Timing) -> None:
        self.troubles: list[Trouble | None] = []
        self.leadership = Leadership(
            client, namespace=namespace, pod_name=name, timing=timing, on_trouble=self.troubles.append
        )

    async def leads(self) -> bool:
        """Tell whether it does."""
        return self.leadership.leading


class Candidates:
    """Replicas of one agent, each of which stands as long as it is not made to leave."""

    def __init__(self, kubeconfig: str, namespace: str, agent_id: int, stack: AsyncExitStack) -> None:
        self.path = f"{LEASES}/{namespace}/leases/agentk-{agent_id}"
        self.agent_id = agent_id
        self._kubeconfig, self._namespace, self._stack = kubeconfig, namespace, stack

    async def add(self, name: str, timing: Timing = LONG) -> Replica:
        """Start one, which stays to the end of the test."""
        return await self._stack.enter_async_context(self.standing(name, timing))

    @asynccontextmanager
    async def standing(self, name: str, timing: Timing = LONG) -> AsyncIterator[Replica]:
        """Let one stand while the context lasts."""
        async with await KubeClient.connect(kubeconfig=self._kubeconfig) as client:
            replica = Replica(client, self._namespace, name, timing)
            async with replica.leadership.standing():
                replica.leadership.stand(self.agent_id)
                yield replica


@pytest.fixture
async def candidates(control_plane: Cluster, namespace: str) -> AsyncIterator[Candidates]:
    async with AsyncExitStack() as stack:
        yield Candidates(str(control_plane.kubeconfig), namespace, next(ids), stack)


async def test_one_of_two_leads_and_the_other_takes_over_at_once_when_it_leaves(candidates: Candidates) -> None:
    async with candidates.standing("one") as one:
        await eventually(one.leads, what="the first leads")
        two = await candidates.add("two")
        await eventually(lambda: two.leadership.leader.startswith("one_"), what="the second knows who leads")
        assert not two.leadership.leading

    await eventually(two.leads, what="the second leads")


async def test_a_deleted_lease_ends_the_term_and_who_led_makes_it_anew(candidates: Candidates, kube: Kube) -> None:
    one = await candidates.add("one")
    await eventually(one.leads, what="it leads")
    two = await candidates.add("two")
    await eventually(lambda: two.leadership.leader, what="the second stands by")
    async with one.leadership.term() as guard:
        await asyncio.to_thread(kube.delete, candidates.path)

        await asyncio.wait_for(guard.ended(), timeout=30)
        with pytest.raises(NotLeaderError):
            await guard.opened()

    await eventually(one.leads, what="it leads again")
    assert not two.leadership.leading


async def test_somebody_elses_name_on_the_lease_ends_the_term_at_once(candidates: Candidates, kube: Kube) -> None:
    one = await candidates.add("one")
    await eventually(one.leads, what="it leads")
    async with one.leadership.term() as guard:
        await asyncio.to_thread(kube.patch, candidates.path, {"spec": {"holderIdentity": "somebody"}})

        await asyncio.wait_for(guard.ended(), timeout=30)

    assert one.leadership.leader == "somebody"


async def test_a_label_on_the_lease_stays_and_disturbs_nobody(candidates: Candidates, kube: Kube) -> None:
    one = await candidates.add("one", Timing(2))
    await eventually(one.leads, what="it leads")
    async with one.leadership.term() as guard:
        await asyncio.to_thread(kube.patch, candidates.path, {"metadata": {"labels": {"team": "a"}}})
        before = kube.get(candidates.path)["spec"]["renewTime"]
        await eventually(lambda: kube.get(candidates.path)["spec"]["renewTime"] > before, what="it is renewed")

        assert guard.is_open()
    assert kube.get(candidates.path)["metadata"]["labels"] == {"team": "a"}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"holderIdentity": "x" * 200, "leaseDurationSeconds": 1, "renewTime": "2999-01-01T00:00:00.000000Z"},
        {"holderIdentity": "ghost", "leaseDurationSeconds": 1, "leaseTransitions": 2**31 - 1},
        {"leaseDurationSeconds": 2**31 - 1, "acquireTime": "1970-01-01T00:00:00.000000Z"},
    ],
    ids=["empty", "renewed in the future", "changed hands too often", "lasts for ever, and is nobody's"],
)
async def test_a_lease_that_somebody_damaged_is_taken_when_it_has_run_out(
    spec: dict[str, object], candidates: Candidates, kube: Kube
) -> None:
    collection, _, name = candidates.path.rpartition("/")
    kube.create(collection, {"metadata": {"name": name}, "spec": spec})

    one = await candidates.add("one", Timing(1))

    await eventually(one.leads, what="it leads")


async def test_a_write_waits_while_it_is_not_clear_who_leads_and_does_not_leave_when_it_is_another(
    control_plane: Cluster, namespace: str, kube: Kube
) -> None:
    now = [0.0]
    guard = Guard(1, clock=lambda: now[0])
    async with await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig)) as client:
        objects = Objects(client.guarded_by(guard), retries=RetryPolicy(attempts=1))
        ref = ObjectRef("", "ConfigMap", namespace, "guarded")
        body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"guarded"}}'
        writing = asyncio.create_task(objects.apply(CONFIG_MAP, ref, body, force=False))  # noqa: TID251 - the test's own
        assert await objects.get(CONFIG_MAP, ref) is None
        assert not writing.done()

        guard.extend(1.0)
        assert (await writing).created

        now[0] = 1.0
        again = asyncio.create_task(objects.apply(CONFIG_MAP, ref, body, force=False))  # noqa: TID251 - as above
        assert await objects.get(CONFIG_MAP, ref) is not None
        guard.end()
        with pytest.raises(NotLeaderError):
            await again
        with pytest.raises(NotLeaderError):
            await objects.delete(CONFIG_MAP, ref, uid="x", owner="7-1", version="1", propagation=Propagation.BACKGROUND)
    assert kube.find(f"/api/v1/namespaces/{namespace}/configmaps/guarded")


async def test_a_leader_goes_on_after_the_api_server_was_away_for_longer_than_its_lease(
    own_control_plane: ControlPlane,
) -> None:
    async with AsyncExitStack() as stack:
        candidates = Candidates(str(own_control_plane.kubeconfig), "default", 1, stack)
        one = await candidates.add("one", Timing(2))
        await eventually(one.leads, what="it leads")
        async with one.leadership.term() as guard:
            await asyncio.to_thread(own_control_plane.stop_api_server)
            await eventually(lambda: not guard.is_open(), what="nothing may leave any more")
            await eventually(lambda: one.troubles, what="it is told that nobody can be elected")
            assert one.troubles[-1] is not None
            assert one.troubles[-1].reason == "ApiServerUnreachable"
            assert one.leadership.may_report

            await asyncio.to_thread(own_control_plane.start_api_server)

            await eventually(guard.is_open, what="it goes on where it was: nobody else had the lease")
            await eventually(lambda: one.troubles[-1] is None, what="the trouble is over")
