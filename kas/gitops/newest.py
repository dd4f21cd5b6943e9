"""Work on whatever is newest, in a task only while there is something to do: ten thousand idle agents have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from typing import Any

    from kas.rush import Rush

T = TypeVar("T")


class Newest(Generic[T]):
    """Calls ``work`` with each value that is put, one at a time; of those that come meanwhile only the newest counts.

    An error of ``work`` ends the group ``tasks``. What can wait does while ``rush`` has much of it.
    """

    __slots__ = ("_next", "_rush", "_task", "_tasks", "_work")

    def __init__(self, rush: Rush, tasks: asyncio.TaskGroup, work: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        self._rush = rush
        self._tasks = tasks
        self._work = work
        self._next: tuple[T] | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, value: T) -> None:
        """Have a value worked on, soon."""
        self._next = (value,)
        if self._task is None or self._task.done():
            self._task = self._rush.spawn(self._tasks, self._run())

    def drop(self) -> None:
        """Give up what is worked on, and what waits."""
        self._next = None
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._next is not None:
                (value,), self._next = self._next, None
                await self._work(value)
        finally:
            self._task = None
