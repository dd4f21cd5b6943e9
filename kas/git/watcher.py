"""Keeps an eye on refs: each once, however many follow it, and all of a project together.

A look asks the server where they are, which is one request whatever their number, and fetches only what is new
(``docs/decisions/0019``). However many webhooks arrive during a look, they cause one more.
Where several kas share a project (``sharing.py``), one looks, and the others are told and bring their mirrors up to it.
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
from kas.git.schedule import AGAIN, pause, trusting
from kas.git.sharing import BELIEVED_INTERVALS, TELLING_SECONDS, Alone, Told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from kas.git.mirrors import Mirrors
    from kas.git.parcels import Parcel
    from kas.git.refs import GitRef
    from kas.git.sharing import Part, Sharing

_log = logging.getLogger(__name__)

# How often mirrors are tidied, in seconds.
_MAINTENANCE_INTERVAL = 600.0
# Refs of a project that fall due within this share of the interval are looked at together.
_TOGETHER = 0.25
_NUMBERS = re.compile(r"\d+")
_ORDER = itertools.count(1)


@dataclass(frozen=True, slots=True)
class RefState:
    """What is known of a ref, since ``at`` by the clock of the kas that looked.

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
    """One ref, its newest state, and who reads it.

    ``due`` is when to look again, and ``asked_at`` when the server was last asked, by the event loop's clock. ``told``
    is the last of what another kas told that was followed; while it is ``doubted``, the server has something else.
    """

    def __init__(self, project: str, ref: GitRef) -> None:
        self.project = project
        self.ref = ref
        self.readers = 0
        self.failures = 0
        self.due = 0.0
        self.asked = False
        self.asked_at = 0.0  # not yet
        self.told: Told | None = None
        self.doubted = False
        self.state: RefState | None = None
        self.changed = asyncio.Event()
        # Those who are called instead of waiting, in the order in which they came.
        self.followers: dict[Following, None] = {}

    def publish(self, commit: str | None, error: GitError | None, at: datetime | None = None) -> bool:
        """Tell the readers, unless it is what they know; return whether a commit that was known has changed.

        ``at`` is when it was found, if not now.
        """
        before = self.state
        if before is not None and before.commit == commit and _gist(before.error) == _gist(error):
            return False
        self.state = RefState(self.project, self.ref, commit, error, at or datetime.now(UTC), next(_ORDER))
        self.changed.set()
        self.changed = asyncio.Event()
        for follower in list(self.followers):
            follower.told(self.state)
        return before is not None and before.commit is not None and before.commit != commit

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


class Following:
    """What ``RefWatcher.follow`` gives."""

    __slots__ = ("_watch", "told")

    def __init__(self, watch: _Watch, told: Callable[[RefState], None]) -> None:
        self._watch = watch
        self.told = told

    def leave(self) -> None:
        """Be told nothing more; to be called once."""
        del self._watch.followers[self]
        self._watch.readers -= 1


