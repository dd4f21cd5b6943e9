"""What answers in Redis' place may answer anything: a replica is cut off then, goes on, and comes back."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from kas.replicas.port import Standing
from tests.integration.kas_replicas.conftest import redis_side
from tests.support.processes import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.redis_server import RedisServer

_BULK = re.compile(rb"\$\d+\r\n")

ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "numbers for texts": lambda said: re.sub(rb"\$\d+\r\n[^\r]*\r\n", b":5\r\n", said),
    "nothing for texts": lambda said: re.sub(rb"\$\d+\r\n[^\r]*\r\n", b"$-1\r\n", said),
    "no protocol at all": lambda _: b"HTTP/1.1 200 OK\r\n\r\n",
    "no numbers": lambda said: _BULK.sub(b"$abc\r\n", said),
    "negative lengths": lambda said: _BULK.sub(b"$-7\r\n", said),
    "endless lists": lambda _: b"*99999999999\r\n",
    "nested lists": lambda _: b"*1\r\n" * 20_000,
    "no lists": lambda said: re.sub(rb"[*>]\d+\r\n", b"+OK\r\n", said),
    "short lists": lambda said: re.sub(rb"[*>]\d+\r\n", b"*0\r\n", said),
    "errors": lambda _: b"-\xff\xfe\r\n",
}


class Liar:
    """Passes on what a real Redis says, as ``lie`` has it."""

    def __init__(self, backend: int) -> None:
        self.port = free_port()
        self.lie: Callable[[bytes], bytes] = lambda said: said
        self._backend = backend

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._backend)
        with suppress(OSError, ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, back, lambda said: said))
                group.create_task(self._copy(there, writer, lambda said: self.lie(said)))  # noqa: PLW0108 - it changes
        for one in (writer, back):
            one.transport.abort()

    @staticmethod
    async def _copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        while data := await reader.read(65536):
            writer.write(change(data))
            await writer.drain()
        raise ConnectionResetError


async def test_nonsense_in_redis_place_cuts_a_replica_off_and_no_more(own_redis: RedisServer) -> None:
    async with asyncio.TaskGroup() as group:  # each waits for seconds, so all do at once
        for how, lie in ANSWERS.items():
            group.create_task(is_cut_off_and_back(own_redis, how, lie))


async def is_cut_off_and_back(redis: RedisServer, how: str, lie: Callable[[bytes], bytes]) -> None:
    liar = Liar(redis.port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(liar.listening())
        side = await redis_side(stack, f"redis://127.0.0.1:{liar.port}/0")
        lease = stack.enter_context(side.leases.want(how, lambda: None))
        await eventually(lambda: lease.standing is Standing.MINE, what=f"it holds the lease: {how}")
        liar.lie = lie
        await eventually(lambda: bool(side.bus.trouble), what=f"it knows that it is cut off: {how}")
        await eventually(lambda: lease.standing is Standing.UNKNOWN, what=f"it believes in no lease: {how}")
        assert not [task for task in side.running if task.done()], "and goes on"
        liar.lie = lambda said: said
        await eventually(lambda: not side.bus.trouble, what=f"it is back: {how}")
        await eventually(lambda: lease.standing is Standing.MINE, what=f"with its lease: {how}")
