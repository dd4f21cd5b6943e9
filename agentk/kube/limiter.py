"""Who may send next: requests wait in lanes, one for each project, and the lanes take turns.

So a project with 20,000 objects to apply holds up one with four by a request or two. How many may be in flight is
``concurrency``; here are the clock, the queue and the counting. Streams (watches) are not counted: a server does not
count them either once they have begun.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from agentk.kube.concurrency import CEILING, Concurrency, Trouble
from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentk.kube.errors import KubeError

OWN_LANE: Final = ""
"""The agent's own requests (lists for the watches, discovery), on which every project depends: they never wait behind
projects. They are few: a page of each watched kind at a time."""

log = logs.get_logger("kube")


def trouble_of(error: KubeError) -> Trouble | None:
    """Return what an error says about the server's load, None where it is about the request alone."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Trouble.REFUSED
    if error.status == HTTPStatus.GATEWAY_TIMEOUT or error.reason in {"Timeout", "ServerTimeout"}:
        return Trouble.LATE
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Trouble.AWAY
    return None


class Limiter:
    """Slots for requests to one API server."""

    def __init__(self, ceiling: int = CEILING, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a limiter; needs an event loop only once somebody has to wait.

        Args:
            ceiling: Requests in flight at most.
            clock: Seconds.
        """
        self.concurrency = Concurrency(ceiling)
        self._clock = clock
        self._flying = 0
        self._lanes: dict[str, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way."""
        return self._flying

    async def enter(self, lane: str) -> float:
        """Wait for a slot; return when that was, for ``leave``.

        Args:
            lane: Whose turn it must be.
        """
        now = self._clock()
        if self._lanes or self._flying >= self.concurrency.limit or now < self.concurrency.not_before:
            await self._wait(lane)
            return self._clock()
        self._flying += 1
        return now

    def leave(self, sent: float, error: KubeError | None = None, *, change: bool = False) -> None:
        """Give the slot back and say how the request went.

        Args:
            sent: What ``enter`` returned.
            error: What came instead of an answer.
            change: Whether it was a write of one object.
        """
        trouble = None if error is None else trouble_of(error)
        if error is not None and error.status == 0 and trouble is None:
            self.abandon()  # no connection says nothing of how many requests there may be
            return
        now = self._clock()
        before = self.concurrency.limit
        if trouble is None:
            busy = self._flying >= before
            self.concurrency.answered(sent=sent, now=now, change=change and error is None, busy=busy)
        else:
            self.concurrency.troubled(trouble, sent=sent, now=now, pause=error.retry_after if error else None)
        if self.concurrency.limit < before:
            why = str(error) if error is not None else "it answers much slower than before"
            log.info("The API server is given fewer requests at once", at_once=self.concurrency.limit, why=why)
        self._flying -= 1
        if self._lanes:
            self._admit()

    def abandon(self) -> None:
        """Give the slot back of a request that was broken off: nothing is learned from it."""
        self._flying -= 1
        if self._lanes:
            self._admit()

    async def _wait(self, lane: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(lane, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.abandon()
            else:
                self._forget(lane, turn)
            raise

    def _forget(self, lane: str, turn: asyncio.Future[None]) -> None:
        waiting = self._lanes.get(lane)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._lanes[lane]

    def _admit(self) -> None:
        """Let in whom there is room for: the agent's own first, then one of each lane in turn."""
        pause = self.concurrency.not_before - self._clock()
        if pause > 0:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(pause, self._resume)
            return
        while self._lanes and self._flying < self.concurrency.limit:
            lane = OWN_LANE if OWN_LANE in self._lanes else next(iter(self._lanes))
            # Taken out and put back at the end: a dictionary keeps the order in which its keys came.
            waiting = self._lanes.pop(lane)
            turn = waiting.popleft()
            if waiting:
                self._lanes[lane] = waiting
            if not turn.done():
                self._flying += 1
                turn.set_result(None)

    def _resume(self) -> None:
        self._timer = None
        self._admit()
