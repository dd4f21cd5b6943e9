"""What kas notes about one agent's revisions, written beside the stream: a database that is away stops no delivery.

Notes keep their order and wait for the database. What is waiting when the agent's stream ends is not lost for good:
the next stream begins by noting where everything stands.
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
    """The notes of one stream. ``run`` it as long as the stream is open."""

    def __init__(self, agent_id: int) -> None:
        self._agent_id = agent_id
        self._waiting: deque[tuple[str, Callable[[], Awaitable[object]]]] = deque(maxlen=WAITING)
        self._added = asyncio.Event()

    def add(self, what: str, note: Callable[[], Awaitable[object]]) -> None:
        """Have ``note`` called soon, and again until the database took it; ``what`` names it in the log."""
        self._waiting.append((what, note))
        self._added.set()

    async def run(self) -> None:
        """Write what was added, for ever."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._waiting:
                what, note = self._waiting.popleft()
                try:
                    await when_available(note, what=what)
                except StoreError as error:  # refused, such as for an agent that was deleted meanwhile
                    log.warning("A note could not be stored", agent_id=self._agent_id, what=what, why=str(error))
