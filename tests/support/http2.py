"""HTTP/2 frames by hand, for what no proper client does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

PING, GOAWAY = 6, 7
ACK = 1


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    payload: bytes


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4)


async def read_frame(reader: StreamReader) -> Frame | None:
    """Return the next frame, None at the end."""
    try:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Frame(head[3], head[4], payload)
