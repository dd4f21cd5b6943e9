"""How many agents may come in at once, and when those are to return for whom there is no room. Pure.

Ten thousand agents that lost one kas find the next one together. Each that comes in costs a few milliseconds (its
token, its configuration, its snapshots), so they come in at a pace that leaves time for those who are in. The others
get a turn each: whom kas sends away returns when it is that agent's turn, not by luck.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_TURN_SECONDS: Final = 60.0
"""The furthest turn that is given; who would get a later one gets one of the last half of this time, by lot."""

FULL_SECONDS: Final = 30.0
"""When to try again with a token that has as many sessions as it may: somebody has to end some first."""


class BusyError(Exception):
    """There is no room now. ``retry_after``: seconds until it is worth trying again; the text is for people."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """``per_second`` new sessions, of which two seconds' worth may come at once; ``per_token`` open sessions."""

    per_second: float = 200.0
    per_token: int = 20


class Pace:
    """A bucket of turns, filled again with time, and a queue of those for whom there was none."""

    def __init__(
        self,
        per_second: float,
        *,
        at_once: float,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._interval = 1 / per_second
        self._at_once = at_once
        self._clock = clock
        self._uniform = uniform
        self._left = at_once
        self._at = clock()
        self._last_turn = self._at

    def take(self) -> float:
        """Take a turn; return 0 if there is one now, otherwise in how many seconds the caller's own comes."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._at) / self._interval)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        turn = max(self._last_turn, now) + self._interval
        if turn - now > LONGEST_TURN_SECONDS:
            return self._uniform(LONGEST_TURN_SECONDS / 2, LONGEST_TURN_SECONDS)
        self._last_turn = turn
        return turn - now


class Admission:
    """Lets sessions in. Made for agents whose token is good: strangers take no turns."""

    def __init__(self, limits: AdmissionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._pace = Pace(limits.per_second, at_once=max(1.0, 2 * limits.per_second), clock=clock)

    def enter(self, open_with_token: int) -> None:
        """Let a session in.

        Args:
            open_with_token: other sessions that are open with the same token, not counting one that this replaces.

        Raises:
            BusyError: It has to wait.
        """
        if open_with_token >= self._limits.per_token:
            raise BusyError(
                f"{open_with_token} sessions are open with this token, and no more are let in: is it in use in several "
                "clusters? Each needs an agent of its own",
                FULL_SECONDS,
            )
        wait = self._pace.take()
        if wait:
            raise BusyError("kas takes in many agents just now, and this one when it is its turn", wait)
