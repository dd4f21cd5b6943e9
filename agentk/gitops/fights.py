"""Holding back where somebody else keeps changing what we put back: a fight costs the API server and helps nobody."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentlink.refs import ObjectRef

ROUNDS = 20
"""Corrections of one object within WINDOW_SECONDS that are made at once. A person scales by hand a few times; a
controller that disagrees does it dozens of times."""

WINDOW_SECONDS = 60.0

PAUSE_SECONDS = 60.0
"""How long an object is then left as it is, before it is put back again."""


class Fights:
    """Counts corrections by object; knows which objects are left alone for the moment, and what was done to them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rounds: dict[ObjectRef, deque[float]] = {}
        self._paused: dict[ObjectRef, float] = {}
        self._told: dict[ObjectRef, str] = {}
        self._swept = clock()

    def enter(self, ref: ObjectRef) -> bool:
        """Ask to correct an object now. False: it has been corrected too often, and ``due`` will name it later."""
        now = self._clock()
        self._sweep(now)
        if self._paused.get(ref, now) > now:
            return False
        rounds = self._rounds.setdefault(ref, deque())
        while rounds and rounds[0] < now - WINDOW_SECONDS:
            rounds.popleft()
        if len(rounds) >= ROUNDS:
            self._paused[ref] = now + PAUSE_SECONDS
            del self._rounds[ref]
            return False
        rounds.append(now)
        return True

    def note(self, ref: ObjectRef, what: str) -> None:
        """Remember what was done to an object, for when it turns out to be a fight."""
        if ref in self._rounds:
            self._told[ref] = what

    def told(self, ref: ObjectRef) -> str:
        """Return what was noted last of an object, empty if nothing was."""
        return self._told.get(ref, "")

    def due(self) -> list[ObjectRef]:
        """Take the objects whose pause is over."""
        now = self._clock()
        over = [ref for ref, until in self._paused.items() if until <= now]
        for ref in over:
            del self._paused[ref]
        return over

    @property
    def remaining(self) -> float | None:
        """Return the seconds until an object is due, None when none is paused."""
        return max(0.0, min(self._paused.values()) - self._clock()) if self._paused else None

    def _sweep(self, now: float) -> None:
        """Forget objects that nobody has touched for a while, once in a while."""
        if now - self._swept < WINDOW_SECONDS:
            return
        self._swept = now
        for ref in [ref for ref, rounds in self._rounds.items() if rounds[-1] < now - WINDOW_SECONDS]:
            del self._rounds[ref]
        for ref in [ref for ref in self._told if ref not in self._rounds and ref not in self._paused]:
            del self._told[ref]
