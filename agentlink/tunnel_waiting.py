"""Who has connected and not begun: thousands of silent connections must not keep others out. Pure.

A connection that is meant sends its websocket handshake and the beginning of HTTP/2 within milliseconds. So when too
many wait, those go first that have been silent for longest; only when all of them are new, as after a restart with
thousands of agents, a further one is sent away.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T", bound="Hashable")


class Waiting(Generic[T]):
    """The connections that have not begun, oldest first."""

    def __init__(
        self,
        most: int,
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._patience = patience
        self._clock = clock
        self._since: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, connection: T) -> T | None:
        """Take a connection in; return the one that has to go, if any: an older one, or itself when all are new."""
        now = self._clock()
        loser: T | None = None
        if len(self._since) >= self._most:
            oldest = next(iter(self._since))
            if now - self._since[oldest] < self._patience:
                return connection
            loser = oldest
            del self._since[oldest]
        self._since[connection] = now
        return loser

    def leave(self, connection: T) -> None:
        """Forget a connection: it has begun, or ended."""
        self._since.pop(connection, None)
