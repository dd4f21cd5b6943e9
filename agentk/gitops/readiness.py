"""What a run that waits learns of other objects: from the watches where they are watched, by asking where not.

Objects with this agent's label are seen by the observer, whichever project they belong to, and their health there is
never older than what was last applied. Anybody else's objects, which a dependency may name too, are asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agentk.apply.kinds import served_as
from agentk.apply.model import Refusal
from agentk.health.model import Status, current
from agentk.health.rules import assess
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentk.apply.model import Kind, Prune
    from agentk.gitops.observer import Observer
    from agentk.health.model import Health
    from agentk.kube.discovery import Discovery
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef

_FIRST_POLL_SECONDS: Final = 0.5
_LONGEST_POLL_SECONDS: Final = 10.0
"""Between two questions about an object that no watch tells of."""

_LOOK_SECONDS: Final = 15.0
"""After which a watch is not relied on alone: it may be cut off, or the object have lost the label it selects by."""

_LONGEST_LOOK_SECONDS: Final = 60.0
"""Between two questions whether an object is gone, where a watch would tell: a thousand namespaces take minutes."""


_EXISTS: Final = current("exists")
_ENDED: Final = current("has completed")


class Readiness:
    """The port ``agentk.apply.waiting.Readiness`` over one observer."""

    def __init__(
        self,
        observer: Observer,
        objects: Objects,
        discovery: Discovery,
        is_own: Callable[[ObjectRef], bool],
        is_done: Callable[[ObjectRef], bool],
    ) -> None:
        """Look at objects; of those that are not ``is_own`` it is told whether they are healthy, and nothing else.

        What ``is_done`` is healthy when it is gone too.
        """
        self._is_own = is_own
        self._is_done = is_done
        self._observer = observer
        self._objects = objects
        self._discovery = discovery

    def begin(self) -> None:
        """Let the watches begin that were to wait for the end of the sync."""
        self._observer.begin()

    def unsettled(self, refs: Iterable[ObjectRef]) -> list[ObjectRef]:
        """Return those that are not known to be healthy now."""
        return [ref for ref in refs if (health := self._known(ref)) is None or health.status is not Status.CURRENT]

    def told(self, ref: ObjectRef) -> str:
        """Return what keeps an object from being healthy, as far as is known."""
        health = self._observer.health(ref)
        return health.message if health is not None and self._is_own(ref) else ""

    async def healthy(self, ref: ObjectRef) -> Refusal | None:
        """Wait until an object is healthy; return why it will not be, once that is known."""
        pauses = _growing(_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS)
        with self._observer.changes(ref) as changed:
            while True:
                changed.clear()
                watched = (ref in self._observer.live and self._observer.watches(ref)) or self._is_done(ref)
                health = self._known(ref) if watched else await self._ask(ref)
                if health is not None and health.status is Status.CURRENT:
                    return None
                if health is not None and health.status is Status.FAILED:
                    return Refusal("Failed", f"has failed: {health.message}" if self._is_own(ref) else "has failed")
                await _either(changed, _LOOK_SECONDS if watched else next(pauses))

    def sees(self, prune: Prune) -> bool:
        """Tell whether the end of an object will be seen: it is one of those that are watched."""
        live = self._observer.live.get(prune.ref)
        return live is not None and live.uid == prune.uid

    async def gone(self, prune: Prune, *, seen: bool) -> None:
        """Wait until an object with that UID does not exist any more."""
        first, longest = (
            (_LOOK_SECONDS, _LONGEST_LOOK_SECONDS) if seen else (_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS)
        )
        pauses = _growing(first, longest)
        pause = next(pauses)
        with self._observer.changes(prune.ref) as changed:
            while True:
                changed.clear()
                if seen and not self.sees(prune):
                    return
                await _either(changed, pause)
                if changed.is_set():
                    continue
                if await self._is_gone(prune):
                    return
                pause = next(pauses)

    async def _is_gone(self, prune: Prune) -> bool:
        try:
            live = await self._objects.get(prune.kind, prune.ref)
        except KubeError:
            return False
        return live is None or live.uid != prune.uid

    def _known(self, ref: ObjectRef) -> Health | None:
        """Return the health of an object that is watched, None where that is not known (yet)."""
        if ref not in self._observer.live:
            return _ENDED if self._is_done(ref) else None
        health = self._observer.health(ref)
        if health is None and (kind := self._kind(ref)) is not None and not self._observer.judges(kind):
            return _EXISTS
        return health

    async def _ask(self, ref: ObjectRef) -> Health | None:
        kind = self._kind(ref)
        if kind is None:
            return None
        try:
            if not self._observer.judges(kind):
                # Its content says nothing about its health, and is not for us to read.
                live = await self._objects.get(kind, ref)
                return _EXISTS if live is not None and not live.deleting else None
            found = await self._objects.read(kind, ref)
        except KubeError:
            return None
        return assess(found) if found is not None else None

    def _kind(self, ref: ObjectRef) -> Kind | None:
        return served_as(self._discovery, ref)


def _growing(pause: float, longest: float) -> Iterator[float]:
    while True:
        yield pause
        pause = min(pause * 2, longest)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
