"""News go out first: what can wait does, while a crowd of agents is told what is new.

A push may concern ten thousand agents. The first of them report before the last one has been told, and to take a report
in costs several times what telling costs; so reports and what kas notes wait until all are told, or for
``LONGEST_SECONDS``, whichever comes first. While only a few are told nothing waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from kas.spawning import spawn

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")

FEW: Final = 100
"""Pieces of such work under way that hold nothing up: they take some hundredths of a second."""

LONGEST_SECONDS: Final = 5.0
"""How long anything waits at the most; agents wait 30 s for the answer to a report."""

AT_ONCE: Final = 100
"""So many of those that waited go on in one turn of the event loop, which is there for others too."""


class Rush:
    """What tells agents news is done by ``spawn``; what can wait awaits ``over`` before it begins."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        # How many of those that wait go on, the first ones.
        self._going_on = 0
        self._end: asyncio.TimerHandle | None = None
        # Those who are told now have had their time, as agents may that do not read.
        self._enough = False

    @property
    def waiting(self) -> int:
        """Tell how many wait."""
        return len(self._waiting)

    def spawn(self, tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
        """Tell news, in a task of a group; None where the group is ending, which takes in no more."""
        task = spawn(tasks, work)
        if task is not None:
            task.add_done_callback(self._told)
            self._under_way += 1
            if self._under_way > FEW and self._end is None and not self._enough:
                self._end = asyncio.get_running_loop().call_later(LONGEST_SECONDS, self._give_up)
        return task

    async def over(self) -> bool:
        """Return when no crowd is told news, or when that takes too long; tell whether it had to be waited for."""
        if self._end is None:
            return False
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting
        return True

    def _told(self, _: asyncio.Task[T]) -> None:
        self._under_way -= 1
        if self._under_way <= FEW:
            self._enough = False
            self._go_on()

    def _give_up(self) -> None:
        self._enough = True
        self._go_on()

    def _go_on(self) -> None:
        if self._end is None:
            return
        self._end.cancel()
        self._end = None
        going_on, self._going_on = self._going_on, len(self._waiting)
        if not going_on:
            self._let_go()

    def _let_go(self) -> None:
        """Let some go on now and the others soon, even if the next crowd is told news by then: they have waited."""
        some = min(AT_ONCE, self._going_on)
        self._going_on -= some
        for _ in range(some):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
        if self._going_on:
            asyncio.get_running_loop().call_soon(self._let_go)
