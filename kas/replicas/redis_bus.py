"""A ``Bus`` over Redis' publish and subscribe.

One channel for all replicas and one for each, by names that are this installation's. Whoever reaches Redis may say
anything there, so all is sealed, and only that is heard which another replica has said to this one, a moment ago and
for the first time (``frames.py``). Every frame has a number that counts up for each channel, so whoever hears 7 after 5
knows of a gap; a beat each second makes sure that there is always a next one. The beat comes back to its sender, too:
one that hears its own no more knows that it is cut off, however healthy the socket seems, and connects anew.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections import defaultdict, deque
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from agentlink.logs import get_logger
from kas.replicas.derived import name_of
from kas.replicas.frames import FRESH_SECONDS, Beat, Frames, Own, Refused, Said, Stranger
from kas.replicas.port import MESSAGE_BYTES, Gap, Message
from kas.replicas.redis_client import FAILURES, begin_anew, end_if_cancelled, explain
from kas.replicas.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

    from kas.replicas.port import Heard

BEAT_SECONDS: Final = 1.0

DEAF_SECONDS: Final = 4.0
"""After so long without an own beat the connection counts as dead."""

_AGAIN_SECONDS: Final = 0.5
"""How long after a failure it is tried again."""

_WAITING: Final = 20_000
_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Messages that wait to be sent, and their bytes; more are dropped, and leave a gap."""

_ANSWER_SECONDS: Final = 0.1
"""How often at most a beat answers somebody who may be a new replica."""

CHANNEL: Final = "kas3"
"""What the names of all channels begin with, and of all keys."""

log = get_logger("replicas")


def channels_of(key: bytes) -> str:
    """Return what the names of an installation's channels and keys begin with."""
    return f"{CHANNEL}:{name_of(key, 'installation')}:"


class RedisBus:
    """``run`` it as a part of the program; what is published before waits.

    Args:
        client: of Redis.
        key: what all replicas know, and nobody else.
        refusals: told of what is not listened to.
    """

    def __init__(self, client: Redis, key: bytes, refusals: Refusals | None = None) -> None:
        self.replica = uuid.uuid4().hex
        self.trouble = "it has not answered yet"
        self.beats = 0
        self._client = client
        self._refusals = refusals or Refusals()
        self._frames = Frames(key, self.replica)
        self._all = channels_of(key)
        self._mine = f"{self._all}{self.replica}"
        self._listening: dict[str, list[Callable[[Heard], None]]] = defaultdict(list)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._something = asyncio.Event()
        self._echo_at = -math.inf
        self._beat_at = -math.inf
        self._counted_at = -math.inf
        self._well_since = math.inf

    def publish(self, topic: str, body: bytes, *, to: str = "") -> None:
        """See ``Bus``."""
        full = len(self._waiting) >= _WAITING or self._waiting_bytes + len(body) > _WAITING_BYTES
        if len(body) > MESSAGE_BYTES or self.trouble or full:
            self._frames.skip(to)  # that is the gap
            return
        self._send_soon(f"{self._all}{to}", self._frames.seal(topic, body, time.monotonic(), to=to))

    def is_there(self, replica: str) -> bool:
        """Tell whether another replica is there; one that hears nobody, or has just begun to, believes that it is."""
        now = time.monotonic()
        cannot_say = now < self._well_since + FRESH_SECONDS or now > self._echo_at + DEAF_SECONDS
        return cannot_say or self.hears(replica)

    def hears(self, replica: str) -> bool:
        """Tell whether another replica has been heard a moment ago."""
        return self._frames.hears(replica, time.monotonic())

    def _send_soon(self, channel: str, frame: bytes) -> None:
        self._waiting.append((channel, frame))
        self._waiting_bytes += len(frame)
        self._something.set()

    @contextmanager
    def listen(self, topic: str, heard: Callable[[Heard], None]) -> Iterator[None]:
        """See ``Bus``."""
        self._listening[topic].append(heard)
        try:
            yield
        finally:
            self._listening[topic].remove(heard)

    async def run(self) -> NoReturn:
        """Stay connected, for ever."""
        while True:
            try:
                async with aclosing(self._client.pubsub()) as pubsub:
                    await pubsub.subscribe(self._all, self._mine)
                    await self._connected(pubsub)
            except* FAILURES as group:
                error: BaseException = group
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                self._lost(explain(error))
                await begin_anew(self._client)
            end_if_cancelled()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _connected(self, pubsub: PubSub) -> None:
        self._echo_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._beat())
            while time.monotonic() < self._echo_at + DEAF_SECONDS:
                # Whatever its own patience is worth: a replica that waits here hears nobody, and must find that out.
                async with asyncio.timeout(DEAF_SECONDS):
                    found = await pubsub.get_message(ignore_subscribe_messages=True, timeout=BEAT_SECONDS)
                end_if_cancelled()
                if found is not None:
                    self._hear(found["channel"], found["data"])
            raise ConnectionError("nothing comes back any more")

    def _lost(self, why: str) -> None:
        if not self.trouble:
            log.warning("Redis is away; this replica goes on by itself", why=why)
        self.trouble = why
        self._well_since = math.inf
        self._waiting.clear()
        self._waiting_bytes = 0

    async def _beat(self) -> NoReturn:
        while True:
            self._say_beat()
            await asyncio.sleep(BEAT_SECONDS)

    def _say_beat(self) -> None:
        self._beat_at = time.monotonic()
        # Past ``publish``, which takes nothing as long as there is trouble.
        self._send_soon(self._all, self._frames.beat(self._beat_at))

    async def _send(self) -> NoReturn:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), 100))]
                self._waiting_bytes = max(0, self._waiting_bytes - sum(len(frame) for _, frame in batch))
                async with self._client.pipeline(transaction=False) as pipeline:
                    for channel, frame in batch:
                        pipeline.publish(channel, frame)
                    await pipeline.execute()
                # Else this would go on, and nobody find out that the connection beside it has been given up.
                end_if_cancelled()

    def _hear(self, channel: bytes, frame: bytes) -> None:
        now = time.monotonic()
        match self._frames.open(frame, now, to="" if channel == self._all.encode() else self.replica):
            case Own(beat):
                self._came_back(now, beat=beat)
            case Said(sender, topic, body, missed):
                if missed:
                    self._gap(Gap(sender))
                self._tell(topic, Message(sender, body))
            case Beat(sender, missed, met):
                if met:  # it may not have heard of us either, and is asked what it has said
                    self._say_beat()
                if missed or met:
                    self._gap(Gap(sender))
            case Stranger() if now >= self._beat_at + _ANSWER_SECONDS:
                self._say_beat()
            case Refused() as reason:
                self._refusals.add(reason)

    def _came_back(self, now: float, *, beat: bool) -> None:
        self._echo_at = now
        if beat and now >= self._counted_at + BEAT_SECONDS * 0.9:  # one that answers somebody is no second
            self._counted_at = now
            self.beats += 1
        if self.trouble:
            log.info("Redis is there")
            self.trouble = ""
            self._well_since = now
            # The connection is new: others may have said anything meanwhile.
            self._gap(Gap())

    def _tell(self, topic: str, message: Message) -> None:
        for heard in list(self._listening[topic]):
            try:
                heard(message)
            except Exception:
                # A boundary between versions: what a newer one says must not end this one.
                log.exception("What another replica said cannot be understood", topic=topic)
                heard(Gap(message.sender))

    def _gap(self, gap: Gap) -> None:
        for listeners in list(self._listening.values()):
            for heard in list(listeners):
                heard(gap)
