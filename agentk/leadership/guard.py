"""What stands between a leader and every write it sends: open only while nobody else can have the lease."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agentk.kube.errors import KubeError, NotLeaderError

if TYPE_CHECKING:
    from collections.abc import Callable


def now() -> float:
    """Return the seconds of a clock that never goes back, and goes on while the machine sleeps where there is one."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Guard:
    """The guard of one term of leading.

    It looks at the clock for each write, so that a process that was stopped and goes on finds it closed before anything
    has noticed. Closed is not over: the lease may turn out to have been ours all along, and then all goes on. Once over
    it stays over, and a later term has a guard of its own.
    """

    def __init__(self, agent_id: int, *, clock: Callable[[], float] = now) -> None:
        self.agent_id = agent_id
        self._clock = clock
        self._until = 0.0
        self._over = False
        self._hindrance = ""
        self._news = asyncio.Event()

    def extend(self, until: float) -> None:
        """Let writes leave until then, by the same clock."""
        if until > self._until:
            self._until = until
            self._tell()

    def hinder(self, why: str) -> None:
        """Say why the lease cannot be renewed, empty when it can: while the guard is closed nobody waits for that."""
        if why != self._hindrance:
            self._hindrance = why
            self._tell()

    def end(self) -> None:
        """Let nothing leave any more."""
        self._over = True
        self._tell()

    def is_open(self) -> bool:
        """Tell whether a write may leave in this moment."""
        return not self._over and self._clock() < self._until

    @property
    def is_over(self) -> bool:
        """Tell whether the term has ended."""
        return self._over

    async def opened(self) -> None:
        """Return when writes may leave.

        Raises:
            NotLeaderError: They never will again.
            KubeError: Nobody knows when, since the API server does not renew the lease; trying again may help.
        """
        while not self.is_open():
            if self._over:
                raise NotLeaderError
            if self._hindrance:
                raise KubeError(0, "Unreachable", self._hindrance)
            await self._news.wait()

    async def ended(self) -> None:
        """Return when the term is over."""
        while not self._over:
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
