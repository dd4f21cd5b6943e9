"""How much of what carries nothing a peer may send: a bucket of points, filled again with time. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Allowance:
    """``at_once`` points, of which ``per_second`` come again."""

    __slots__ = ("_at", "_at_once", "_clock", "_left", "_per_second")

    def __init__(self, at_once: float, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._per_second = per_second
        self._clock = clock
        self._left = at_once
        self._at = clock()

    def spend(self, points: float) -> bool:
        """Take points; return whether there were as many."""
        self._left -= points
        if self._left < 0:
            now = self._clock()
            self.earn((now - self._at) * self._per_second)
            self._at = now
        return self._left >= 0

    def earn(self, points: float) -> None:
        """Give points back."""
        self._left = min(self._at_once, self._left + points)
