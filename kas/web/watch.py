"""Watches: a list that goes on. JSON lines, first what is, then every change, until kas stops or the peer is gone.

``{"type": "ADDED" | "MODIFIED" | "DELETED", "object": …}``; ``BOOKMARK`` once when the state at the start is complete;
``HEARTBEAT`` every few seconds, so that either end notices a dead peer; ``END`` when kas stops. A watch is driven by
state, not by messages: whatever woke it, it reads what is now and writes the difference. So a slow reader skips what is
already out of date, and missing a wake-up cannot lose a change for longer than a heartbeat.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson
from aiohttp import web

from agentlink.logs import get_logger
from kas.store.errors import StoreError
from kas.web.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from kas.reports.feed import Feed, Subscription
    from kas.web.metrics import Metrics

HEARTBEAT_SECONDS = 5.0
"""Also how soon a revoked API token ends its watch."""

_GLANCE_SECONDS = 0.5
"""How often what is in memory (the connected agents) is compared; costs no query."""

_PAUSE_SECONDS = 0.1
"""At least so long between two reads: a sync of thousands of objects wakes its watchers very often."""

_WRITE_SECONDS = 30.0
"""A peer that takes nothing for so long is given up."""

Change = tuple[str, object]
"""The type of a line and its object."""

log = get_logger("web")


class Source(Protocol):
    """What a watch shows."""

    async def changes(self) -> list[Change]:
        """Return what changed since the last call; at the first, everything there is."""


class Snapshots:
    """A source that reads everything anew and compares. For lists whose keys tell which line is which."""

    def __init__(self, read: Callable[[], Awaitable[Mapping[object, object]]]) -> None:
        self._read = read
        self._known: Mapping[object, object] = {}

    async def changes(self) -> list[Change]:
        """See ``Source``."""
        before, now = self._known, await self._read()
        changes: list[Change] = [("DELETED", value) for key, value in before.items() if key not in now]
        # Lists have the newest first; what is appended line by line reads better the other way round.
        for key, value in reversed(tuple(now.items())):
            if key not in before:
                changes.append(("ADDED", value))
            elif before[key] != value:
                changes.append(("MODIFIED", value))
        self._known = now
        return changes


@dataclass(slots=True)
class Watching:
    """What all watches of one listener need.

    Args:
        feed: tells when something that is stored has changed.
        glance: returns a value in memory that differs when something changed of which the feed knows nothing.
        still_allowed: tells whether the bearer of a request may still read.
        metrics: counts open watches.
    """

    feed: Feed
    glance: Callable[[], object]
    still_allowed: Callable[[web.Request], Awaitable[bool]]
    metrics: Metrics
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request, source: Source) -> web.StreamResponse:
        """Answer a request with a watch.

        Raises:
            ApiError: nothing was sent yet, and the source refuses.
        """
        # Outside of the group: what is refused here must reach the caller as it is.
        first = await source.changes()
        async with self._woken() as wake:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/jsonlines",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            with suppress(ConnectionError, TimeoutError):
                await response.prepare(request)
                self.metrics.watch_opened()
                try:
                    await _send(response, [*first, ("BOOKMARK", None)])
                    await _send(response, [("END", await self._follow(request, response, source, wake))])
                finally:
                    self.metrics.watch_closed()
                await response.write_eof()
        return response

    async def _follow(
        self, request: web.Request, response: web.StreamResponse, source: Source, wake: asyncio.Event
    ) -> str:
        """Send changes until there is a reason to end, and return it."""
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + HEARTBEAT_SECONDS
        glanced = self.glance()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GLANCE_SECONDS):
                    await wake.wait()
            if self.stopping.is_set():
                return "kas is stopping"
            due = loop.time() >= heartbeat_at
            if not (due or wake.is_set() or self.glance() != glanced):
                continue
            wake.clear()
            glanced = self.glance()
            try:
                if due and not await self.still_allowed(request):
                    return "the API token is no longer valid"
                await _send(response, await source.changes())
            except ApiError as error:
                return error.message
            except StoreError as error:
                log.warning("A watch could not read; it tries again", error=error)
            if due:
                heartbeat_at = loop.time() + HEARTBEAT_SECONDS
                await _send(response, [("HEARTBEAT", None)])
            await asyncio.sleep(_PAUSE_SECONDS)

    @asynccontextmanager
    async def _woken(self) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set whenever there may be something to send, or a reason to stop."""
        wake = asyncio.Event()
        wake.set()  # something may have changed since the source was read first

        async def on_change(changes: Subscription) -> None:
            async for _ in changes:
                wake.set()

        async def on_stop() -> None:
            await self.stopping.wait()
            wake.set()

        # A backlog of one: what changed is read from the store, only that it did matters here.
        with self.feed.subscribe(backlog=1) as changes:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(on_change(changes)), group.create_task(on_stop())]
                try:
                    yield wake
                finally:
                    for task in tasks:
                        task.cancel()


async def _send(response: web.StreamResponse, changes: list[Change]) -> None:
    """Write lines.

    Raises:
        ConnectionError: the peer is gone.
        TimeoutError: it takes nothing.
    """
    lines = b"".join(_line(kind, value) for kind, value in changes)
    if lines:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.write(lines)


def _line(kind: str, value: object) -> bytes:
    line: dict[str, object] = {"type": kind}
    if kind == "END":
        line["message"] = value
    elif value is not None:
        line["object"] = value
    return orjson.dumps(line) + b"\n"
