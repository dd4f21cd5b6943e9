"""How long objects may take to be well: after a sync, and again after each time that they were well since. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """The time until which objects may be unwell, if they are; told once for each time that it passes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; ``clock`` is in seconds."""
        self._clock = clock
        self._seconds = 0.0
        self._at: float | None = None
        self._passed = False

    def begin(self, seconds: float) -> None:
        """Count from now, as after a sync; 0: for ever."""
        self._seconds, self._passed = seconds, False
        self._at = self._clock() + seconds if seconds else None

    def well(self) -> None:
        """Take note that all are well."""
        self._at, self._passed = None, False

    def unwell(self) -> bool:
        """Take note that some are not; tell whether that has just been so for too long."""
        if self._at is None and not self._passed and self._seconds:
            self._at = self._clock() + self._seconds
        if self._at is None or self._clock() < self._at:
            return False
        self._at, self._passed = None, True
        return True

    @property
    def remaining(self) -> float | None:
        """Return the seconds until it passes, None while it is not counted."""
        return None if self._at is None else max(0.0, self._at - self._clock())
