"""Keeps an eye on refs: each once, however many follow it.

A look is a fetch, which costs what asking alone would (two requests, two processes; see
``docs/decisions/0003``) and has the commit when there is a new one. Polling and webhooks are therefore one path.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kas.git.errors import GitError
from kas.git.schedule import pause

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from kas.git.mirror import Mirrors
    from kas.git.refs import GitRef

_log = logging.getLogger(__name__)

# How often mirrors are tidied, in seconds.
_MAINTENANCE_INTERVAL = 600.0
_NUMBERS = re.compile(r"\d+")
_ORDER = itertools.count(1)


@dataclass(frozen=True, slots=True)
class RefState:
    """What is known of a ref at ``at``.

    With ``error`` the last look failed, and ``commit`` is the last good one, None if there never was one. ``number``
    is higher than that of every state, of whatever ref, that this process knew before; 0 for one that is no watcher's.
    """

    project: str
    ref: GitRef
    commit: str | None
    error: GitError | None
    at: datetime
    number: int = field(default=0, compare=False)


class _Watch:
    """One ref, its newest state, and who reads it."""

    def __init__(self, project: str, ref: GitRef) -> None:
        self.project = project
        self.ref = ref
        self.readers = 0
        self.wake = asyncio.Event()
        self.state: RefState | None = None
        self.changed = asyncio.Event()

    def publish(self, commit: str | None, error: GitError | None) -> None:
        """Tell the readers, unless it is what they know."""
        before = self.state
        if before is not None and before.commit == commit and _gist(before.error) == _gist(error):
            return
        self.state = RefState(self.project, self.ref, commit, error, datetime.now(UTC), next(_ORDER))
        self.changed.set()
        self.changed = asyncio.Event()

    async def states(self) -> AsyncGenerator[RefState, None]:
        """Yield the current state and each newer one; those that came and went in between are left out."""
        seen: RefState | None = None
        while True:
            changed = self.changed
            if self.state is None or self.state is seen:
                await changed.wait()
                continue
            seen = self.state
            yield seen


class RefWatcher:
    """Looks at every ref somebody subscribes to, every ``poll_interval`` seconds and whenever it is poked."""

    def __init__(self, mirrors: Mirrors, *, poll_interval: float) -> None:
        self._mirrors = mirrors
        self._interval = poll_interval
        self._watches: dict[tuple[str, GitRef], _Watch] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Watch until cancelled. Subscriptions may be made before; they are served from here on."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for watch in self._watches.values():
                    group.create_task(self._follow(watch))
                group.create_task(self._maintain())
        finally:
            self._group = None

    @contextlib.asynccontextmanager
    async def subscribe(self, project: str, ref: GitRef) -> AsyncIterator[AsyncIterator[RefState]]:
        """Follow a ref for as long as the context lasts: its current state when known, then each change.

        A slow reader gets the newest state only.
        """
        watch = self._watches.get((project, ref))
        if watch is None:
            watch = self._watches[project, ref] = _Watch(project, ref)
            if self._group is not None:
                self._group.create_task(self._follow(watch))
        if not watch.readers and watch.state is not None and watch.state.error is not None:
            # Nobody waited for this repository while it failed, and its pause may be long.
            watch.wake.set()
        watch.readers += 1
        try:
            async with contextlib.aclosing(watch.states()) as states:
                yield states
        finally:
            watch.readers -= 1

    def poke(self, project: str) -> None:
        """Look at every watched ref of ``project`` now; if a look is running, once more after it."""
        for watch in self._watches.values():
            if watch.project == project:
                watch.wake.set()

    async def _follow(self, watch: _Watch) -> None:
        """Look again and again until nobody reads. A reader who returns before the next look finds all in place."""
        failures = 0
        while watch.readers:
            # Cleared before looking: whoever pokes during the look may know of a later push.
            watch.wake.clear()
            failures = 0 if await self._look(watch) else failures + 1
            chance = random.random()  # noqa: S311 - spreads load, keeps no secret
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause(self._interval, failures, chance)):
                    await watch.wake.wait()
        del self._watches[watch.project, watch.ref]

    async def _look(self, watch: _Watch) -> bool:
        """Fetch and publish. Return whether it went well."""
        mirror = self._mirrors.mirror(watch.project)
        try:
            watch.publish(await mirror.fetch(watch.ref), None)
        except GitError as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - a boundary between projects; logged and published
            # A defect that one repository brings out must not stop the others.
            _log.exception("Looking at a repository failed", extra={"project": watch.project})
            message = f"{watch.project}: {type(error).__name__} in kas; please report it with kas's log"
            failed = GitError("Internal", message)
        else:
            return True
        watch.publish(await self._last(watch), failed)
        return False

    async def _last(self, watch: _Watch) -> str | None:
        """Return the last good commit, the mirror's from an earlier run if this one has none."""
        if watch.state is not None:
            return watch.state.commit
        try:
            return await self._mirrors.mirror(watch.project).last(watch.ref)
        except GitError:
            return None

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(_MAINTENANCE_INTERVAL)
            await self._mirrors.maintain()


def _gist(error: GitError | None) -> tuple[str, str] | None:
    """Return what makes an error news: numbers in a message (ports, milliseconds) do not."""
    return None if error is None else (error.reason, _NUMBERS.sub("", str(error)))
