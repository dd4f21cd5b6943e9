"""Somebody who reaches Redis as well: records all that crosses it, says it again, forges, and writes over keys."""

from __future__ import annotations

import re
import threading
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_INFLATED_BYTES = 1024 * 1024


class RedisAttacker:
    """``with RedisAttacker(url) as attacker``: everything that is published is recorded as long as the block runs.

    Attributes:
        recorded: channels and what was published there, in order.
    """

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self.recorded: list[tuple[bytes, bytes]] = []
        self._injected: set[bytes] = set()
        self._pubsub = self.client.pubsub()  # type: ignore[no-untyped-call] # redis-py says nothing of its types here
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._record)

    def __enter__(self) -> Self:
        self._pubsub.psubscribe("*")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._pubsub.close()
        self.client.close()

    @property
    def channels(self) -> list[bytes]:
        """The channels on which something was said."""
        return list(dict.fromkeys(channel for channel, _ in list(self.recorded)))

    def say(self, channel: bytes, data: bytes) -> None:
        """Publish something of one's own."""
        self._injected.add(data)
        self.client.publish(channel, data)

    def replay(self, recorded: list[tuple[bytes, bytes]], *, elsewhere: bool = False) -> None:
        """Publish again what was recorded, where it was said or on every other channel."""
        for channel, data in recorded:
            for target in self.channels if elsewhere else [channel]:
                if not elsewhere or target != channel:
                    self.client.publish(target, data)

    def keys(self) -> dict[bytes, bytes]:
        """Return all keys and what they hold."""
        found: dict[bytes, bytes] = {}
        for key in self.client.keys("*"):
            assert isinstance(key, bytes)
            value = self.client.get(key)
            if isinstance(value, bytes):
                found[key] = value
        return found

    def carried(self) -> bytes:
        """Return everything that Redis carried or holds, by channel, content and key."""
        said = [part for pair in list(self.recorded) for part in pair]
        return b"\n".join([*said, *(part for pair in self.keys().items() for part in pair)])

    def _record(self) -> None:
        while not self._ended.is_set():
            try:
                message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            except redis.RedisError:  # it was killed by the test
                continue
            if message is not None and message["data"] not in self._injected:
                self.recorded.append((message["channel"], message["data"]))


def readable(carried: bytes) -> bytes:
    """Return bytes and all that can be inflated from them: what somebody reads who knows Git's packs."""
    found = [carried]
    for start in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", carried):
        with suppress(zlib.error):
            found.append(zlib.decompressobj().decompress(carried[start.start() :], _INFLATED_BYTES))
    return b"\n".join(found)
