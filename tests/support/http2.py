"""HTTP/2 frames by hand, for what no proper client does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RESET, SETTINGS_FRAME, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS = 4
CANCEL = (8).to_bytes(4, "big")


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    payload: bytes


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4)


def header(name: str, value: str) -> bytes:
    """Return a header as HPACK writes it without a table."""
    return b"\0" + _text(name) + _text(value)


def _text(value: str) -> bytes:
    encoded = value.encode()
    size = len(encoded) - 127
    if size < 0:
        return bytes([len(encoded)]) + encoded
    length = b""
    while size >= 128:
        length += bytes([size % 128 + 128])
        size //= 128
    return b"\x7f" + length + bytes([size]) + encoded


def call(method: str, stream: int, *, token: str = "", flags: int = END_HEADERS) -> bytes:
    """Return the frame that begins a call of kas' service."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/agentlink.v1.AgentLink/{method}",
        ":authority": "kas",
        "content-type": "application/grpc",
        "te": "trailers",
        **({"authorization": f"Bearer {token}"} if token else {}),
    }
    block = b"".join(header(name, value) for name, value in fields.items())
    return frame(HEADERS, block, flags=flags, stream=stream)


async def read_frame(reader: StreamReader) -> Frame | None:
    """Return the next frame, None at the end."""
    try:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Frame(head[3], head[4], payload)
