"""Slows down whoever is refused again and again. Used for agents' tokens and, by ``kas.web``, for people's."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSALS_AT_ONCE = 10
"""Refusals of one address that are answered and recorded in full, before it is slowed down."""

SECONDS_A_REFUSAL = 6.0
"""How often an address that was slowed down may be refused in full again."""

_PEERS = 10_000


class Refusals:
    """A bucket of refusals for each address, filled again with time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Use ``clock``, in seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def exhausted(self, peer: str) -> bool:
        """Tell whether ``peer`` is slowed down."""
        return self._left(peer) < 1

    def take(self, peer: str) -> bool:
        """Count a refusal; return whether it is to be answered and recorded in full."""
        left = self._left(peer)
        allowed = left >= 1
        self._buckets[peer] = (self._clock(), left - 1 if allowed else left)
        self._buckets.move_to_end(peer)
        if len(self._buckets) > _PEERS:
            self._buckets.popitem(last=False)
        return allowed

    def _left(self, peer: str) -> float:
        at, left = self._buckets.get(peer, (self._clock(), float(REFUSALS_AT_ONCE)))
        return min(float(REFUSALS_AT_ONCE), left + (self._clock() - at) / SECONDS_A_REFUSAL)
