"""gRPC's HTTP/2 bytes in binary websocket messages, so that the link passes ordinary ingresses and proxies.

Here is what both ends share: the name of the subprotocol and the bridge between a websocket and a local stream socket.
Accepting is in :mod:`agentlink.tunnel_server`, dialling in :mod:`agentlink.tunnel_client`. The bridge knows nothing of
HTTP/2 or gRPC; it holds at most a few frames a direction, and a side that reads slowly slows the other one down.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from agentlink.limits import FRAME_BYTES

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from websockets.asyncio.connection import Connection

SUBPROTOCOL = Subprotocol("ws-tunnel")
"""The name GitLab's agents use as well."""

CLOSE_SECONDS = 5.0
"""How long the other side may take to confirm the end of a websocket."""

quiet = logging.getLogger("agentlink.tunnel.websockets")
"""For the websockets library: it logs a traceback for every port scan, and at debug the bytes that hold tokens."""
quiet.setLevel(logging.CRITICAL)


async def bridge(websocket: Connection, reader: StreamReader, writer: StreamWriter, first: bytes = b"") -> None:
    """Carry bytes both ways until either side ends or breaks the rules, then close both.

    Args:
        websocket: an open connection.
        reader: where bytes for the websocket come from.
        writer: where bytes from the websocket go.
        first: bytes already received from the websocket.
    """
    try:
        async with asyncio.TaskGroup() as group:
            incoming = group.create_task(_from_websocket(websocket, writer, first))
            outgoing = group.create_task(_to_websocket(websocket, reader))
            incoming.add_done_callback(lambda _: outgoing.cancel())
            outgoing.add_done_callback(lambda _: incoming.cancel())
    finally:
        writer.close()
        # Already closed with a better reason where a rule was broken: the first close counts.
        await websocket.close(CloseCode.NORMAL_CLOSURE, "the gRPC connection has ended")


async def receive(websocket: Connection) -> bytes | None:
    """Return the next message, or None when the websocket has ended; a text message ends it."""
    try:
        message = await websocket.recv()
    except ConnectionClosed:
        return None
    if isinstance(message, str):
        reason = "text message received: this tunnel carries binary messages only"
        await websocket.close(CloseCode.UNSUPPORTED_DATA, reason)
        return None
    return message


async def _from_websocket(websocket: Connection, writer: StreamWriter, first: bytes) -> None:
    message: bytes | None = first
    with suppress(ConnectionError):
        while message is not None:
            writer.write(message)
            await writer.drain()
            message = await receive(websocket)


async def _to_websocket(websocket: Connection, reader: StreamReader) -> None:
    with suppress(ConnectionError, ConnectionClosed):
        while data := await reader.read(FRAME_BYTES):
            await websocket.send(data)
