"""Waiting for other objects: how long, for whom, and until something newer comes.

``Readiness`` is the port through which a run learns how objects fare; ``agentk.gitops.readiness`` is behind it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from agentk.apply.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agentk.apply.model import Prune
    from agentlink.refs import ObjectRef

_GRACE_SECONDS: Final = 2.0
"""What a wait gets whose time was over before it began, on a run that is tried again: time to ask once."""

_T = TypeVar("_T")


class Readiness(Protocol):
    """How objects fare, as a run needs to know it."""

    def begin(self) -> None:
        """Take note that somebody is about to wait."""

    def unsettled(self, refs: Iterable[ObjectRef]) -> list[ObjectRef]:
        """Return those that are not known to be healthy now."""

    async def healthy(self, ref: ObjectRef) -> Refusal | None:
        """Wait until an object is healthy as it was last applied; return why it will not be, once that is known."""

    def told(self, ref: ObjectRef) -> str:
        """Return what keeps an object from being healthy, as far as is known; empty otherwise."""

    def sees(self, prune: Prune) -> bool:
        """Tell, before an object is deleted, whether its end will be noticed by itself."""

    async def gone(self, prune: Prune, *, seen: bool) -> None:
        """Wait until an object with that UID does not exist any more; ``seen`` is what ``sees`` said before."""


class SupersededError(Exception):
    """Something newer is to be done, so nobody waits any longer."""


class Patience:
    """The clock of one revision's waits, over all its runs; ``give_up`` ends every wait of the run at hand."""

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Begin; ``on_wait`` is called whenever somebody waits and nobody did."""
        self._on_wait = on_wait
        self._began: dict[ObjectRef, float] = {}
        self._open: set[asyncio.Timeout] = set()
        self._over = False
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Tell whether the run at hand is not even to begin with another object."""
        return self._stopped

    @property
    def over(self) -> bool:
        """Tell whether the run at hand is not to wait any more."""
        return self._over

    @property
    def waiting(self) -> bool:
        """Tell whether anybody waits."""
        return bool(self._open)

    def renew(self) -> None:
        """Let a further run wait again, for what is left of each wait's time."""
        self._over = self._stopped = False

    def stop(self) -> None:
        """End every wait, and the run with the objects that are under way."""
        self._stopped = True
        self.give_up()

    def give_up(self) -> None:
        """End every wait."""
        self._over = True
        now = asyncio.get_running_loop().time()
        for timeout in self._open:
            timeout.reschedule(now)

    async def wait(self, ref: ObjectRef, awaited: Awaitable[_T], seconds: float) -> _T:
        """Wait for something about an object.

        Args:
            ref: The object. Its time counts from the first wait for it on.
            awaited: What to wait for.
            seconds: At most so long; 0: as long as it takes.

        Raises:
            TimeoutError: It took too long.
            SupersededError: ``give_up`` was called.
        """
        left = None
        if seconds:
            began = self._began.setdefault(ref, time.monotonic())
            left = began + seconds - time.monotonic()
            left = left if left > 0 else min(_GRACE_SECONDS, seconds)
        if self._over:
            left = 0.0
        scope = asyncio.timeout(left)
        try:
            async with scope:
                self._open.add(scope)
                if len(self._open) == 1:
                    self._on_wait()
                return await awaited
        except TimeoutError:
            if self._over:
                raise SupersededError from None
            raise
        finally:
            self._open.discard(scope)


STOPPED: Final = Refusal("Superseded", "was not begun with, because the project was suspended first")


def superseded(ref: ObjectRef) -> Refusal:
    """Say that a wait for an object was given up."""
    return Refusal("Superseded", f"waited for {ref} when something newer was to be done")
