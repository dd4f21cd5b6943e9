"""The time that reports carry: the machine's, except that it never goes back. Pure.

kas takes a report that is older than the one before for a stale one. A clock that is set back, by NTP or by hand, must
not make every report of the next hour one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP: Final = 1_000
"""Nanoseconds between two times while the clock stands before the last one; kas keeps microseconds."""


class ReportClock:
    """Gives times since the epoch in nanoseconds, each later than the one before."""

    def __init__(self, wall: Callable[[], int] = time.time_ns) -> None:
        """Follow ``wall``, in nanoseconds."""
        self._wall = wall
        self._last = 0

    def now(self) -> int:
        """Return the next time."""
        self._last = max(self._wall(), self._last + _STEP)
        return self._last
