"""The bridge of the accepting end, of which there are thousands: without tasks or streams of its own.

What :func:`agentlink.tunnel.bridge` does for the one tunnel of an agent is done here by the connections' own callbacks
and the task that accepted the websocket. As there, each direction holds a few frames, and a side that reads slowly
slows the other one down.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Opcode
from websockets.protocol import State

from agentlink import limits
from agentlink.allowance import Allowance
from agentlink.http2_frames import Frames
from agentlink.limits import FRAME_BYTES
from agentlink.tunnel import receive

if TYPE_CHECKING:
    import socket
    from typing import Any

    from websockets.frames import Frame
    from websockets.protocol import Event

_BRINGS = frozenset({Opcode.BINARY, Opcode.CONT})
_WORTH_ITS_FRAME = 256
"""Bytes of a websocket frame that is no mere overhead."""

TOO_MANY_FRAMES = "too many frames that carry nothing"


class PacedConnection(ServerConnection):
    """A websocket that tells what it carries when it can take no more, and when it can again.

    Whoever floods it with frames that carry nothing is sent away.
    """

    local: _Local | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above it
        super().__init__(*args, **kwargs)
        self.allowance = Allowance(limits.FRAME_POINTS, limits.FRAME_POINTS_A_SECOND)
        self._frames = Frames()

    def data_received(self, data: bytes) -> None:
        """Work off what has come, piece by piece, for as long as it is worth it."""
        for start in range(0, len(data), limits.PIECE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + limits.PIECE_BYTES])

    def process_event(self, event: Event) -> None:
        """Count a frame, then do with it what is to be done."""
        if self.request is not None and not self._afford(cast("Frame", event)):
            return
        super().process_event(event)

    def _afford(self, frame: Frame) -> bool:
        points = self._frames.points(bytes(frame.data)) if frame.opcode in _BRINGS else 0
        if len(frame.data) < _WORTH_ITS_FRAME:
            points += 1
        if self.allowance.spend(points):
            return True
        self.end(CloseCode.POLICY_VIOLATION, TOO_MANY_FRAMES)
        return False

    def end(self, code: CloseCode, reason: str) -> None:
        """Close at once, with a reason if the other side reads it."""
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.send_data()
        # Whoever does not read what it was sent before would keep the connection.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """Have nothing more read that would have to be sent."""
        super().pause_writing()
        if self.local is not None:
            self.local.pause()

    def resume_writing(self) -> None:
        """Have reading go on."""
        super().resume_writing()
        if self.local is not None:
            self.local.resume()


async def carry(websocket: PacedConnection, local: socket.socket, first: bytes) -> None:
    """Carry bytes both ways until either side ends or breaks the rules, then close both.

    Args:
        websocket: an open connection.
        local: a connected stream socket; closed in the end.
        first: bytes already received from the websocket.
    """
    loop = asyncio.get_running_loop()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as scope:
                # The end of the local connection interrupts whatever is waited for.
                _, there = await loop.create_unix_connection(lambda: _Local(websocket, scope), sock=local)
                try:
                    message: bytes | None = first
                    while message is not None:
                        await there.write(message)
                        message = await receive(websocket)
                finally:
                    websocket.local = None
                    there.close()
    finally:
        # Already closed with a better reason where a rule was broken: the first close counts.
        await websocket.close(CloseCode.NORMAL_CLOSURE, "the gRPC connection has ended")


class _Local(asyncio.Protocol):
    """The local connection of a websocket."""

    __slots__ = ("_room", "_scope", "_transport", "_websocket")

    def __init__(self, websocket: PacedConnection, scope: asyncio.Timeout) -> None:
        self._websocket = websocket
        self._scope = scope
        self._transport: asyncio.Transport
        # Set while the local side takes no more.
        self._room: asyncio.Future[None] | None = None

    async def write(self, message: bytes) -> None:
        """Return when there is room for the next message."""
        self._transport.write(message)
        if self._room is not None:
            await self._room

    def pause(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def close(self) -> None:
        """Close once what was written is out."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(FRAME_BYTES)
        self._websocket.local = self
        if self._websocket.paused:
            self.pause()

    def data_received(self, data: bytes) -> None:
        protocol = self._websocket.protocol
        try:
            for start in range(0, len(data), FRAME_BYTES):
                protocol.send_binary(data[start : start + FRAME_BYTES])
        except InvalidState:  # the websocket is closing
            self._transport.abort()
            return
        self._websocket.send_data()
        self._websocket.allowance.earn(len(data) / limits.BYTES_A_POINT)

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # whatever it was, the websocket is told that it has ended
        if self._websocket.local is self:  # not closed by us
            self._websocket.local = None
            self._scope.reschedule(0)
