"""A small TCP proxy: spreads connections over backends that answer, and can go silent as a broken network does."""

from __future__ import annotations

import asyncio
import itertools
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_BEGINNING = 4 * 1024
"""What is kept of what was said on a connection."""


class _Back:
    """The way back of one connection, and what was said first on it."""

    def __init__(self) -> None:
        self.said = b""
        self.flowing = asyncio.Event()
        self.flowing.set()

    def hear(self, data: bytes) -> None:
        """Keep it, as far as it is the beginning."""
        self.said += data[: _BEGINNING - len(self.said)]


class TcpProxy:
    """Listens on ``port`` in a thread of its own; each connection goes to the next backend that takes it."""

    def __init__(self, *backends: int) -> None:
        self.port = free_port()
        self._turns = itertools.count()
        self._backends = list(backends)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._back: dict[asyncio.Task[None], _Back] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def silence(self) -> None:
        """Pass nothing on any more, in either direction, and tell nobody; connections are still taken."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def heal(self) -> None:
        """Pass on what waited, and everything after it."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def deafen(self, word: bytes) -> None:
        """Pass nothing back, for ever and without a word, on the connections on which ``word`` has been said."""
        self._do(self._deafen(word))

    def cut(self) -> None:
        """Close all connections."""
        self._do(self._cut())

    def _do(self, what: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _deafen(self, word: bytes) -> None:
        deaf = [back for back in self._back.values() if word in back.said]
        assert deaf, "nobody has said that"
        for back in deaf:
            back.flowing.clear()

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            self._connections.discard(task)
            self._back.pop(task, None)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        start = next(self._turns)
        for offset in range(len(self._backends)):
            port = self._backends[(start + offset) % len(self._backends)]
            with suppress(OSError):
                there, back = await asyncio.open_connection(HOST, port)
                break
        else:
            return
        way_back = _Back()
        task = asyncio.current_task()
        assert task is not None
        self._back[task] = way_back
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, back, hear=way_back.hear))
                group.create_task(self._copy(there, writer, flowing=way_back.flowing))
        finally:
            back.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        hear: Callable[[bytes], None] = lambda _: None,
        flowing: asyncio.Event | None = None,
    ) -> None:
        while data := await reader.read(_CHUNK):
            hear(data)
            await self._flowing.wait()
            if flowing is not None:
                await flowing.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # half-closed is of no use to anybody here
