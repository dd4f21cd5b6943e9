"""What kas notes about one agent's revisions, written beside the stream: a database that is away stops no delivery.

Notes keep their order and wait for the database. An agent has a stream for each of its replicas, and they share its
notes, so that one that lags behind does not note the revision before as the newest. What is waiting when the last
stream ends is not lost for good: the next one begins by noting where everything stands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from kas.store.errors import StoreError
from kas.store.patience import when_available

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAITING: Final = 1_000
"""Notes of one agent that wait; more drop the oldest, which newer ones have overtaken."""

log = get_logger("gitops")


class Notes:
    """The notes of one agent. Each of its streams runs ``run`` as long as it is open; one at a time writes."""

    def __init__(self, agent_id: int) -> None:
        self._agent_id = agent_id
        self._waiting: deque[tuple[str, Callable[[], Awaitable[object]]]] = deque(maxlen=WAITING)
        self._added = asyncio.Event()
        self._writing = asyncio.Lock()
        self._newest: dict[int, int] = {}

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
        self._added.set()

    async def run(self) -> None:
        """Write what was added, for ever."""
        async with self._writing:
            while True:
                while self._waiting:
                    await self._write(self._waiting[0])
                self._added.clear()
                await self._added.wait()

    async def _write(self, entry: tuple[str, Callable[[], Awaitable[object]]]) -> None:
        what, note = entry
        try:
            await when_available(note, what=what)
        except StoreError as error:  # refused, such as for an agent that was deleted meanwhile
            log.warning("A note could not be stored", agent_id=self._agent_id, what=what, why=str(error))
        # Not before: when this stream ends, another one writes it; unless more came than may wait, and it was dropped.
        if self._waiting and self._waiting[0] is entry:
            self._waiting.popleft()
