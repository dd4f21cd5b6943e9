"""What HTTP/2's frames cost who has to read them. Pure: bytes in, points out.

gRPC's library answers floods by working them off: of rapid resets, pings, settings, priorities, window updates and
endless headers only a few end the connection (docs/decisions/0023-strangers.md). Here they are counted before it sees
them. Nothing is checked: what is no HTTP/2 is the library's business.
"""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_HEAD_BYTES: Final = 9
_DATA: Final = 0
_HEADERS: Final = 1
_CONTINUATION: Final = 9

_WORTH_ITS_FRAME: Final = 256
"""Bytes of a DATA frame that is no mere overhead."""

_CALL_POINTS: Final = 10
"""For a frame that begins a call or goes on with its headers; others are one point."""


class Frames:
    """Follows the frames of one direction of one connection, whatever pieces it comes in."""

    __slots__ = ("_head", "_skip")

    def __init__(self) -> None:
        # The preface is skipped like the payload of a frame.
        self._skip = len(PREFACE)
        self._head = b""

    def points(self, data: bytes) -> int:
        """Return what the frames cost whose heads end in ``data``."""
        points = 0
        at = 0
        size = len(data)
        while True:
            if self._skip >= size - at:
                self._skip -= size - at
                return points
            at += self._skip
            self._skip = 0
            head = self._head + data[at : at + _HEAD_BYTES - len(self._head)]
            at += len(head) - len(self._head)
            if len(head) < _HEAD_BYTES:
                self._head = head
                return points
            self._head = b""
            self._skip = int.from_bytes(head[:3], "big")
            kind = head[3]
            if kind != _DATA or self._skip < _WORTH_ITS_FRAME:
                points += _CALL_POINTS if kind in {_HEADERS, _CONTINUATION} else 1
