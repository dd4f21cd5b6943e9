"""Fair turns at something that many share: nobody's crowd keeps others from theirs.

Callers wait in lanes, one for each that is to have its own share, such as an address. Lanes take turns, whatever their
length; within a lane it is first come, first served. All of it is bounded: a lane that is full refuses its own, and
when all lanes together are, the longest gives way.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from kas.rpc.admission import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable


class _Waiter(NamedTuple):
    turn: asyncio.Future[None]
    most: int


class Turns:
    """Lets ``at_once`` callers through at a time; ``waiting`` may wait, ``waiting_each`` of them in one lane."""

    def __init__(self, at_once: int, *, waiting: int, waiting_each: int, retry_after: float, busy: str) -> None:
        """Say ``busy`` to who finds no room, and ask for another try after ``retry_after`` seconds."""
        self._at_once = at_once
        self._waiting = waiting
        self._waiting_each = waiting_each
        self._retry_after = retry_after
        self._busy = busy
        self._running: Counter[Hashable] = Counter()
        self._in_all = 0
        # The lane whose turn comes next is first. None of them is empty.
        self._lanes: dict[Hashable, deque[_Waiter]] = {}
        self._waiters = 0

    @asynccontextmanager
    async def turn(self, lane: Hashable, *, most: int | None = None) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the context lasts.

        Args:
            lane: whose share it is of.
            most: how many of this lane may have their turn at once; as many as of all unless given.

        Raises:
            BusyError: too many wait.
        """
        most = self._at_once if most is None else most
        if lane in self._lanes or self._running[lane] >= most or self._in_all >= self._at_once:
            await self._wait(lane, most)
        else:
            self._enter(lane)
        try:
            yield
        finally:
            self._leave(lane)

    async def _wait(self, lane: Hashable, most: int) -> None:
        self._make_room(lane)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), most)
        self._lanes.setdefault(lane, deque()).append(waiter)
        self._waiters += 1
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._lanes.get(lane, ()):
                self._remove(lane, waiter)
            elif waiter.turn.exception() is None:  # it had its turn in this moment
                self._leave(lane)
            raise

    def _make_room(self, lane: Hashable) -> None:
        own = len(self._lanes.get(lane, ()))
        refusal = BusyError(self._busy, self._retry_after)
        if own >= self._waiting_each:
            raise refusal
        if self._waiters >= self._waiting:
            longest = max(self._lanes, key=lambda name: len(self._lanes[name]))
            if len(self._lanes[longest]) <= own + 1:
                raise refusal
            last = self._lanes[longest][-1]
            self._remove(longest, last)
            if not last.turn.done():
                last.turn.set_exception(refusal)

    def _enter(self, lane: Hashable) -> None:
        self._running[lane] += 1
        self._in_all += 1

    def _leave(self, lane: Hashable) -> None:
        self._in_all -= 1
        self._running[lane] -= 1
        if not self._running[lane]:
            del self._running[lane]
        while self._in_all < self._at_once and self._call_next():
            pass

    def _call_next(self) -> bool:
        """Give the next lane that may have one a turn; tell whether there was any."""
        for lane, waiters in self._lanes.items():
            waiter = waiters[0]
            if waiter.turn.done() or self._running[lane] < waiter.most:
                self._remove(lane, waiter)
                if lane in self._lanes:
                    self._lanes[lane] = self._lanes.pop(lane)
                if not waiter.turn.done():  # it has not given up
                    self._enter(lane)
                    waiter.turn.set_result(None)
                return True
        return False

    def _remove(self, lane: Hashable, waiter: _Waiter) -> None:
        waiters = self._lanes[lane]
        waiters.remove(waiter)
        self._waiters -= 1
        if not waiters:
            del self._lanes[lane]
