"""Two replicas behind each implementation of the port: in one process, and over a real Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kas.replicas.local import Hub, LocalBus, LocalLeases
from kas.replicas.redis_bus import RedisBus
from kas.replicas.redis_client import connect
from kas.replicas.redis_leases import RedisLeases
from kas.replicas.refusals import Refusals
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from kas.replicas.port import Bus, Leases


KEY = bytes(range(32))


@dataclass
class Side:
    """What one replica has of the port, and what it has refused; ``running`` is what keeps it going."""

    bus: Bus
    leases: Leases
    refused: list[str]
    running: list[asyncio.Task[None]]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer(password="correct-horse") as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def link(own_redis: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(own_redis.port) as proxy:
        yield proxy


async def redis_side(
    stack: AsyncExitStack,
    url: str,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    *,
    key: bytes = KEY,
    settled_after: float = 0.0,
) -> Side:
    client = connect(url, password_file, ca_file)
    stack.push_async_callback(client.aclose)
    group = await stack.enter_async_context(asyncio.TaskGroup())
    refused: list[str] = []
    refusals = Refusals(refused.append)
    bus = RedisBus(client, key, refusals)
    leases = RedisLeases(client, bus, key, refusals, settled_after=settled_after)
    side = Side(bus, leases, refused, [group.create_task(bus.run()), group.create_task(leases.run())])
    for task in side.running:
        stack.callback(task.cancel)
    await eventually(lambda: not bus.trouble, what="the bus is there")
    return side


async def met(*sides: Side) -> None:
    """Wait until all of them hear each other; nobody is believed before."""

    def hear_each_other() -> bool:
        buses = [side.bus for side in sides if isinstance(side.bus, RedisBus)]
        return all(one.hears(other.replica) for one in buses for other in buses if one is not other)

    await eventually(hear_each_other, what="they hear each other")


@pytest.fixture(params=["local", "redis"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Side, Side]]:
    if request.param == "local":
        hub = Hub()
        yield Side(LocalBus(hub), LocalLeases(hub), [], []), Side(LocalBus(hub), LocalLeases(hub), [], [])
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    url = f"redis://:{server.password}@127.0.0.1:{server.port}/0"
    async with AsyncExitStack() as stack:
        both = await redis_side(stack, url), await redis_side(stack, url)
        await met(*both)
        yield both
