"""What thousands of agents ask for and write in the same moment, done together: one transaction instead of thousands.

Whoever comes while a group is being done waits for the next one, and in a crowd a moment longer, so that groups grow
with the crowd; whoever comes alone waits for nothing. What each caller gets is what it would have got alone.

A caller that is cancelled while it waits leaves nothing behind: what an agent asked that has given up since is not done
for nobody. Once its group has begun the group is done to its end first, for the reason that ``whole.py`` gives.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kas.store.errors import StoreError, StoreUnavailable
from kas.store.whole import ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 500
"""Items in one group: enough that a transaction's own cost is shared, few enough that it holds nobody up for long."""

CROWD_SECONDS: Final = 0.02
"""How long after the beginning of a group of several the next one begins; what a group costs is shared by more then."""


class Together(Generic[T, R]):
    """Passes items on in groups, in the order in which they came.

    ``call`` does a group, whole or not at all, and returns a result for each item in their order.
    """

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._call = call
        # In the order in which they came.
        self._waiting: dict[asyncio.Future[R], T] = {}
        self._working: asyncio.Task[None] | None = None
        self._not_before = 0.0

    async def do(self, item: T) -> R:
        """Have an item done and return what became of it; a cancellation is raised when no group holds it any more.

        Raises:
            StoreError: what the item itself met; an item that cannot be done keeps no other one from being done.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._waiting[done] = item
        if self._working is None:
            # Not a TaskGroup, which would pass a caller's cancellation on. It is owned all the same: by those who wait.
            self._working = loop.create_task(self._work())
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if self._waiting.pop(done, None) is None:
                await ended(done)
            raise

    async def _work(self) -> None:
        """Do groups as long as anybody waits."""
        try:
            while self._waiting:
                await self._gather()
                group = [(self._waiting.pop(done), done) for done in tuple(islice(self._waiting, MOST))]
                if group:  # not all of them gave up in that moment
                    await self._do(group)
        finally:
            self._working = None

    async def _gather(self) -> None:
        loop = asyncio.get_running_loop()
        if len(self._waiting) < MOST and (wait := self._not_before - loop.time()) > 0:
            await asyncio.sleep(wait)
        self._not_before = loop.time() + CROWD_SECONDS if len(self._waiting) > 1 else 0.0

    async def _do(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._call([item for item, _ in group])
        except StoreUnavailable as error:
            for _, done in group:
                done.set_exception(StoreUnavailable(error.detail))
        except Exception as error:  # noqa: BLE001 - a defect is told to everybody who waits, and ends no other group
            await self._tell(error, group)
        except BaseException:
            for _, done in group:
                done.cancel()
            raise
        else:
            for (_, done), result in zip(group, results, strict=True):
                done.set_result(result)

    async def _tell(self, error: Exception, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        """Tell a group of its error; where it may be one item's alone, do each by itself."""
        if isinstance(error, StoreError) and len(group) > 1:
            for one in group:
                await self._do([one])
            return
        for _, done in group:
            done.set_exception(error)
