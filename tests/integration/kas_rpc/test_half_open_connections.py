"""A network that swallows everything without closing anything, as a lost NAT entry or a pulled cable does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from agentlink import limits
from kas.rpc.listener import ListenerSettings
from tests.support.agent_link import agent, running, until

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator
    from pathlib import Path


class Network:
    """Carries bytes to one port until it is frozen."""

    def __init__(self) -> None:
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.port = 0

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            accepted: list[asyncio.Task[None]] = []

            def accept(reader: StreamReader, writer: StreamWriter) -> None:
                accepted.append(group.create_task(self._join(reader, writer, port)))

            async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
                self.port = server.sockets[0].getsockname()[1]
                yield
            for task in accepted:
                task.cancel()

    async def _join(self, reader: StreamReader, writer: StreamWriter, port: int) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, onward_writer))
                group.create_task(self._carry(onward_reader, writer))
        finally:
            writer.close()
            onward_writer.close()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self.thawed.wait()
                writer.write(data)
                await writer.drain()
        await self.thawed.wait()
        writer.close()


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_both_ends_notice_and_the_agent_comes_back(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KEEPALIVE_SECONDS", "KEEPALIVE_TIMEOUT_SECONDS", "MIN_PING_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)
    network = Network()
    async with running(ListenerSettings(websocket_port=0, grpc_port=0), tmp_path) as kas:
        secret, _ = await kas.register()
        port = kas.listener.websocket_port if transport == "ws" else kas.listener.grpc_port
        async with network.to(port), agent(f"{transport}://127.0.0.1:{network.port}", secret) as it:
            await it.link.wait_connected()
            network.thawed.clear()
            await until(lambda: it.link.state.connected_since is None)
            await until(lambda: len(kas.disconnected) == 1)
            network.thawed.set()
            await it.link.wait_connected()
            await until(lambda: len(kas.listener.sessions.list()) == 1)
