"""Tells whoever watches, inside this process, what has just been stored. Nothing here waits for a reader.

A reader that falls behind loses its backlog and is told so (``Resync``): it reads anew from the store what it shows. So
memory is bounded, and storing reports never depends on who looks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from agentlink.refs import ObjectRef
    from kas.store.records import EventRecord, SyncRecord

BACKLOG: Final = 1000
"""Changes kept for one reader. A sync of thousands of objects is a few changes, one for each batch."""


@dataclass(frozen=True, slots=True)
class SyncChanged:
    """A sync is new or has moved on."""

    sync: SyncRecord


@dataclass(frozen=True, slots=True)
class ObjectsChanged:
    """Something was reported about these objects; ``store.objects`` knows what they are at now."""

    agent_id: int
    project_id: int
    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class EventAdded:
    """An event was stored."""

    event: EventRecord


@dataclass(frozen=True, slots=True)
class Resync:
    """Changes were left out: read everything anew."""


Change = SyncChanged | ObjectsChanged | EventAdded | Resync


class Subscription:
    """One reader's changes: ``async for change in subscription``, until the feed closes. For one task only."""

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._changes: deque[Change] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, change: Change) -> None:
        """Add a change; one too many, or a resync, takes the place of all that wait."""
        if isinstance(change, Resync) or len(self._changes) >= self._backlog:
            self._changes.clear()
            change = Resync()
        self._changes.append(change)
        self._news.set()

    def close(self) -> None:
        """End the iteration once what waits has been read."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            while self._changes:
                yield self._changes.popleft()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()


def _nobody() -> None:
    """Tell nobody."""


class Feed:
    """Passes changes on to every subscription. To be used on one event loop."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self.tell: Callable[[], None] = _nobody
        """Called whenever something was published here; for telling other replicas of kas. Must not block."""

    @contextmanager
    def subscribe(self, *, backlog: int = BACKLOG) -> Iterator[Subscription]:
        """Give the changes from now on; leaving the block ends it.

        Subscribe first and read the store then: nothing can fall between the two.
        """
        subscription = Subscription(backlog)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, changes: Iterable[Change]) -> None:
        """Pass changes on; they must be committed."""
        told = False
        for change in changes:
            told = True
            for subscription in self._subscriptions:
                subscription.put(change)
        if told:
            self.tell()

    def changed_elsewhere(self) -> None:
        """Have everybody read anew: something was published at another replica of kas."""
        for subscription in self._subscriptions:
            subscription.put(Resync())

    def close(self) -> None:
        """End every subscription, those to come too: the program stops."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
