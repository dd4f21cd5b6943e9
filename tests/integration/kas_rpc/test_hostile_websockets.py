"""What strangers may send to the websocket listener: each is closed with a reason, and agents go on."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from agentlink import limits
from agentlink.http2_frames import PREFACE
from agentlink.v1 import agentlink_pb2 as wire
from tests.support.agent_link import agent, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from tests.support.agent_link import Kas

TUNNEL = [Subprotocol("ws-tunnel")]
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture(autouse=True)
async def _agents_go_on(kas: Kas) -> AsyncIterator[None]:
    secret, _ = await kas.register()
    async with agent(kas.url("ws"), secret) as bystander:
        await bystander.link.wait_connected()
        since = bystander.link.state
        yield
        await bystander.link.report(wire.ReportRequest())
        assert bystander.link.state == since


async def messages_of(websocket: ClientConnection) -> AsyncIterator[object]:
    with suppress(ConnectionClosed):
        while True:
            yield await websocket.recv()


async def closing(websocket: ClientConnection) -> tuple[int, str]:
    """Read to the end; return the code and the reason."""
    async with asyncio.timeout(30):
        async for _ in messages_of(websocket):
            pass
    assert websocket.close_code is not None
    return websocket.close_code, websocket.close_reason or ""


@pytest.mark.parametrize("offered", [None, [Subprotocol("k8s")]])
async def test_another_subprotocol_is_refused_with_a_reason(kas: Kas, offered: list[Subprotocol] | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(kas.url("ws"), subprotocols=offered)
    assert refused.value.response.status_code == 400
    assert b"it needs the websocket subprotocol ws-tunnel" in (refused.value.response.body or b"")


async def test_any_path_is_accepted(kas: Kas) -> None:
    async with connect(f"{kas.url('ws')}/-/kubernetes-agent/?x=y", subprotocols=TUNNEL) as websocket:
        assert websocket.subprotocol == "ws-tunnel"


async def test_compression_is_not_agreed_to(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression="deflate") as websocket:
        assert websocket.protocol.extensions == []


async def test_a_text_message_ends_the_tunnel(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
        await websocket.send(PREFACE + SETTINGS)
        await websocket.recv()
        await websocket.send("hello")
        assert await closing(websocket) == (1003, "text message received: this tunnel carries binary messages only")


async def test_a_first_message_that_is_no_http2_ends_the_tunnel(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
        await websocket.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await closing(websocket) == (1008, "what was sent is not HTTP/2")


async def test_garbage_after_a_good_beginning_ends_the_tunnel(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
        await websocket.send(PREFACE + SETTINGS + os.urandom(4096))
        code, reason = await closing(websocket)
        assert (code, reason) == (1000, "the gRPC connection has ended")


async def test_a_frame_larger_than_allowed_is_refused_before_it_is_read(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
        await websocket.send(PREFACE + SETTINGS)
        # Only the head of a frame of one gibibyte: nobody may wait for, or make room for, the rest.
        websocket.transport.write(b"\x82\xff" + struct.pack("!Q", 1 << 30) + b"\0\0\0\0")
        code, _ = await closing(websocket)
        assert code == 1009


async def test_fragments_do_not_get_around_the_limit(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:

        async def endless() -> AsyncIterator[bytes]:
            # What follows is within one frame of HTTP/2, which says that it is as large as any.
            yield PREFACE + SETTINGS + b"\xff\xff\xff\0\0\0\0\0\1"
            for _ in range(2 * limits.MAX_FRAME_BYTES // 65_536):
                yield bytes(65_536)

        with suppress(ConnectionClosed):
            await websocket.send(endless())
        code, _ = await closing(websocket)
        assert code == 1009


async def test_a_compressed_frame_ends_the_tunnel(kas: Kas) -> None:
    async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
        websocket.transport.write(b"\xc2\x84\0\0\0\0\0\0\0\0")
        code, _ = await closing(websocket)
        assert code == 1002


async def test_whatever_is_not_a_websocket_gets_an_answer_or_an_end(kas: Kas) -> None:
    for sent, expected in ((b"GET / HTTP/1.1\r\nHost: kas\r\n\r\n", b"426"), (os.urandom(256) + b"\n", b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", kas.listener.websocket_port)
        writer.write(sent)
        async with asyncio.timeout(30):
            assert expected in await reader.read()
        writer.close()


async def test_bridges_leave_nothing_behind(kas: Kas) -> None:
    def sockets() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = sockets()
    for _ in range(10):
        async with connect(kas.url("ws"), subprotocols=TUNNEL, compression=None) as websocket:
            await websocket.send(PREFACE + SETTINGS)
            await websocket.recv()
    await until(lambda: sockets() <= before)
