"""The accepting end of the tunnel: websockets in, connections to the gRPC server's Unix socket out."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import NegotiationError
from websockets.frames import CloseCode
from websockets.protocol import State

from agentlink import limits, logs
from agentlink.tunnel import CLOSE_SECONDS, SUBPROTOCOL, quiet, receive
from agentlink.tunnel_carry import PacedConnection, carry
from agentlink.tunnel_waiting import Waiting

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from typing import Any

    from websockets.typing import Subprotocol

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

BUSY_SECONDS = (2, 10)
"""Between these, whole seconds, whoever found too many others waiting to come in is to try again."""

log = logs.get_logger("tunnel")


class TunnelServer:
    """Accepts websockets on any path and bridges each to the gRPC server behind ``socket_path``."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._peers: dict[str, str] = {}
        self._waiting: Waiting[_Caller] = Waiting(limits.WAITING_CONNECTIONS, patience=limits.WAITING_PATIENCE_SECONDS)
        self.port = 0

    def peer_of(self, grpc_peer: str) -> str | None:
        """Return the address at the websocket's other end for a peer name as gRPC gives it, None if not of a tunnel.

        Every bridge has a Unix socket address of its own, drawn by the kernel. Only Linux does that; elsewhere all
        that is known is that it came through the tunnel.
        """
        scheme, _, name = grpc_peer.partition(":")
        if scheme not in {"unix", "unix-abstract"}:
            return None
        return self._peers.get(name, "websocket")

    @asynccontextmanager
    async def listening(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Accept connections while the context lasts; leaving it closes them.

        Raises:
            OSError: the address cannot be listened on.
        """
        handshake: dict[str, Any] = {"ssl_handshake_timeout": limits.FIRST_BYTES_SECONDS} if ssl_context else {}
        async with serve(
            self._accept,
            host,
            port,
            ssl=ssl_context,
            subprotocols=[SUBPROTOCOL],
            select_subprotocol=_select_subprotocol,
            # HTTP/2 inside is compressed where it helps, and a decompressor is a target for bombs.
            compression=None,
            max_size=limits.MAX_FRAME_BYTES,
            max_queue=limits.QUEUED_FRAMES,
            write_limit=limits.FRAME_BYTES,
            open_timeout=limits.FIRST_BYTES_SECONDS,
            # The gRPC server's pings go through, and find a dead connection just as well; the websocket's own beside
            # them would be one more task, and one more ping, for each connection.
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            server_header=None,
            logger=quiet,
            # Called only; the type does not know that other callables do.
            create_connection=cast("type[ServerConnection]", partial(_Caller, self._waiting)),
            **handshake,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield

    async def _accept(self, connection: ServerConnection) -> None:
        websocket = cast("_Caller", connection)  # as it was created
        host, port = websocket.remote_address[:2]
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        first = await self._first_bytes(websocket)
        self._waiting.leave(websocket)
        _forget_handshake(websocket)
        if first is None:
            log.debug("Websocket refused", peer=peer, code=websocket.close_code, why=websocket.close_reason)
            return
        local, name = _named_socket()
        try:
            await asyncio.get_running_loop().sock_connect(local, str(self._socket_path))
        except OSError as error:
            local.close()
            log.warning("The gRPC server takes no connection", peer=peer, error=error)
            await websocket.close(CloseCode.TRY_AGAIN_LATER, "kas cannot take another connection now")
            return
        if name:
            self._peers[name] = peer
        try:
            await carry(websocket, local, first)
        finally:
            self._peers.pop(name, None)

    async def _first_bytes(self, websocket: ServerConnection) -> bytes | None:
        """Return the first message if HTTP/2 begins with it; whatever else comes costs no descriptors."""
        try:
            async with asyncio.timeout(limits.FIRST_BYTES_SECONDS):
                first = await receive(websocket)
        except TimeoutError:
            await websocket.close(CloseCode.POLICY_VIOLATION, "nothing was sent")
            return None
        if first is not None and first[: len(HTTP2_PREFACE)] != HTTP2_PREFACE[: len(first)]:
            await websocket.close(CloseCode.POLICY_VIOLATION, "what was sent is not HTTP/2")
            return None
        return first


class _Caller(PacedConnection):
    """A connection that counts as waiting until it has begun, and may have to go for others."""

    def __init__(self, waiting: Waiting[_Caller], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above it
        super().__init__(*args, **kwargs)
        self._waiting = waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loser = self._waiting.enter(self)
        if loser is self:
            self.send_away(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are being opened just now")
        elif loser is not None:
            loser.send_away(HTTPStatus.REQUEST_TIMEOUT, "nothing was sent, and others wait")

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.leave(self)
        super().connection_lost(exc)

    def send_away(self, status: HTTPStatus, reason: str) -> None:
        """Close with a reason, whether the websocket is open already or not."""
        if self.protocol.state is State.OPEN:
            self.protocol.fail(CloseCode.TRY_AGAIN_LATER, reason)
            self.send_data()
        else:
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}",
                "Content-Type: text/plain; charset=utf-8",
                f"Content-Length: {len(reason) + 1}",
                f"Retry-After: {random.randint(*BUSY_SECONDS)}",  # noqa: S311 - spreads, guards nothing
                "Connection: close",
            )
            self.transport.write("\r\n".join((*head, "", f"{reason}\n")).encode("ascii"))
        self.transport.close()


def _forget_handshake(websocket: ServerConnection) -> None:
    """Drop the headers of the handshake, which nobody looks at any more: several kB of each of thousands."""
    for said in (websocket.request, websocket.response):
        if said is not None:
            said.headers.clear()


def _select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol:
    if SUBPROTOCOL not in offered:
        raise NegotiationError(f"this is the agent listener of kas: it needs the websocket subprotocol {SUBPROTOCOL}")
    return SUBPROTOCOL


def _named_socket() -> tuple[socket.socket, str]:
    """Return a socket with an abstract name of its own where the kernel gives one, and that name as gRPC writes it."""
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    local.setblocking(False)  # noqa: FBT003 - the standard library's signature
    if sys.platform != "linux":
        return local, ""
    local.bind("")
    name = local.getsockname()
    return local, name[1:].decode("ascii")
