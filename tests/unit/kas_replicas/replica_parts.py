"""What a replica is made of, without a listener: several of them in one process, whose messages may be lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentlink.capabilities import able_of
from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.commands import LocalCommands
from kas.replicas.commands import RoutedCommands
from kas.replicas.local import Hub, LocalBus
from kas.replicas.presence import Presence
from kas.rpc.sessions import AgentIdentity, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kas.gitops.commands import Delivery
    from kas.replicas.port import Heard

AGENT = 7


class LossyBus(LocalBus):
    """A bus that hears what it is let hear."""

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        super().__init__(hub, clock=clock)
        self.hears: Callable[[], bool] = lambda: True

    def hear(self, topic: str, message: Heard) -> None:
        if topic != "commands" or self.hears():
            super().hear(topic, message)


@dataclass
class Replica:
    """One replica without a listener; ``sessions`` are those that it says it has."""

    hub: Hub
    now: list[float]
    sessions: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = LossyBus(self.hub, lambda: self.now[0])
        self.local = LocalCommands()
        self.presence = Presence(self.bus, "r", lambda: tuple(self.sessions), clock=lambda: self.now[0])
        self.routed = RoutedCommands(self.local, self.bus, self.presence)

    def connect(self, connection_id: str = "c", instance: str = "") -> None:
        identity, meta = AgentIdentity(AGENT, "a", "g/p", 1), wire.AgentMeta(instance_id=instance)
        session = Session(
            connection_id, identity, meta, datetime.now(UTC), "grpc", "peer", able_of(["prune", "suspend"])
        )
        self.sessions.append(session)
        self.presence.added(session)


@dataclass
class Seat:
    """A stream that notes what it is sent."""

    delivered: list[Delivery] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def withdraw(self, command_id: str) -> None:
        self.withdrawn.append(command_id)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Replica, Replica]]:
    hub, now = Hub(), [0.0]
    replicas = Replica(hub, now), Replica(hub, now)
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for replica in replicas:
            stack.enter_context(replica.presence.listening())
            stack.callback(group.create_task(replica.routed.run()).cancel)
        await asyncio.sleep(0)
        for replica in replicas:
            replica.presence.turn()
        yield replicas
