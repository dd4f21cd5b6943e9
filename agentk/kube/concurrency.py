"""How many requests the API server is given at once: as many as it takes, and no more. Pure: told what came and when.

Growing and shrinking are TCP's: fast at first, by one a round after a refusal, by half at a refusal, once for all the
requests that were under way with it. Unlike there, what was refused is remembered for a while, so that a server that
takes four is not asked by five several times a second. Who waits for whom is ``limiter``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

CEILING: Final = 32
"""Requests in flight unless configured. More gains nothing against one API server on measurement, and costs memory."""

_BEGINNING: Final = 8
"""Requests in flight before anything is known; doubles with every round, so the ceiling is reached in milliseconds."""

_PROBE_SECONDS: Final = 5.0
"""How long after a refusal as many at once are not tried again. Each try costs a request that waits a second or so."""

_PAUSE_SECONDS: Final = 1.0
"""How long to send nothing when even a single request was refused and the server did not say how long."""

_LONGEST_PAUSE_SECONDS: Final = 30.0

_SLOW_SECONDS: Final = 0.5
"""Latency below which nothing is made of its growth: that many requests share two processors is no overload. A
Kubernetes API server is held to a second for 99 of 100 changes."""

_SLOWER: Final = 3.0
"""How many times its usual latency is taken for overload."""

_FORGETTING: Final = 1.002
"""By how much the usual latency may grow with each answer: what stays slow becomes usual after hundreds of them."""

_SMOOTHING: Final = 16
"""Answers over which latency is averaged, about."""


class Trouble(Enum):
    """What an answer says about the server's load.

    ``REFUSED``: too many requests. ``LATE``: none within its time. ``AWAY``: something behind the request cannot
    serve; that need not be what other requests ask for, so it never costs all of the concurrency.
    """

    REFUSED = "refused"
    LATE = "late"
    AWAY = "away"


class Concurrency:
    """The number of requests that may be in flight, from 1 to a ceiling. Times are seconds of any one clock."""

    def __init__(self, ceiling: int = CEILING) -> None:
        """Begin careful.

        Args:
            ceiling: At most so many, at least 1.
        """
        self.ceiling = max(1, ceiling)
        self.not_before = 0.0
        """Nothing is to be sent before: even one request at a time was refused."""
        self._limit = float(min(_BEGINNING, self.ceiling))
        self._threshold = float(self.ceiling)
        self._refused_at = float(self.ceiling + 1)
        self._probe_at = 0.0
        self._cut_at = float("-inf")
        self._latency = 0.0
        self._usual = 0.0
        self._answers = 0

    @property
    def limit(self) -> int:
        """Return how many may be in flight now."""
        return int(self._limit)

    def answered(self, *, sent: float, now: float, change: bool, busy: bool) -> None:
        """Take note of an answer that says nothing of trouble.

        Args:
            sent: When the request was sent.
            now: When it was answered.
            change: Whether it was one of the many alike whose latency tells something: a write of one object.
            busy: Whether as many were in flight as may be; otherwise nothing speaks for allowing more.
        """
        if change:
            self._measure(now - sent)
            if self._is_slow and sent >= self._cut_at and self._answers >= _SMOOTHING:
                self._shrink(0.75, now, least=self._some)
                return
        if not busy or self._is_slow:
            return
        most = float(self.ceiling) if now >= self._probe_at else max(1.0, min(self._refused_at - 1, self.ceiling))
        grown = self._limit + (1.0 if self._limit < self._threshold else 1.0 / self._limit)
        self._limit = max(self._limit, min(grown, most))

    def troubled(self, trouble: Trouble, *, sent: float, now: float, pause: float | None = None) -> None:
        """Take note of a request that failed because of the server's load, or may have.

        Args:
            trouble: What kind.
            sent: When the request was sent.
            now: When it failed.
            pause: Seconds that the server asks to wait.
        """
        if trouble is Trouble.REFUSED and self.limit == 1:
            self.not_before = max(self.not_before, now + min(pause or _PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))
        if sent < self._cut_at:
            return  # sent together with one that has been answered for already
        if trouble is not Trouble.AWAY:
            self._refused_at, self._probe_at = float(self.limit), now + max(_PROBE_SECONDS, pause or 0.0)
        self._shrink(0.5, now, least=self._some if trouble is Trouble.AWAY else 1)

    @property
    def _some(self) -> int:
        """What is left when slowness alone speaks against more; behind a slow webhook fewer at once gain nothing."""
        return max(1, self.ceiling // 4)

    @property
    def _is_slow(self) -> bool:
        return self._latency > max(_SLOW_SECONDS, _SLOWER * self._usual)

    def _measure(self, latency: float) -> None:
        self._answers += 1
        weight = 1 / min(self._answers, _SMOOTHING)
        self._latency += (latency - self._latency) * weight
        if self._answers <= _SMOOTHING:
            self._usual = self._latency
        else:
            self._usual = min(self._latency, self._usual * _FORGETTING)

    def _shrink(self, factor: float, now: float, *, least: int) -> None:
        self._cut_at = now
        self._limit = min(self._limit, max(float(least), self._limit * factor))
        self._threshold = self._limit
