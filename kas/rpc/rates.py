"""How much each token may send. Pure; a token is never told that others use theirs."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_BYTES: Final = 2048
"""What a call counts for at least: a transaction costs what it costs, however little is in it."""

TOO_MUCH: Final = "more is reported with this token than kas takes from one agent; send it again"
"""What a caller is told that has to wait."""

_TOKENS: Final = 50_000
"""Tokens that are remembered; who has been silent for longest has its whole burst again anyway."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """``per_second`` bytes of each token, and ``burst`` bytes that may come at once after a silence."""

    per_second: int = 4 * 1024**2
    burst: int = 64 * 1024**2


class Rates:
    """A bucket of bytes for each token, filled again with time."""

    def __init__(self, limits: RateLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Use ``clock``, in seconds."""
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, token_id: int, size: int) -> float:
        """Take so many bytes of a token's; return 0, or the seconds until there are so many, and then none are taken.

        What is larger than a burst is taken from a full bucket, and paid for afterwards.
        """
        limits, now = self._limits, self._clock()
        at, left = self._buckets.get(token_id, (now, float(limits.burst)))
        left = min(float(limits.burst), left + (now - at) * limits.per_second)
        needed = max(size, LEAST_BYTES)
        missing = min(needed, limits.burst) - left
        self._buckets[token_id] = (now, left if missing > 0 else left - needed)
        self._buckets.move_to_end(token_id)
        if len(self._buckets) > _TOKENS:
            self._buckets.popitem(last=False)
        return max(missing, 0.0) / limits.per_second