class _Project:
    """The refs of one project that somebody follows: looked at together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watches: dict[GitRef, _Watch] = {}
        self.wake = asyncio.Event()
        self.poked = False
        # Changes in a row that webhooks told of first.
        self.told = 0
        # Pauses before the looks that are yet to come because a webhook told of what has not been found.
        self.again: Sequence[float] = ()

    def awake(self, *, look: bool) -> None:
        """Have the refs looked at, or only what was told of them."""
        self.poked = self.poked or look
        self.wake.set()

    def drop_unread(self) -> None:
        """Forget the refs that nobody follows any more."""
        self.watches = {ref: watch for ref, watch in self.watches.items() if watch.readers}


class RefWatcher:
    """Looks at every ref somebody subscribes to, and whenever it is poked.

    Every ``poll_interval`` seconds, and more rarely where webhooks tell of every push.
    """

    def __init__(self, mirrors: Mirrors, *, poll_interval: float, sharing: Sharing | None = None) -> None:
        self._mirrors = mirrors
        self._sharing = sharing or Alone()
        self._interval = poll_interval
        self._projects: dict[str, _Project] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Watch until cancelled. Subscriptions may be made before; they are served from here on."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for project in self._projects.values():
                    group.create_task(self._follow(project))
                group.create_task(self._maintain())
        finally:
            self._group = None

    @contextlib.asynccontextmanager
    async def subscribe(self, project: str, ref: GitRef) -> AsyncIterator[AsyncIterator[RefState]]:
        """Follow a ref for as long as the context lasts: its current state when known, then each change.

        A slow reader gets the newest state only.
        """
        watch = self._join(project, ref)
        try:
            async with contextlib.aclosing(watch.states()) as states:
                yield states
        finally:
            watch.readers -= 1

    def follow(self, project: str, ref: GitRef, told: Callable[[RefState], None]) -> Following:
        """Have ``told`` called with a ref's current state, when it is known, and with each change.

        For thousands that follow: each costs an entry, where a subscription costs a task that waits. ``told`` must not
        block, and may be called before this returns.
        """
        watch = self._join(project, ref)
        follower = Following(watch, told)
        watch.followers[follower] = None
        if watch.state is not None:
            told(watch.state)
        return follower

    def _join(self, project: str, ref: GitRef) -> _Watch:
        """Return what is known of a ref, with one reader more."""
        followed = self._projects.get(project)
        if followed is None:
            followed = self._projects[project] = _Project(project)
            if self._group is not None:
                self._group.create_task(self._follow(followed))
        watch = followed.watches.get(ref)
        if watch is None:
            watch = followed.watches[ref] = _Watch(project, ref)
            followed.wake.set()
        elif not watch.readers and watch.state is not None and watch.state.error is not None:
            # Nobody waited for this repository while it failed, and its pause may be long.
            watch.due = 0.0
            followed.wake.set()
        watch.readers += 1
        return watch

    def poke(self, project: str) -> None:
        """Look at every watched ref of ``project`` now; if a look is running, once more after it.

        Git servers take paths in capitals or not, so that one that is followed may be written otherwise.
        """
        self._sharing.poke(project)
        lowered = project.lower()
        for followed in self._projects.values():
            if followed.name.lower() == lowered:
                followed.awake(look=True)

    async def _follow(self, project: _Project) -> None:
        """Look again and again until nobody reads. A reader who returns before the next look finds all in place."""
        clock = asyncio.get_running_loop().time
        project.drop_unread()
        with self._sharing.part(project.name, project.awake) as part:
            while project.watches:
                # Cleared before looking: whoever pokes during the look may know of a later push.
                project.wake.clear()
                poked, project.poked = project.poked, False
                until = clock() + self._interval * _TOGETHER
                due = [watch for watch in project.watches.values() if poked or watch.due <= until]
                if not part.looks:
                    due = await self._be_told(project, part)
                if due:
                    told_of = poked or bool(project.again)
                    changed = await self._look(project.name, due, part)
                    project.again = () if changed else AGAIN if poked else project.again[1:]
                    if changed:
                        project.told = project.told + 1 if told_of or project.poked else 0
                        if not part.looks:  # who does has not told of it
                            self._sharing.poke(project.name)
                    self._put_off(project, due)
                    for watch in due if project.again else ():
                        watch.due = min(watch.due, clock() + project.again[0])
                for watch in project.watches.values():
                    if part.looks and watch.state is not None:
                        part.tell(watch.ref, Told(watch.state.commit, watch.state.error, watch.state.at))
                await _sleep(project.wake, min(watch.due for watch in project.watches.values()) - clock())
                project.drop_unread()
        del self._projects[project.name]

    async def _be_told(self, project: _Project, part: Part) -> list[_Watch]:
        """Follow what another kas has found; return what it tells nothing of, and what it has been believed long."""
        now = asyncio.get_running_loop().time()
        ours: list[_Watch] = []
        for watch in list(project.watches.values()):
            told = part.told(watch.ref)
            watch.asked_at = watch.asked_at or now
            if told is None:
                if watch.asked and watch.due <= now:
                    ours.append(watch)
                elif not watch.asked:
                    watch.asked, watch.due = True, now + TELLING_SECONDS
            elif told is not watch.told or (watch.due <= now and (watch.failures or watch.doubted)):
                watch.told = told
                await self._follow_told(watch, told, part)
                self._put_off(project, [watch])
            elif watch.due <= now:
                if now >= watch.asked_at + BELIEVED_INTERVALS * self._interval:
                    ours.append(watch)
                self._put_off(project, [watch])
        return ours

    async def _follow_told(self, watch: _Watch, told: Told, part: Part) -> None:
        if told.error is not None or told.commit is None:
            # What was good before is for each to say: only what was fetched here can be delivered.
            watch.publish(await self._last(watch), told.error, told.at)
            return
        if watch.state is not None and (watch.state.commit, watch.state.error) == (told.commit, None):
            watch.failures, watch.doubted = 0, False
            return
        mirror = self._mirrors.mirror(watch.project)
        try:
            commit = await mirror.bring(watch.ref, told.commit, part.handed_on() if told.sure else None)
        except GitError as error:
            watch.failures += 1
            watch.publish(await self._last(watch), error)
        else:
            watch.failures = 0
            watch.doubted = commit != told.commit
            # It may have moved on, or the Git server be one of several that lags behind.
            watch.publish(commit, None, mirror.answered if watch.doubted else told.at)

    def _put_off(self, project: _Project, looked_at: Sequence[_Watch]) -> None:
        """Decide when to look again."""
        now = asyncio.get_running_loop().time()
        chance = random.random()  # noqa: S311 - spreads load, keeps no secret
        for watch in looked_at:
            interval = self._interval if watch.failures else trusting(self._interval, project.told)
            watch.due = now + pause(interval, watch.failures, chance)

    async def _look(self, project: str, watches: Sequence[_Watch], part: Part) -> bool:
        """Ask, fetch, hand on and publish. Return whether a commit has changed."""
        found: Mapping[GitRef, str | GitError]
        asked_at = asyncio.get_running_loop().time()
        parcels: list[Parcel] | None = [] if part.shares else None
        try:
            refs = [watch.ref for watch in watches]
            found = await self._mirrors.mirror(project).look(refs, parcels)
        except GitError as error:
            found = {watch.ref: error for watch in watches}
        except Exception as error:  # noqa: BLE001 - a boundary between projects; logged and published
            # A defect that one repository brings out must not stop the others.
            _log.exception("Looking at a repository failed", extra={"project": project})
            message = f"{project}: {type(error).__name__} in kas; please report it with kas's log"
            failed = GitError("Internal", message)
            found = {watch.ref: failed for watch in watches}
        for parcel in parcels or ():
            part.hand_on(parcel)
        # Another kas may have found a later commit while this one was fetched: what was said first is not the news.
        at = self._mirrors.mirror(project).answered
        changed = False
        for watch in watches:
            watch.asked_at = asked_at
            commit = found[watch.ref]
            if isinstance(commit, GitError):
                watch.failures += 1
                watch.publish(await self._last(watch), commit, at)
            else:
                watch.failures = 0
                changed = watch.publish(commit, None, at) or changed
        return changed

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


async def _sleep(wake: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


def _gist(error: GitError | None) -> tuple[str, str] | None:
    """Return what makes an error news: numbers in a message (ports, milliseconds) do not."""
    return None if error is None else (error.reason, _NUMBERS.sub("", str(error)))
