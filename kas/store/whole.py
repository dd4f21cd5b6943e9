"""Lets what was begun in the database end, whatever becomes of the caller.

A call that hangs up cancels its handler. Cancelled within a transaction, the driver would give its connection up with
the statement still open, and SQLite would keep the write lock until Python finds the pieces: every other writer waits
in vain.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

P = ParamSpec("P")
T = TypeVar("T")


def whole(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a method to its end; a cancellation meanwhile is raised after it.

    The cancelled caller does not learn how it ended: what was written may be committed.
    """

    @functools.wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        # Not a TaskGroup, which would pass the cancellation on. The task is owned all the same: it never outlives us.
        task = asyncio.get_running_loop().create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await ended(task)
            raise

    return run


async def ended(work: asyncio.Future[T]) -> None:
    """Wait until something has ended, whatever becomes of the caller meanwhile; how it ended is nobody's concern."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue  # once more; the first one is about to be raised
    if not work.cancelled():
        work.exception()  # nobody is left to hear of it
