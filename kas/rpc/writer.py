"""The one writer of an agent's stream, which has a task only while there is something to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kas.rush import Rush


class Channel(Protocol):
    """What is written to; gRPC's context of a stream is one."""

    async def write(self, message: wire.KasMessage, /) -> None:
        """Return when there is room for the next message."""


class Writer:
    """Writes what it is to take, one message after the other; an error ends the group ``tasks``.

    What can wait does while ``rush`` has much to write.
    """

    __slots__ = ("_asked_to_move", "_channel", "_rush", "_take", "_task", "_tasks")

    def __init__(self, rush: Rush, channel: Channel, tasks: asyncio.TaskGroup) -> None:
        self._rush = rush
        self._channel = channel
        self._tasks = tasks
        self._take: Callable[[], wire.KasMessage | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked_to_move = False

    def begin(self, take: Callable[[], wire.KasMessage | None]) -> None:
        """Write from now on what ``take`` returns, None meaning that there is nothing now."""
        self._take = take
        self.wake()

    def wake(self) -> None:
        """Look for what is to be written, soon."""
        if self._take is not None and self._task is None:
            self._task = self._rush.spawn(self._tasks, self._write())

    def ask_to_move(self) -> None:
        """Ask the agent to move to a new connection, before anything else."""
        self._asked_to_move = True
        self.wake()

    async def _write(self) -> None:
        try:
            while (message := self._next()) is not None:
                await self._channel.write(message)
        finally:
            self._task = None

    def _next(self) -> wire.KasMessage | None:
        if self._asked_to_move:
            self._asked_to_move = False
            return wire.KasMessage(moving=wire.Moving())
        return self._take() if self._take is not None else None
