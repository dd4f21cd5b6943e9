"""Puts a kas together with its replicas; alone, the same parts have nobody to tell."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

from kas.replicas.commands import RoutedCommands
from kas.replicas.everybody import Everybody
from kas.replicas.hints import Hints
from kas.replicas.local import LocalBus, LocalLeases
from kas.replicas.refs import SharedRefs
from kas.replicas.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from redis.asyncio import Redis

    from agentlink.lifecycle import Lifecycle
    from kas.gitops.commands import LocalCommands
    from kas.gitops.holds import HoldBoard
    from kas.replicas.everybody import Observing
    from kas.replicas.port import Bus, Leases
    from kas.reports.feed import Feed
    from kas.rpc.listener import AgentListener
    from kas.rpc.revocations import Doubts


class Replicas:
    """This replica and the way to the others.

    Args:
        url: Redis'; None for a kas that is alone.
        password_file: with Redis' password.
        ca_file: with whom to trust for Redis; None for the system's.
        name: what people call this replica; None for the name of the machine.
        key: what all replicas know, and nobody else: it keeps what they say to each other.
        refused: told why something that came by Redis was not listened to, by one of ``refusals.REASONS``.

    Raises:
        RedisSettingsError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str | None,
        *,
        password_file: Path | None = None,
        ca_file: Path | None = None,
        name: str | None = None,
        key: bytes = b"",
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name or socket.gethostname()
        self._client: Redis | None = None
        self.bus: Bus
        self.leases: Leases
        self._running: dict[str, Callable[[], Coroutine[None, None, NoReturn]]] = {}
        if url is None:
            self.bus, self.leases = LocalBus(), LocalLeases()
        else:
            # A kas that is alone, as most are, starts without loading this.
            from kas.replicas.redis_bus import RedisBus  # noqa: PLC0415
            from kas.replicas.redis_client import connect  # noqa: PLC0415
            from kas.replicas.redis_leases import RedisLeases  # noqa: PLC0415

            self._client = connect(url, password_file, ca_file)
            refusals = Refusals(refused)
            self.bus = bus = RedisBus(self._client, key, refusals)
            self.leases = leases = RedisLeases(self._client, bus, key, refusals)
            self._running = {"bus": bus.run, "leases": leases.run}
        self.refs = SharedRefs(self.bus, self.leases, key)

    @property
    def shared(self) -> bool:
        """Whether there may be others."""
        return self._client is not None

    @property
    def trouble(self) -> str | None:
        """Why the others cannot be reached now, empty when they can; None where there are none."""
        return self.bus.trouble if self.shared else None

    async def start(self, life: Lifecycle) -> None:
        """Connect and share refs; to be started before what watches them."""
        if self._client is not None:
            await life.start("redis", self._closing(self._client))
            for name, run in self._running.items():
                await life.background(name, run())
        await life.start("refs", self._listening())

    async def join(
        self,
        life: Lifecycle,
        listener: AgentListener,
        observing: Observing,
        *,
        holds: HoldBoard,
        feed: Feed,
        doubts: Doubts,
    ) -> Everybody:
        """Tell the others of what happens here, and hear of what happens there."""
        everybody = Everybody(listener, self.bus, self.name, observing, doubts)
        await life.background("hints", Hints(self.bus, holds, feed).run())
        await life.background("presence", everybody.run())
        return everybody

    async def route(self, life: Lifecycle, local: LocalCommands, everybody: Everybody) -> RoutedCommands:
        """Carry commands between replicas."""
        routed = RoutedCommands(local, self.bus, everybody.presence)
        await life.background("commands", routed.run())
        return routed

    @staticmethod
    @asynccontextmanager
    async def _closing(client: Redis) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await client.aclose()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        with self.refs.listening():
            yield
