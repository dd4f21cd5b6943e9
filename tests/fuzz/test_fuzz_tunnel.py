"""Whatever a stranger sends through a websocket: carried as it is or ended, without an error that nobody waited for."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentlink import limits
from agentlink.http2_frames import PREFACE
from agentlink.tunnel import SUBPROTOCOL
from agentlink.tunnel_server import TunnelServer
from tests.fuzz.inputs import fuzz

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

HANG_SECONDS = 60
HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: kas\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
).encode()
EMPTY = b"\x82\x80\0\0\0\0"
TOKENS = (
    EMPTY, b"\x81\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x02\x80\0\0\0\0", b"\x89\x80\0\0\0\0", b"\x88\x80\0\0\0\0",
    b"\x8b\x80\0\0\0\0", b"\x82\xfe\x01\x00\0\0\0\0", b"\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0", b"\xc2\x80\0\0\0\0",
    b"\x82\x98\0\0\0\0" + PREFACE, b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x81\0\0\0\0\x03", b"\x82\x00", EMPTY * 50,
)  # fmt: skip


async def sent(data: bytes) -> tuple[bytes, bytes]:
    """Send bytes after a handshake, then the end; return what came behind the tunnel, and what was answered."""
    behind = bytearray()
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))

    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(limits.FRAME_BYTES):
                behind.extend(piece)
                writer.write(piece)
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s")
        tunnel = TunnelServer(path)
        async with await asyncio.start_unix_server(echo, path), tunnel.listening("127.0.0.1", 0, None):
            reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
            answer = b""
            with contextlib.suppress(ConnectionError):
                writer.write(HANDSHAKE + data)
                writer.write_eof()
                answer = await asyncio.wait_for(reader.read(), HANG_SECONDS)
            writer.close()
    assert not unexpected, unexpected
    return bytes(behind), answer


@fuzz("tunnel", tokens=TOKENS, share=0.6)
def test_what_is_carried_begins_as_http2_and_is_no_more_than_was_sent(data: bytes) -> None:
    behind, answer = asyncio.run(sent(data))
    assert len(behind) <= len(data)
    assert behind[: len(PREFACE)] == PREFACE[: len(behind)]
    # What came back is the handshake, what was echoed with its frames' heads, pongs, and the reason of the end.
    assert len(answer) <= 1000 + 16 * len(data)
