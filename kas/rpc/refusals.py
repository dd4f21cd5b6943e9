"""Slows down whoever is refused again and again. Used for agents' tokens and, by ``kas.web``, for people's."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from agentlink.callers import household

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSALS_AT_ONCE = 10
"""Refusals of one address that are answered and recorded in full, before it is slowed down."""

SECONDS_A_REFUSAL = 6.0
"""How often an address that was slowed down may be refused in full again."""

_PEERS = 10_000


class Refusals:
    """A bucket of refusals for each address (IPv6: network), filled again with time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Use ``clock``, in seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def exhausted(self, peer: str) -> bool:
        """Tell whether ``peer`` is slowed down."""
        return self._left(household(peer)) < 1

    def take(self, peer: str) -> bool:
        """Count a refusal; return whether it is to be answered and recorded in full."""
        bucket = household(peer)
        left = self._left(bucket)
        allowed = left >= 1
        self._buckets[bucket] = (self._clock(), left - 1 if allowed else left)
        self._buckets.move_to_end(bucket)
        if len(self._buckets) > _PEERS:
            self._buckets.popitem(last=False)
        return allowed

    def _left(self, bucket: str) -> float:
        at, left = self._buckets.get(bucket, (self._clock(), float(REFUSALS_AT_ONCE)))
        return min(float(REFUSALS_AT_ONCE), left + (self._clock() - at) / SECONDS_A_REFUSAL)
