"""A network between two programs, that can swallow everything without closing anything, or lead somewhere else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator


class Network:
    """Carries bytes to one port until it is frozen. ``target`` is where new connections lead."""

    def __init__(self, *, chunk: int = 65536) -> None:
        """Carry no more than ``chunk`` bytes at once."""
        self._chunk = chunk
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.port = 0
        self.target = 0

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[None]:
        self.target = port
        async with asyncio.TaskGroup() as group:
            accepted: list[asyncio.Task[None]] = []

            def accept(reader: StreamReader, writer: StreamWriter) -> None:
                accepted.append(group.create_task(self._join(reader, writer)))

            async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
                self.port = server.sockets[0].getsockname()[1]
                yield
            for task in accepted:
                task.cancel()

    async def _join(self, reader: StreamReader, writer: StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, onward_writer))
                group.create_task(self._carry(onward_reader, writer))
        finally:
            writer.close()
            onward_writer.close()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(self._chunk):
                await self.thawed.wait()
                writer.write(data)
                await writer.drain()
        await self.thawed.wait()
        writer.close()
