"""The bridge alone, between two ends of which one stands still: what it holds is bounded, in both directions."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect

from agentlink.http2_frames import PREFACE
from agentlink.tunnel import SUBPROTOCOL
from agentlink.tunnel_server import TunnelServer
from tests.support.http2 import frame
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

CHUNK = frame(0, bytes(65_536 - 9), stream=1)
OFFERED = 1024
"""Chunks, 64 MiB together: many times what all socket buffers on the way hold."""


@asynccontextmanager
async def tunnel_to(
    folder: Path, serve: Callable[[StreamReader, StreamWriter], Awaitable[None]]
) -> AsyncIterator[TunnelServer]:
    path = folder / "target"
    tunnel = TunnelServer(path)
    async with await asyncio.start_unix_server(serve, path), tunnel.listening("127.0.0.1", 0, None):
        yield tunnel


async def stalled(progress: Callable[[], int]) -> int:
    """Return how far it went when it went no further, once it has begun."""
    await eventually(lambda: progress() > 0, what="something has passed")
    before = -1
    while before != progress():
        before = progress()
        await asyncio.sleep(0.5)
    return before


async def test_a_target_that_does_not_read_stops_the_websocket(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    received = sent = 0

    async def target(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal received
        await go_on.wait()
        while data := await reader.read(1 << 20):
            received += len(data)
        writer.close()

    async def send() -> None:
        nonlocal sent
        for _ in range(OFFERED):
            await websocket.send(CHUNK)
            sent += 1

    async with (
        tunnel_to(tmp_path, target) as tunnel,
        connect(f"ws://127.0.0.1:{tunnel.port}", subprotocols=[SUBPROTOCOL], compression=None) as websocket,
        asyncio.TaskGroup() as group,
    ):
        await websocket.send(PREFACE)
        sending = group.create_task(send())
        assert await stalled(lambda: sent) < OFFERED // 2
        go_on.set()
        await sending
        await eventually(lambda: received >= OFFERED * len(CHUNK), what="everything has arrived")


async def test_a_websocket_that_does_not_read_stops_the_target(tmp_path: Path) -> None:
    written = 0

    async def target(__: StreamReader, writer: StreamWriter) -> None:
        nonlocal written
        for _ in range(OFFERED):
            writer.write(CHUNK)
            await writer.drain()
            written += 1
        writer.close()

    async with (
        tunnel_to(tmp_path, target) as tunnel,
        connect(
            f"ws://127.0.0.1:{tunnel.port}", subprotocols=[SUBPROTOCOL], compression=None, max_queue=4
        ) as websocket,
    ):
        await websocket.send(PREFACE)
        assert await stalled(lambda: written) < OFFERED // 2
        got = sum([len(message) async for message in websocket])
        assert got == OFFERED * len(CHUNK)
