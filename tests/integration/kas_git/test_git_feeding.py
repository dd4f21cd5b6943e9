"""What git is fed with is closed once: a descriptor closed twice may by then be that of another thread."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import uvloop

from kas.git.runner import _feed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Watched(socket.socket):
    """Notes when it is closed although its descriptor is gone."""

    late = 0

    def close(self) -> None:
        try:
            if self.fileno() >= 0:
                os.fstat(self.fileno())
        except OSError:
            self.late += 1
        super().close()


async def pieces() -> AsyncGenerator[bytes, None]:
    yield b"PACK"


def test_the_descriptor_is_closed_once_by_the_loop_that_kas_runs_on() -> None:
    ours, theirs = socket.socketpair()
    sink = Watched(fileno=ours.detach())
    with theirs:
        uvloop.run(_feed(sink, pieces()))
        assert theirs.recv(100) == b"PACK"
        assert theirs.recv(100) == b""
    assert (sink.late, sink.fileno()) == (0, -1)
