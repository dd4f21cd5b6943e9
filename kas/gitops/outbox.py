"""What one agent is still to be sent, newest first come: the only buffer between Git and a slow agent.

An agent that reads slowly holds up nobody: for each project only the newest offer waits, and projects take turns
message by message, so that a huge one does not keep a small one waiting. Not thread-safe; lives on one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kas.gitops.delta import transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentlink.v1 import agentlink_pb2 as wire
    from kas.desired.model import Snapshot
    from kas.gitops.delta import Offer


class Outbox:
    """Turns offers into the agent's stream. ``held`` are complete snapshots that the agent has, by project id."""

    def __init__(self, held: dict[int, Snapshot]) -> None:
        self._held = held
        self._configuration: wire.KasMessage | None = None
        self._waiting: dict[int, Offer] = {}
        self._active: dict[int, tuple[Offer, Iterator[wire.KasMessage]]] = {}
        self._turns: deque[int] = deque()
        self._wake = asyncio.Event()

    def configure(self, message: wire.KasMessage) -> None:
        """Send a configuration before anything else; one that still waits is replaced."""
        self._configuration = message
        self._wake.set()

    def offer(self, offer: Offer) -> None:
        """Send this snapshot; a transfer of an older one for the same project is given up."""
        project_id = offer.project_id
        self._active.pop(project_id, None)
        self._waiting[project_id] = offer
        if project_id not in self._turns:
            self._turns.append(project_id)
        self._wake.set()

    def forget(self, project_id: int) -> None:
        """Drop what waits for a project that left the configuration, and what the agent held of it."""
        self._waiting.pop(project_id, None)
        self._active.pop(project_id, None)
        self._held.pop(project_id, None)
        if project_id in self._turns:
            self._turns.remove(project_id)

    async def messages(self) -> AsyncIterator[wire.KasMessage]:
        """Yield the stream, for ever. A transfer's base is what was sent whole on this stream before."""
        while True:
            message = self._next()
            if message is not None:
                yield message
                continue
            self._wake.clear()
            await self._wake.wait()

    def _next(self) -> wire.KasMessage | None:
        if self._configuration is not None:
            message, self._configuration = self._configuration, None
            return message
        if not self._turns:
            return None
        project_id = self._turns[0]
        offer = self._waiting.pop(project_id, None)
        if offer is not None:
            self._active[project_id] = (offer, transfer(offer, self._held.get(project_id)))
        offer, messages = self._active[project_id]
        message = next(messages)
        if message.WhichOneof("message") == "snapshot_complete":
            self._held[project_id] = offer.snapshot
            del self._active[project_id]
            self._turns.popleft()
        else:
            self._turns.rotate(-1)
        return message
