"""Slows down whoever is refused again and again. Used for agents' tokens and, by ``kas.web``, for people's."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSALS_AT_ONCE = 10
"""Refusals of one address that are answered and recorded in full, before it is slowed down."""

SECONDS_A_REFUSAL = 6.0
"""How often an address that was slowed down may be refused in full again."""

_PEERS = 10_000

_HOUSEHOLD = 64
"""Bits of an IPv6 address that a provider gives out; the rest its customer chooses."""


class Refusals:
    """A bucket of refusals for each address (IPv6: network), filled again with time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Use ``clock``, in seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def exhausted(self, peer: str) -> bool:
        """Tell whether ``peer`` is slowed down."""
        return self._left(_bucket_of(peer)) < 1

    def take(self, peer: str) -> bool:
        """Count a refusal; return whether it is to be answered and recorded in full."""
        bucket = _bucket_of(peer)
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


def _bucket_of(peer: str) -> str:
    """Return what a peer is counted under: with IPv6 its network, as everybody has 2^64 addresses to come from."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.strip("[]"))
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address.packed, _HOUSEHOLD), strict=False))
