"""Replicas that live in one process: the usual kas, which is alone, and several of them in a test."""

from __future__ import annotations

import itertools
import time
import uuid
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kas.replicas.port import Message, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kas.replicas.port import Heard


class Hub:
    """What replicas of one process meet at."""

    def __init__(self) -> None:
        self.buses: dict[str, LocalBus] = {}
        self.wanting: dict[str, list[LocalLease]] = defaultdict(list)
        self._fences = itertools.count(1)

    def settle(self, key: str) -> None:
        """Give a key to who has waited longest, if nobody holds it."""
        waiting = self.wanting[key]
        if not waiting:
            del self.wanting[key]
        elif not waiting[0].fence:
            waiting[0].take(next(self._fences))


class LocalBus:
    """A ``Bus`` to the replicas of the same hub; alone, it says nothing to nobody."""

    def __init__(self, hub: Hub | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.replica = uuid.uuid4().hex
        self.trouble = ""
        self._clock = clock
        self._hub = hub or Hub()
        self._hub.buses[self.replica] = self
        self._listening: dict[str, list[Callable[[Heard], None]]] = defaultdict(list)

    @property
    def beats(self) -> int:
        """See ``Bus``: nothing keeps replicas of one process from hearing each other."""
        return int(self._clock())

    def publish(self, topic: str, body: bytes, *, to: str = "") -> None:
        """See ``Bus``."""
        for replica, bus in list(self._hub.buses.items()):
            if replica != self.replica and to in {"", replica}:
                bus.hear(topic, Message(self.replica, body))

    @contextmanager
    def listen(self, topic: str, heard: Callable[[Heard], None]) -> Iterator[None]:
        """See ``Bus``."""
        self._listening[topic].append(heard)
        try:
            yield
        finally:
            self._listening[topic].remove(heard)

    def hear(self, topic: str, message: Heard) -> None:
        """Pass on what another one said."""
        for heard in list(self._listening[topic]):
            heard(message)


class LocalLease:
    """A ``Lease`` among the replicas of one hub."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.fence = 0
        self._changed = changed

    @property
    def standing(self) -> Standing:
        """See ``Lease``."""
        return Standing.MINE if self.fence else Standing.OTHERS

    def take(self, fence: int) -> None:
        """Become the holder."""
        self.fence = fence
        self._changed()


class LocalLeases:
    """``Leases`` among the replicas of one hub; alone, every one is ours at once."""

    def __init__(self, hub: Hub | None = None) -> None:
        self._hub = hub or Hub()

    @contextmanager
    def want(self, key: str, changed: Callable[[], None]) -> Iterator[LocalLease]:
        """See ``Leases``."""
        lease = LocalLease(changed)
        self._hub.wanting[key].append(lease)
        self._hub.settle(key)
        try:
            yield lease
        finally:
            self._hub.wanting[key].remove(lease)
            lease.fence = 0
            self._hub.settle(key)
