"""Servers that are not kas: what a person reads when the tunnel cannot be opened."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.server import serve

from agentlink import limits
from agentlink.tunnel import SUBPROTOCOL
from agentlink.tunnel_client import TunnelError, open_tunnel

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve that answer to whoever asks."""

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def refusal(url: str) -> str:
    with pytest.raises(TunnelError) as refused:
        async with open_tunnel(url, None):
            pass
    return str(refused.value)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("502 Bad Gateway", "a proxy in front of kas does not reach it"),
        ("503 Service Unavailable", "a proxy in front of kas does not reach it"),
        ("404 Not Found", "check host, path and the ingress' rules"),
        ("401 Unauthorized", "asks for a login"),
        ("302 Found\r\nLocation: wss://elsewhere.example.com/", "use the final address"),
        ("200 OK", "instead of opening a websocket: nope\\x1b"),
    ],
)
async def test_a_web_servers_answer_is_explained(status: str, hint: str) -> None:
    body = b"nope\x1b"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with answering(head + body) as url:
        assert hint in await refusal(url)


async def test_what_is_no_web_server_is_named() -> None:
    async with answering(b"SSH-2.0-OpenSSH_9.9\r\n") as url:
        text = await refusal(url)
    assert "does not answer as a web server" in text
    assert "wss://" in text


async def test_a_websocket_server_without_the_subprotocol_is_named() -> None:
    async def handler(_: ServerConnection) -> None:
        pass

    async with serve(handler, "127.0.0.1", 0, select_subprotocol=lambda _, __: None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert "it is not kas' agent listener" in await refusal(f"ws://127.0.0.1:{port}")


async def test_a_name_that_does_not_exist_is_said() -> None:
    assert "cannot be resolved" in await refusal("ws://kas.invalid")


async def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECT_TIMEOUT_SECONDS", 0.05)
    ended = asyncio.Event()

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        assert "did not answer within" in await refusal(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await ended.wait()


async def test_a_folder_that_cannot_hold_the_socket_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(handler, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert "set TMPDIR" in await refusal(f"ws://127.0.0.1:{port}")
    assert list(folder.iterdir()) == []
