"""The state of one watch, as those who wait for its first list see it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agentk.apply.rules.forbidden import hidden_by

if TYPE_CHECKING:
    from agentk.kube.errors import KubeError


class Following:
    """One kind being watched, in one namespace or all: whether its first list is in, and what keeps it from coming."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._synced = False
        self._begun = asyncio.Event()
        self._error: KubeError | None = None
        self._news = asyncio.Event()
        self._away_since: float | None = None

    async def may_begin(self) -> None:
        """Wait for ``begin``."""
        await self._begun.wait()

    def begin(self) -> None:
        """Let the watch begin that has only been listed so far; again: no change."""
        self._begun.set()

    def start(self, task: asyncio.Task[None]) -> None:
        """Take charge of the task that watches."""
        self._task = task

    def stop(self) -> None:
        """End the watch; who waits for its first list is told to ask for another."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._news.set()

    @property
    def ended(self) -> bool:
        """Tell whether nobody watches any more."""
        return self._task is None or self._task.done()

    def succeed(self) -> None:
        """Note that a list is complete."""
        self._synced, self._error, self._away_since = True, None, None
        self._news.set()

    def fail(self, error: KubeError) -> None:
        """Note what the server answered instead; the watch goes on trying."""
        self._error = error
        if self._away_since is None and hidden_by(error.status):
            self._away_since = time.monotonic()
        self._news.set()
        self._news = asyncio.Event()

    @property
    def away_seconds(self) -> float | None:
        """Return for how long the server has refused this kind alone; None while it does not."""
        return None if self._away_since is None else time.monotonic() - self._away_since

    @property
    def is_synced(self) -> bool:
        """Tell whether a list was complete once."""
        return self._synced

    async def synced(self) -> bool:
        """Wait for the first list. False: the watch was ended before that, to be started anew.

        Raises:
            KubeError: The server refused it or could not be asked.
        """
        while not self._synced:
            if self.ended:
                return False
            if self._error is None or not hidden_by(self._error.status):
                # What keeps one kind away may take long, and the watch tries on by itself; nobody waits for that twice.
                await self._news.wait()
            if self._error is not None:
                raise self._error
        return True
