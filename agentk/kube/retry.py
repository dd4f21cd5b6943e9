"""How often and how long apart a request is tried again. Pure: who sleeps is the caller.

Which failures deserve it is ``errors.is_retryable``; only requests that may safely be sent twice use this, and all
that this program sends may be: server-side apply, delete with a UID, and reads.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentk.kube.errors import KubeError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter. Durations in seconds; ``attempts`` counts the first one."""

    attempts: int = 5
    first: float = 0.2
    longest: float = 10.0
    longest_asked: float = 30.0
    """The most that a server's ``Retry-After`` is honoured for: a sync has its own deadline."""

    def waits(self) -> Iterator[float]:
        """Yield how long to wait before the second attempt, the third, and so on; ends when none is left."""
        for retry in range(self.attempts - 1):
            yield self._jittered(retry)

    def forever(self) -> Iterator[float]:
        """Yield waits without end, for what must go on for as long as the program does."""
        retry = 0
        while True:
            yield self._jittered(retry)
            # 2**retry need not grow past the longest wait.
            retry = min(retry + 1, 16)

    def honour(self, wait: float, error: KubeError) -> float:
        """Return the wait after ``error``: at least what the server asked for, within bounds."""
        return max(wait, min(error.retry_after or 0.0, self.longest_asked))

    def _jittered(self, retry: int) -> float:
        ceiling = min(self.longest, self.first * 2.0**retry)
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards no secret
