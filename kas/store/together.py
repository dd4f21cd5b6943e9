"""What thousands of agents ask for and write in the same moment, done together: one transaction instead of thousands.

Whoever comes while a group is being done waits for the next one, and in a crowd a moment longer, so that groups grow
with the crowd; whoever comes alone waits for nothing. What each caller gets is what it would have got alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kas.store.errors import StoreError, StoreUnavailable

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
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._turn = asyncio.Lock()
        self._not_before = 0.0

    async def do(self, item: T) -> R:
        """Have an item done and return what became of it. To be called from methods that are ``whole``.

        Raises:
            StoreError: what the item itself met; an item that cannot be done keeps no other one from being done.
        """
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        # First come, first served: whoever has its turn and is not done yet is among the next ones of the group.
        async with self._turn:
            if not done.done():
                await self._gather()
                group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                await self._do(group)
        return await done

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
        except StoreError as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for one in group:
                await self._do([one])
        except BaseException as error:
            for _, done in group:
                done.set_exception(error)
                done.exception()  # heard: whoever waits may be gone
            raise
        else:
            for (_, done), result in zip(group, results, strict=True):
                done.set_result(result)
