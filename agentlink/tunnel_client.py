"""The dialling end of the tunnel: a websocket out, a private Unix socket for gRPC to dial.

gRPC for Python connects by name only and cannot be handed a socket (a ``socketpair`` would be cheaper), so one Unix
socket in a directory of mode 0700 stands in for one connection. Both are gone as soon as gRPC has connected: nothing is
left for others to dial, or behind after a crash.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidProxy

from agentlink import limits
from agentlink.logs import inert
from agentlink.tunnel import CLOSE_SECONDS, SUBPROTOCOL, bridge, quiet
from agentlink.tunnel_errors import explain, retry_after_of

if TYPE_CHECKING:
    import ssl
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection


class TunnelError(Exception):
    """The tunnel could not be opened. The text says what happened and what to look at; trying again may help.

    ``retry_after``: the seconds after which the other side asked to be tried again, None where it said nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An open tunnel. ``target`` is what gRPC dials, once."""

    target: str
    _websocket: ClientConnection

    @property
    def ending(self) -> str:
        """Say why the websocket was closed; empty while it is open or when the other side gave no reason."""
        reason = self._websocket.close_reason
        return inert(reason) if reason else ""


class _Connect(connect):
    """Follows no redirect: the token that goes through the tunnel is meant for the address that was configured."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the redirect as the error that it is."""
        return exc


class _Doorway:
    """A Unix socket that lets one connection in."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="agentk-"))
        self.path = self._directory / "kas"
        self.entered: asyncio.Future[tuple[StreamReader, StreamWriter]] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._enter, self.path, limit=limits.FRAME_BYTES)

    def _enter(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self.entered.done():
            writer.close()
        else:
            self.entered.set_result((reader, writer))
            self.shut()

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        self.shut()
        if self.entered.done() and not self.entered.cancelled():
            self.entered.result()[1].close()


@asynccontextmanager
async def open_tunnel(url: str, ssl_context: ssl.SSLContext | None) -> AsyncIterator[Tunnel]:
    """Open a tunnel through a ``ws://`` or ``wss://`` address; leaving the context closes it.

    Args:
        url: where kas, or a proxy in front of it, takes websockets.
        ssl_context: for ``wss``; None for ``ws``.

    Raises:
        TunnelError: it could not be opened.
    """
    websocket = await _dial(url, ssl_context)
    try:
        doorway = await _open_doorway()
        try:
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                carrying = group.create_task(_carry(websocket, doorway))
                try:
                    yield Tunnel(f"unix:{doorway.path}", websocket)
                except Exception as error:  # noqa: BLE001 - raised again below: the group would wrap it
                    failure = error
                finally:
                    carrying.cancel()
            if failure is not None:
                raise failure
        finally:
            doorway.close()
    finally:
        await websocket.close()


async def _open_doorway() -> _Doorway:
    try:
        doorway = _Doorway()
        try:
            await doorway.open()
        except BaseException:
            doorway.close()
            raise
    except OSError as error:
        raise TunnelError(
            f"no private socket can be made in {tempfile.gettempdir()}: {error}; "
            "set TMPDIR to a writable directory with a short name"
        ) from error
    return doorway


async def _carry(websocket: ClientConnection, doorway: _Doorway) -> None:
    reader, writer = await doorway.entered
    await bridge(websocket, reader, writer)


async def _dial(url: str, ssl_context: ssl.SSLContext | None) -> ClientConnection:
    try:
        websocket = await _Connect(
            url,
            ssl=ssl_context,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            max_size=limits.MAX_FRAME_BYTES,
            max_queue=limits.QUEUED_FRAMES,
            write_limit=limits.FRAME_BYTES,
            open_timeout=limits.CONNECT_TIMEOUT_SECONDS,
            ping_interval=limits.KEEPALIVE_SECONDS,
            ping_timeout=limits.KEEPALIVE_TIMEOUT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            user_agent_header="agentk",
            logger=quiet,
        )
    except (OSError, InvalidHandshake, InvalidProxy) as error:
        raise TunnelError(explain(url, error), retry_after_of(error)) from error
    if websocket.subprotocol != SUBPROTOCOL:
        await websocket.close()
        raise TunnelError(
            f"{url} takes websockets, but not the subprotocol {SUBPROTOCOL}: it is not kas' agent listener, "
            "or a proxy in between drops the header Sec-WebSocket-Protocol"
        )
    return websocket
