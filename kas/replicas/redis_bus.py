"""A ``Bus`` over Redis' publish and subscribe.

One channel for all replicas and one for each. Every message carries its sender and a number that counts up for each
channel, so whoever hears 7 after 5 knows of a gap; a beat each second makes sure that there is always a next one. The
beat comes back to its sender, too: one that hears its own no more knows that it is cut off, however healthy the socket
seems, and connects anew.
"""

from __future__ import annotations

import asyncio
import struct
import time
import uuid
from collections import OrderedDict, defaultdict, deque
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from agentlink.logs import get_logger
from kas.replicas.port import MESSAGE_BYTES, Gap, Message
from kas.replicas.redis_client import FAILURES, end_if_cancelled, explain

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

_SENDERS: Final = 1_000
"""Senders whose number is remembered; replicas come and go."""

CHANNEL: Final = "kas3"
"""What the names of all channels begin with, and of all keys."""

_HEAD: Final = struct.Struct("!32sQB")
_BEAT: Final = "beat"

log = get_logger("replicas")


class RedisBus:
    """``run`` it as a part of the program; what is published before waits."""

    def __init__(self, client: Redis) -> None:
        self.replica = uuid.uuid4().hex
        self.trouble = "it has not answered yet"
        self.beats = 0
        self._client = client
        self._listening: dict[str, list[Callable[[Heard], None]]] = defaultdict(list)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._something = asyncio.Event()
        self._numbers: dict[str, int] = defaultdict(int)
        self._heard: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        self._echo_at = 0.0

    def publish(self, topic: str, body: bytes, *, to: str = "") -> None:
        """See ``Bus``."""
        channel = f"{CHANNEL}:{to}"
        # Numbered also when it is dropped: that is the gap.
        self._numbers[channel] += 1
        if len(body) > MESSAGE_BYTES or self.trouble:
            return
        name = topic.encode()
        frame = _HEAD.pack(self.replica.encode(), self._numbers[channel], len(name)) + name + body
        if len(self._waiting) >= _WAITING or self._waiting_bytes + len(frame) > _WAITING_BYTES:
            return
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
                    await pubsub.subscribe(f"{CHANNEL}:", f"{CHANNEL}:{self.replica}")
                    await self._connected(pubsub)
            except* FAILURES as group:
                error: BaseException = group
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                self._lost(explain(error))
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
        self._waiting.clear()
        self._waiting_bytes = 0

    async def _beat(self) -> NoReturn:
        while True:
            # Past the queue, which takes nothing as long as there is trouble.
            self._numbers[f"{CHANNEL}:"] += 1
            number = self._numbers[f"{CHANNEL}:"]
            self._waiting.append(
                (f"{CHANNEL}:", _HEAD.pack(self.replica.encode(), number, len(_BEAT)) + _BEAT.encode())
            )
            self._something.set()
            await asyncio.sleep(BEAT_SECONDS)

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
        if len(frame) < _HEAD.size:
            return
        sender, number, length = _HEAD.unpack_from(frame)
        topic = frame[_HEAD.size : _HEAD.size + length].decode(errors="replace")
        if sender == self.replica.encode():
            self._echo_at = time.monotonic()
            self.beats += topic == _BEAT
            if self.trouble:
                log.info("Redis is there")
                self.trouble = ""
                # The connection is new: others may have said anything meanwhile.
                self._gap()
            return
        before = self._heard.get((sender.decode(), channel))
        self._heard[sender.decode(), channel] = number
        self._heard.move_to_end((sender.decode(), channel))
        if len(self._heard) > _SENDERS:
            self._heard.popitem(last=False)
        if before is not None and number != before + 1:
            self._gap()
        if topic != _BEAT:
            self._tell(topic, Message(sender.decode(), frame[_HEAD.size + length :]))

    def _tell(self, topic: str, message: Message) -> None:
        for heard in list(self._listening[topic]):
            try:
                heard(message)
            except Exception:
                # A boundary between versions: what a newer one says must not end this one.
                log.exception("What another replica said cannot be understood", topic=topic)
                heard(Gap())

    def _gap(self) -> None:
        for listeners in list(self._listening.values()):
            for heard in list(listeners):
                heard(Gap())
