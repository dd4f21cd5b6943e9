"""``Leases`` in Redis: a key with an owner and an end, taken and renewed by one script for all that a replica wants.

A holder believes in its lease for less time than Redis does, counted from before it asked. Redis that was restarted
without its data has forgotten holders; who held goes on until it asks again, a second later, so for that long two may
hold. The fence is Redis' time in microseconds when a holder began: it grows over a restart, too.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from agentlink.logs import get_logger
from kas.replicas.port import Standing
from kas.replicas.redis_client import FAILURES, end_if_cancelled, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redis.asyncio import Redis

LEASE_SECONDS: Final = 5.0
"""How long a lease outlives a holder that was killed."""

TURN_SECONDS: Final = 1.0
_MARGIN_SECONDS: Final = 0.5
_KEYS_AT_ONCE: Final = 500
_PREFIX: Final = "kas3:lease:"

_HOLD: Final = """
local owner, ttl, answer = ARGV[1], ARGV[2], {}
for index, key in ipairs(KEYS) do
    local held = redis.call('GET', key)
    if not held then
        local now = redis.call('TIME')
        local fence = now[1] * 1000000 + now[2]
        redis.call('SET', key, owner .. string.format(':%.0f', fence), 'PX', ttl)
        answer[index] = string.format('%.0f', fence)
    elseif string.sub(held, 1, #owner) == owner then
        redis.call('PEXPIRE', key, ttl)
        answer[index] = string.sub(held, #owner + 2)
    else
        answer[index] = '0'
    end
end
return answer
"""

_LEAVE: Final = """
for _, key in ipairs(KEYS) do
    local held = redis.call('GET', key)
    if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
        redis.call('DEL', key)
    end
end
return 0
"""

log = get_logger("replicas")


class RedisLease:
    """See ``Lease``."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._fence = 0
        self._until = 0.0
        self._told = Standing.UNKNOWN

    @property
    def standing(self) -> Standing:
        """See ``Lease``."""
        if time.monotonic() >= self._until:
            return Standing.UNKNOWN
        return Standing.MINE if self._fence else Standing.OTHERS

    @property
    def fence(self) -> int:
        """See ``Lease``."""
        return self._fence if self.standing is Standing.MINE else 0

    def found(self, fence: int, until: float) -> None:
        """Take note of what Redis said; 0 for the fence of another's."""
        self._fence, self._until = fence, until

    def tell(self) -> None:
        """Tell of a standing that is another one than before."""
        standing = self.standing
        if standing is not self._told:
            self._told = standing
            self._changed()


class RedisLeases:
    """``run`` it as a part of the program."""

    def __init__(self, client: Redis) -> None:
        self._owner = uuid.uuid4().hex
        self._hold = client.register_script(_HOLD)
        self._leave = client.register_script(_LEAVE)
        self._wanted: dict[str, RedisLease] = {}
        self._left: list[str] = []
        self._new = asyncio.Event()

    @contextmanager
    def want(self, key: str, changed: Callable[[], None]) -> Iterator[RedisLease]:
        """See ``Leases``."""
        lease = self._wanted[key] = RedisLease(changed)
        self._new.set()
        try:
            yield lease
        finally:
            del self._wanted[key]
            self._left.append(key)
            self._new.set()

    async def run(self) -> NoReturn:
        """Take, renew and leave, for ever; leaving it gives all back."""
        try:
            while True:
                try:
                    await self._turn()
                except FAILURES as error:
                    log.debug("Leases could not be renewed", why=explain(error))
                end_if_cancelled()
                for lease in list(self._wanted.values()):
                    lease.tell()
                try:
                    async with asyncio.timeout(TURN_SECONDS):
                        await self._new.wait()
                except TimeoutError:
                    end_if_cancelled()
        finally:
            await self._give_back()

    async def _turn(self) -> None:
        self._new.clear()
        left, self._left = [key for key in self._left if key not in self._wanted], []
        for keys in _parts(left):
            await self._leave(keys=[_PREFIX + key for key in keys], args=[self._owner])
        for keys in _parts(list(self._wanted)):
            began = time.monotonic()
            ttl = round(LEASE_SECONDS * 1000)
            fences = await self._hold(keys=[_PREFIX + key for key in keys], args=[self._owner, ttl])
            for key, fence in zip(keys, fences, strict=True):
                lease = self._wanted.get(key)
                if lease is not None:
                    lease.found(int(fence), began + LEASE_SECONDS - _MARGIN_SECONDS)

    async def _give_back(self) -> None:
        try:
            for keys in _parts([*self._wanted, *self._left]):
                await self._leave(keys=[_PREFIX + key for key in keys], args=[self._owner])
        except FAILURES:
            pass  # they end by themselves


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]
