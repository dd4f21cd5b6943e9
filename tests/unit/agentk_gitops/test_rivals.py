"""How often the cluster is asked whether GitLab's agentk is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agentk.gitops.rivals import DOUBT_SECONDS, KNOWN_SECONDS, Rivals

if TYPE_CHECKING:
    from agentk.kube.client import KubeClient


class Server:
    """Answers as an API server on which somebody may have the Lease, whose pod may not be read from here."""

    def __init__(self) -> None:
        self.holder = ""
        self.asked = 0

    async def request(self, method: str, path: str, **_: object) -> bytes:
        assert method == "GET"
        self.asked += path.endswith("/leases")
        lease = {"metadata": {"name": "agent-7-lock", "namespace": "a"}, "spec": {"holderIdentity": self.holder}}
        return orjson.dumps({"metadata": {}, "items": [lease]})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rivals(server: Server, clock: Clock) -> Rivals:
    client: KubeClient = server  # type: ignore[assignment] # all that is called of it
    return Rivals(client, 7, home="agentk", inventory="shop", clock=clock)


async def test_it_is_asked_once_for_many_syncs_and_again_when_that_is_old(
    rivals: Rivals, server: Server, clock: Clock
) -> None:
    for _ in range(3):
        assert await rivals.at_work() is None
    assert server.asked == 1
    clock.now += KNOWN_SECONDS
    await rivals.at_work()
    assert server.asked == 2


async def test_a_lost_label_has_it_asked_again_but_not_for_each_of_thousands(
    rivals: Rivals, server: Server, clock: Clock
) -> None:
    await rivals.at_work()
    for _ in range(1000):
        rivals.doubt()
        await rivals.at_work()
    assert server.asked == 1
    clock.now += DOUBT_SECONDS
    await rivals.at_work()
    assert server.asked == 2


async def test_who_orders_it_has_it_asked_at_once(rivals: Rivals, server: Server) -> None:
    await rivals.at_work()
    rivals.forget()
    await rivals.at_work()
    assert server.asked == 2
