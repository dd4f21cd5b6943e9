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
from agentlink.callers import with_port
from agentlink.http2_frames import PREFACE
from agentlink.newcomers import NewcomerLimits, Newcomers
from agentlink.tunnel import CLOSE_SECONDS, SUBPROTOCOL, quiet, receive
from agentlink.tunnel_carry import PacedConnection, carry

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path
    from typing import Any

    from websockets.typing import Subprotocol

BUSY_SECONDS = (2, 10)
"""Between these, whole seconds, whoever found too many others waiting to come in is to try again."""

_LOCAL = frozenset({"unix", "unix-abstract"})

log = logs.get_logger("tunnel")


class TunnelServer:
    """Accepts websockets on any path and bridges each to the gRPC server behind ``socket_path``.

    Whoever has not shown the gRPC server a good token counts as a newcomer; it says whom it has let in (``let_in``).
    """

    def __init__(
        self,
        socket_path: Path,
        newcomers: NewcomerLimits | None = None,
        *,
        accepted: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Bridge to ``socket_path``; ``accepted`` is told the address of every caller, once TLS is agreed on."""
        self._socket_path = socket_path
        self._peers: dict[str, tuple[str, _Caller]] = {}
        self._newcomers: Newcomers[_Caller] = Newcomers(newcomers or NewcomerLimits())
        self._seconds = (newcomers or NewcomerLimits()).seconds
        self._accepted = accepted
        self.port = 0

    def let_in(self, grpc_peer: str, brought: int = 0) -> bool:
        """Note that a caller of the gRPC server has shown a good token; return whether it is of this tunnel.

        ``brought``: the bytes of a message that was taken from it. It pays for the frames of its call.
        """
        scheme, _, name = grpc_peer.partition(":")
        if scheme not in _LOCAL:
            return False
        if (known := self._peers.get(name)) is not None:
            self._newcomers.leave(known[1], let_in=True)
            if brought:
                known[1].allowance.earn(limits.CALL_POINTS)
        return True

    def peer_of(self, grpc_peer: str) -> str | None:
        """Return the address at the websocket's other end for a peer name as gRPC gives it, None if not of a tunnel.

        Every bridge has a Unix socket address of its own, drawn by the kernel. Only Linux does that; elsewhere all
        that is known is that it came through the tunnel.
        """
        scheme, _, name = grpc_peer.partition(":")
        if scheme not in _LOCAL:
            return None
        known = self._peers.get(name)
        return "websocket" if known is None else known[0]

    def refused(self, grpc_peer: str) -> None:
        """Note that a call of a caller was refused; one that goes on with such calls is sent away."""
        if (known := self._peers.get(grpc_peer.partition(":")[2])) is not None:
            known[1].refused += 1
            # Others than strangers may be behind a proxy, which brings both by one connection.
            if known[1].refused >= limits.REFUSED_CALLS and known[1] in self._newcomers:
                known[1].end(CloseCode.POLICY_VIOLATION, "too many calls were refused")

    @asynccontextmanager
    async def listening(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Accept connections while the context lasts; leaving it closes them.

        Raises:
            OSError: the address cannot be listened on.
        """
        tls: dict[str, Any] = {}
        if ssl_context is not None:
            tls = {"ssl_handshake_timeout": self._seconds, "ssl_shutdown_timeout": CLOSE_SECONDS}
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
            open_timeout=self._seconds,
            # The gRPC server's pings go through, and find a dead connection just as well; the websocket's own beside
            # them would be one more task, and one more ping, for each connection.
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            server_header=None,
            logger=quiet,
            # Called only; the type does not know that other callables do.
            create_connection=cast("type[ServerConnection]", partial(_Caller, self._newcomers, self._accepted)),
            **tls,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield

    def turn(self) -> None:
        """Send those away whose time is over; to be called often."""
        for caller in self._newcomers.overdue():
            caller.send_away(HTTPStatus.REQUEST_TIMEOUT, f"no good token came within {self._seconds:g} s")

    async def _accept(self, connection: ServerConnection) -> None:
        websocket = cast("_Caller", connection)  # as it was created
        peer = websocket.peer
        first = await self._first_bytes(websocket)
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
            self._peers[name] = (peer, websocket)
        try:
            await carry(websocket, local, first)
        finally:
            self._peers.pop(name, None)

    async def _first_bytes(self, websocket: ServerConnection) -> bytes | None:
        """Return the first message if HTTP/2 begins with it; whatever else comes costs no descriptors."""
        try:
            async with asyncio.timeout(self._seconds):
                first = await receive(websocket)
        except TimeoutError:
            await websocket.close(CloseCode.POLICY_VIOLATION, "nothing was sent")
            return None
        if first is not None and first[: len(PREFACE)] != PREFACE[: len(first)]:
            await websocket.close(CloseCode.POLICY_VIOLATION, "what was sent is not HTTP/2")
            return None
        return first


class _Caller(PacedConnection):
    """A connection that is a newcomer at first, and may have to go for others."""

    def __init__(
        self,
        newcomers: Newcomers[_Caller],
        accepted: Callable[[str], None],
        *args: Any,  # noqa: ANN401 - as above it
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._newcomers = newcomers
        self._accepted = accepted
        self.peer = ""
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        host, port = (transport.get_extra_info("peername") or ("unknown", 0))[:2]
        self.peer = with_port(host, port)
        self._accepted(self.peer)
        loser = self._newcomers.enter(self, host)
        if loser is self:
            self.send_away(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are being opened just now")
        elif loser is not None:
            loser.send_away(HTTPStatus.REQUEST_TIMEOUT, "no good token was sent, and others wait")

    def connection_lost(self, exc: Exception | None) -> None:
        self._newcomers.leave(self)
        super().connection_lost(exc)

    def send_away(self, status: HTTPStatus, reason: str) -> None:
        """Close with a reason, whether the websocket is open already or not."""
        if self.protocol.state is State.CONNECTING:
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}",
                "Content-Type: text/plain; charset=utf-8",
                f"Content-Length: {len(reason) + 1}",
                f"Retry-After: {random.randint(*BUSY_SECONDS)}",  # noqa: S311 - spreads, guards nothing
                "Connection: close",
            )
            self.transport.write("\r\n".join((*head, "", f"{reason}\n")).encode("ascii"))
        self.end(CloseCode.TRY_AGAIN_LATER, reason)


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
