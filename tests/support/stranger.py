"""Connections that no proper client makes: raw sockets, from any address of this machine, that send and look on."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

ELSEWHERE = "127.0.0.2"
"""An address of this machine that nothing else here connects from."""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: kas\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ws-tunnel\r\n\r\n"
)

BINARY, PING_MESSAGE, CONTINUED = 2, 9, 0

_MESSAGE_BYTES = 32_768


def websocket_frame(payload: bytes, kind: int = BINARY, *, last: bool = True) -> bytes:
    """Return a client's frame, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([(0x80 if last else 0) | kind]) + length + bytes(4) + payload


class Stranger:
    """One connection. What comes back is read and thrown away, but for its end."""

    def __init__(self, port: int, *, websocket: bool = False, source: str = ELSEWHERE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._websocket = False
        self.sent = 0
        self.heard = b""
        self.closed = False
        if websocket:
            self.send(UPGRADE)
            self.wait(lambda: b"\r\n\r\n" in self.heard)
            self._websocket = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes, *, within: float = 60.0) -> bool:
        """Send all of it, or as much as is taken; return whether the connection is still there."""
        if self._websocket:
            parts = range(0, len(data), _MESSAGE_BYTES)
            data = b"".join(websocket_frame(data[at : at + _MESSAGE_BYTES]) for at in parts)
        return self.send_raw(data, within=within)

    def send_raw(self, data: bytes, *, within: float = 60.0) -> bool:
        """Send bytes as they are."""
        deadline = time.monotonic() + within
        rest = memoryview(data)
        while rest and not self.closed:
            assert time.monotonic() < deadline, "nothing more is taken, and nothing is closed"
            _, writable, _ = select.select([self._socket], [self._socket], [], 1)
            self.listen()
            if writable and not self.closed:
                try:
                    size = self._socket.send(rest)
                except BlockingIOError:
                    continue
                except OSError:
                    self.closed = True
                else:
                    self.sent += size
                    rest = rest[size:]
        return not self.closed

    def listen(self) -> bool:
        """Read what has come; return whether the connection has ended."""
        while not self.closed:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.closed = not data
            self.heard = (self.heard + data)[-4096:]
        return self.closed

    def wait(self, condition: object = None, *, within: float = 30.0) -> None:
        """Wait until a condition holds, until the other side has closed unless one is given."""
        deadline = time.monotonic() + within
        holds = condition if callable(condition) else (lambda: False)
        while not self.closed and not holds():
            assert time.monotonic() < deadline, f"it is still open after {within:g} s"
            select.select([self._socket], [], [], 0.2)
            self.listen()
