"""When each session is asked to move to a new connection, and when it is ended that did not. Pure.

Connections that last for ever stay where they once began: a replica that is started stays empty, one that is stopped
drops all of its agents at once, and so does a proxy whose patience ends. So they are asked to move now and then, each
at a time of its own.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AGE_SECONDS: Final = 3600.0
"""How long a connection lives before it is asked to move."""

JITTER: Final = 0.1
"""The part of the age by which it is shorter or longer, so that those which began together do not move together."""

GRACE_SECONDS: Final = 120.0
"""How long who was asked may take: new connections may have to wait their turn. Older agents never answer."""

MOVED_BY: Final = 0.5
"""The part of a drain's time over which sessions are asked; the rest is for the last of them to get away."""

_ENOUGH: Final = 64


@dataclass(frozen=True, slots=True)
class Due:
    """Whose time has come: connection ids of those to be asked to move, and to be ended."""

    move: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


class Ages:
    """The times of every open session, on one clock that never jumps, in seconds."""

    def __init__(
        self,
        *,
        age: float = AGE_SECONDS,
        grace: float = GRACE_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Ask after about ``age`` and end ``grace`` later; an age of 0 lets sessions live for ever."""
        self._age = age
        self._grace = grace
        self._uniform = uniform
        self._next: dict[str, float] = {}
        self._asked: set[str] = set()
        self._queue: list[tuple[float, str]] = []

    def began(self, connection_id: str, now: float) -> None:
        """Note that a session has begun."""
        self._asked.discard(connection_id)
        if self._age:
            self._plan(connection_id, now + self._age * self._uniform(1 - JITTER, 1 + JITTER))
        else:
            self._next[connection_id] = float("inf")

    def ended(self, connection_id: str) -> None:
        """Note that a session has ended."""
        self._next.pop(connection_id, None)
        self._asked.discard(connection_id)
        if len(self._queue) > 2 * len(self._next) + _ENOUGH:
            self._queue = [entry for entry in self._queue if self._next.get(entry[1]) == entry[0]]
            heapq.heapify(self._queue)

    def asked(self, connection_id: str) -> bool:
        """Tell whether a session was asked to move."""
        return connection_id in self._asked

    def drain(self, now: float, period: float) -> None:
        """Have all sessions asked, spread over the first part of a period, and ended at its end."""
        for connection_id in list(self._next):
            if connection_id not in self._asked:
                self._plan(connection_id, now + self._uniform(0, period * MOVED_BY))
        self._grace = period * (1 - MOVED_BY)

    def due(self, now: float) -> Due:
        """Return whose time has come, each once."""
        move: list[str] = []
        end: list[str] = []
        while self._queue and self._queue[0][0] <= now:
            at, connection_id = heapq.heappop(self._queue)
            if self._next.get(connection_id) != at:
                continue
            if connection_id in self._asked:
                end.append(connection_id)
                self._next[connection_id] = float("inf")
            else:
                move.append(connection_id)
                self._asked.add(connection_id)
                self._plan(connection_id, now + self._grace)
        return Due(tuple(move), tuple(end))

    def _plan(self, connection_id: str, at: float) -> None:
        self._next[connection_id] = at
        heapq.heappush(self._queue, (at, connection_id))
