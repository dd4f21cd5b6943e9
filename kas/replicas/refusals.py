"""Counts what crossed Redis and was refused, and says so in the log, once a minute for each reason."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from kas.replicas.frames import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

FORGED_LEASE: Final = "lease"
"""A lease that its holder has not written, or a holder's who is not there."""

REASONS: Final = (*(reason.value for reason in Refused), FORGED_LEASE)
_LOG_SECONDS: Final = 60.0

log = get_logger("replicas")


class Refusals:
    """What one replica has refused; ``count`` is told of each."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._count = count
        self._since: Counter[str] = Counter()
        self._said_at: dict[str, float] = {}

    def add(self, reason: str) -> None:
        """Note one more; ``reason`` is one of ``REASONS``."""
        self._count(reason)
        self._since[reason] += 1
        now = time.monotonic()
        # Who has just come is stale to the others until it has heard them.
        if reason == Refused.STALE or now < self._said_at.get(reason, now - _LOG_SECONDS) + _LOG_SECONDS:
            return
        self._said_at[reason] = now
        log.warning(
            "What came from Redis is none of ours and changes nothing; find out who else reaches it",
            reason=reason,
            times=self._since.pop(reason),
        )
