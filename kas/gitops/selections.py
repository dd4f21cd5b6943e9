"""What each selection of a project holds at a commit, with work proportional to what changed since the last one.

A tree is listed once for all selections that have nothing to start from; from there on each follows the difference
between two commits, which is asked for once, and of which only what lies in its own directories is matched.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kas.desired.select import Selection, Selector, compile_globs
from kas.desired.tree import Paths, TreeChange
from kas.gitops.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from agentlink.manifests.model import Limits
    from kas.desired.model import TreeEntry
    from kas.git.mirrors import Mirrors

T = TypeVar("T")

KEPT_PATHS = 500_000
"""Paths of listings, and of selections, that are kept, each: about 100 MB at the very most."""

_INLINE = 1_000
"""As many paths are matched on the event loop; a thread would cost more than the work."""


class Selections:
    """Selects; two askers of the same thing wait for one answer."""

    def __init__(self, mirrors: Mirrors, limits: Limits) -> None:
        self._mirrors = mirrors
        self._limits = limits
        self._selectors: Bounded[tuple[str, ...], Selector] = Bounded(10_000, lambda one: len(one.globs))
        self._newest: Bounded[tuple[str, tuple[str, ...]], tuple[str, Selection]] = Bounded(
            KEPT_PATHS, lambda one: 1 + len(one[1].files)
        )
        self._listings: Bounded[tuple[str, str], Paths[TreeEntry]] = Bounded(KEPT_PATHS, len)
        self._changes: Bounded[tuple[str, str, str], Paths[TreeChange]] = Bounded(KEPT_PATHS, lambda one: 1 + len(one))
        self._locks: dict[Hashable, _Lock] = {}

    def selector(self, globs: tuple[str, ...]) -> Selector:
        """Return compiled globs.

        Raises:
            ManifestError: they cannot be used.
        """
        selector = self._selectors.get(globs)
        if selector is None:
            selector = compile_globs(globs, self._limits)
            self._selectors.put(globs, selector)
        return selector

    async def at(self, project: str, globs: tuple[str, ...], commit: str) -> Selection:
        """Return what the globs select at a fetched commit; the same object as before where that is unchanged.

        Raises:
            ManifestError: The globs cannot be used.
            GitError: The commit cannot be read.
        """
        selector = self.selector(globs)
        newest = self._newest.get((project, globs))
        if newest is not None and newest[0] == commit:
            return newest[1]
        changes = await self._changed(project, newest[0], commit) if newest is not None else None
        if newest is not None and changes is not None:
            selection = await _work(len(changes), partial(selector.follow, newest[1], changes))
        else:
            listing = await self._listing(project, commit)
            selection = await _work(len(listing), partial(selector.select, listing))
        self._newest.put((project, globs), (commit, selection))
        return selection

    async def _listing(self, project: str, commit: str) -> Paths[TreeEntry]:
        async with self._one_at_a_time((project, commit)):
            listing = self._listings.get((project, commit))
            if listing is None:
                entries = await self._mirrors.mirror(project).tree(commit)
                listing = await _work(len(entries), partial(_paths, entries))
                self._listings.put((project, commit), listing)
            return listing

    async def _changed(self, project: str, old: str, new: str) -> Paths[TreeChange] | None:
        """Return what differs; None where one of the commits is gone from the mirror."""
        async with self._one_at_a_time((project, old, new)):
            changes = self._changes.get((project, old, new))
            if changes is None:
                found = await self._mirrors.mirror(project).changes(old, new)
                if found is None:
                    return None
                changes = Paths(found)
                self._changes.put((project, old, new), changes)
            return changes

    def _one_at_a_time(self, key: Hashable) -> _Lock:
        return self._locks.setdefault(key, _Lock(self._locks, key))


class _Lock:
    """Held by one asker of a thing at a time; gone when nobody asks."""

    def __init__(self, locks: dict[Hashable, _Lock], key: Hashable) -> None:
        self._locks = locks
        self._key = key
        self._lock = asyncio.Lock()
        self._askers = 0

    async def __aenter__(self) -> None:
        self._askers += 1
        await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._askers -= 1
        if not self._askers:
            del self._locks[self._key]


def _paths(entries: Sequence[TreeEntry]) -> Paths[TreeEntry]:
    return Paths(entries)


async def _work(count: int, work: Callable[[], T]) -> T:
    return work() if count <= _INLINE else await asyncio.to_thread(work)
