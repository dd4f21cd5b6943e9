"""What kas notes about one agent's revisions, written beside the stream: a database that is away stops no delivery.

Notes keep their order and wait for the database, and until a crowd of agents has been told what is new. An agent has a
stream for each of its replicas, and they share its notes, so that one that lags behind does not note the revision
before as the newest. What is waiting when the last stream ends is not lost for good: the next one begins by noting
where everything stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from kas.spawning import spawn
from kas.store.errors import StoreError
from kas.store.patience import when_available

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from kas.rush import Rush

WAITING: Final = 1_000
"""Notes of one agent that wait; more drop the oldest, which newer ones have overtaken."""

log = get_logger("gitops")


class Notes:
    """The notes of one agent, written by one of its streams at a time, in a task only while there are any."""

    __slots__ = ("__weakref__", "_agent_id", "_newest", "_rush", "_streams", "_waiting", "_writing")

    def __init__(self, agent_id: int, rush: Rush) -> None:
        self._rush = rush
        self._agent_id = agent_id
        self._waiting: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        # Of each stream the group that its tasks are in.
        self._streams: list[asyncio.TaskGroup] = []
        self._writing: asyncio.Task[None] | None = None
        self._newest: dict[int, int] = {}

    def join(self, tasks: asyncio.TaskGroup) -> None:
        """Have notes written in a stream's group of tasks."""
        self._streams.append(tasks)
        self._write_soon()

    def leave(self, tasks: asyncio.TaskGroup) -> None:
        """Have no more of them written there, before the group ends: another stream goes on where this one was."""
        self._streams.remove(tasks)

    def overtake(self, project_id: int, number: int) -> bool:
        """Take note of how far a stream has come with a project; tell whether no other has come further.

        Args:
            project_id: the manifest project.
            number: of the ref's state (``kas.git.watcher.RefState``); 0 is never behind.
        """
        if 0 < number < self._newest.get(project_id, 0):
            return False
        self._newest[project_id] = number
        return True

    def add(self, what: str, note: Callable[[], Awaitable[object]]) -> None:
        """Have ``note`` called soon, and again until the database took it; ``what`` names it in the log."""
        self._waiting.append((what, note))
        del self._waiting[:-WAITING]
        self._write_soon()

    def _write_soon(self) -> None:
        """Begin to write in the first stream that takes work, unless one writes already."""
        if not self._waiting or self._writing is not None:
            return
        for tasks in self._streams:
            self._writing = spawn(tasks, self._write_all())
            if self._writing is not None:
                self._writing.add_done_callback(self._written)
                return

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writing = None
        self._write_soon()

    async def _write_all(self) -> None:
        while self._waiting:
            await self._rush.over()
            await self._write(self._waiting[0])

    async def _write(self, entry: tuple[str, Callable[[], Awaitable[object]]]) -> None:
        what, note = entry
        try:
            await when_available(note, what=what)
        except StoreError as error:  # refused, such as for an agent that was deleted meanwhile
            log.warning("A note could not be stored", agent_id=self._agent_id, what=what, why=str(error))
        # Not before: when this stream ends, another one writes it; unless more came than may wait, and it was dropped.
        if self._waiting and self._waiting[0] is entry:
            self._waiting.pop(0)
