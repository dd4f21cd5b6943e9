"""What an API server under load, what stands before it, and the network answer instead, in the middle of a sync."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from agentlink.v1 import agentlink_pb2 as wire
from tests.controlplane.cluster import ExistingCluster
from tests.support.api_door import ApiDoor, Fault, answering
from tests.support.driven_agent import driven_agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.server import ControlPlane
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

STATUS = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no"}'
PAGE = b"<html><body>Please log in</body></html>"
LEAVE, BEFORE, AFTER = range(5), range(40), range(5, 50)

FAULTS = {
    "errors": (
        Fault(answering(500, STATUS)),
        Fault(answering(502, PAGE, content_type="text/html")),
        Fault(answering(503, STATUS)),
        Fault(answering(504, b"", content_type="text/plain")),
    ),
    "too many requests": (Fault(answering(429, STATUS)),),
    "done, and an error": (Fault(answering(500, STATUS), heard=True),),
    "resets": (Fault(b""), Fault(b"", heard=True)),
    "half of it": (Fault(cut=True),),
    "a login page": (
        Fault(answering(200, PAGE, content_type="text/html")),
        Fault(answering(200, b'{"message":"Please log in"}')),
        Fault(answering(200, PAGE), heard=True),
    ),
    "slow": (Fault(delay=0.2),),
}
"""By name; they take turns."""


async def test_a_sync_ends_right_whatever_is_answered_in_between_and_prunes_nothing_before(
    started_control_plane: ControlPlane, kube: Kube, tmp_path: Path
) -> None:
    starting = asyncio.Lock()
    async with asyncio.TaskGroup() as all_at_once:
        for number, (name, faults) in enumerate(FAULTS.items()):
            folder = tmp_path / str(number)
            one = _disturbed(started_control_plane, kube, folder, name=name, faults=faults, starting=starting)
            all_at_once.create_task(one)


async def _disturbed(
    plane: ControlPlane, kube: Kube, folder: Path, *, name: str, faults: tuple[Fault, ...], starting: asyncio.Lock
) -> None:
    """Go from one revision to another while every answer, and then every seventh, is spoilt."""
    with ApiDoor(plane, folder / "door") as door:
        async with AsyncExitStack() as stack:
            async with starting:  # a database is not set up twice at a time
                running = driven_agent(ExistingCluster(door.kubeconfig, ""), kube, folder)
                agent = await stack.enter_async_context(running)

            def look() -> dict[str, tuple[str, str]]:
                """Return UID and value of each object that is there to stay."""
                found = kube.get(f"/api/v1/namespaces/{agent.namespace}/configmaps", labelSelector="agentk.io/agent")
                return {
                    one["metadata"]["name"]: (one["metadata"]["uid"], one["data"]["value"])
                    for one in found["items"]
                    if "deletionTimestamp" not in one["metadata"]
                }

            agent.configure()
            first = agent.offer(*(agent.config_map(f"n{number}") for number in BEFORE))
            await agent.reached(first, "healthy")
            before = look()
            assert before.keys() == {f"n{number}" for number in BEFORE}

            door.spoil = lambda number, *_: faults[number % len(faults)]
            second = agent.offer(*(agent.config_map(f"n{number}", "2") for number in AFTER))
            if name != "slow":
                await eventually(
                    lambda: [one for one in agent.syncs(second) if one.state == wire.SYNC_STATE_FAILED],
                    what=f"{name}: it is told what is wrong",
                    within=60,
                )
                told = next(one for one in agent.syncs(second) if one.state == wire.SYNC_STATE_FAILED)
                assert told.reason
                assert told.message
                assert {name: uid for name, (uid, _) in look().items() if name in before} == {
                    name: uid for name, (uid, _) in before.items()
                }, "nothing is pruned or made anew from what is not known"
                door.spoil = lambda number, *_: faults[number // 7 % len(faults)] if number % 7 == 0 else None

            await eventually(
                lambda: [one.state for one in agent.syncs(second)[-1:]] == [wire.SYNC_STATE_HEALTHY],
                what=f"{name}: all is well",
                within=60,
            )
            door.spoil = None
            after = look()
            assert after.keys() == {f"n{number}" for number in AFTER}
            assert {value for _, value in after.values()} == {"2"}
            assert all(after[name][0] == uid for name, (uid, _) in before.items() if name in after)
            (inventory,) = kube.get(
                f"/api/v1/namespaces/{agent.namespace}/configmaps",
                labelSelector=f"cli-utils.sigs.k8s.io/inventory-id={agent.inventory_id}",
            )["items"]
            assert {key.split("_")[1] for key in inventory["data"]} == after.keys()
