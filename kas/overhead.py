"""How many bytes a connection may send besides what it has to say. Pure.

gRPC takes floods of frames without end and without a word to us; what the kernel has counted of a connection tells.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agentlink.limits import MEBIBYTE

NEWCOMER_BYTES: Final = 6 * MEBIBYTE
"""What one may send that nobody knows yet: a first message as large as any, and what it is wrapped in."""

OVERHEAD_BYTES: Final = 8 * MEBIBYTE
"""What one that was let in may send beyond its messages, once: its first one on a stream is not counted either."""

OVERHEAD_BYTES_A_SECOND: Final = 16 * 1024
"""And this every second. An agent's pings and calls take a thousandth of it while it is idle."""

_WRAPPING: Final = 1.1
"""What frames and TLS make of a message."""

_ACKNOWLEDGED: Final = 1 / 64
"""What may be sent back for a byte that was received: window updates are 13 bytes for some kilobytes."""


class Traffic(NamedTuple):
    """What the kernel counted of a connection: bytes that the other end has taken, and bytes that it has sent."""

    taken: int
    sent: int


def is_flood(traffic: Traffic, *, inside: bool, brought: int, seconds: float) -> bool:
    """Tell whether a connection sends what nobody needs.

    Args:
        traffic: of the connection, since it began.
        inside: whether it was let in.
        brought: bytes of the messages that were taken from it.
        seconds: how long it is there.
    """
    if not inside:
        return traffic.sent > NEWCOMER_BYTES
    allowed = OVERHEAD_BYTES + seconds * OVERHEAD_BYTES_A_SECOND + brought * _WRAPPING + traffic.taken * _ACKNOWLEDGED
    return traffic.sent > allowed
