"""``Leases`` in Redis: a key with an owner and an end, taken and renewed by one script for all that a replica wants.

A holder believes in its lease for less time than Redis does, counted from before it asked. Redis that was restarted
without its data has forgotten holders; who held goes on until it asks again, a second later, so for that long two may
hold. The fence is Redis' time in microseconds when a holder began: it grows over a restart, too.

Whoever comes first takes a key. A replica that wants one and ranks higher for it than its holder (``preference.py``)
says so in a claim beside it, and the holder hands it over the next time it renews: to the highest claim, a few keys a
turn. A replica that has just started, or was cut off from Redis, claims nothing for a while.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from agentlink.logs import get_logger
from kas.replicas.port import Standing
from kas.replicas.preference import RANK_DIGITS, rank, spare
from kas.replicas.redis_client import FAILURES, end_if_cancelled, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redis.asyncio import Redis

LEASE_SECONDS: Final = 5.0
"""How long a lease outlives a holder that was killed."""

TURN_SECONDS: Final = 1.0

SETTLED_SECONDS: Final = 10.0
"""How long a replica has to be well before it claims anything: one that comes and goes takes nothing from others."""

_CLAIM_SECONDS: Final = 3.0
_MARGIN_SECONDS: Final = 0.5
_KEYS_AT_ONCE: Final = 500
_PREFIX: Final = "kas3:lease:"

# A lease is `owner:rank:fence`, a claim beside it `rank:owner`, the first two of fixed width.
_HOLD: Final = """
local owner, ttl, claim_ttl, digits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local spare, claims, answer = tonumber(ARGV[5]), ARGV[6] == '1', {}
local function take(key, whose, rank)
    local now = redis.call('TIME')
    local fence = string.format('%.0f', now[1] * 1000000 + now[2])
    redis.call('SET', key, whose .. ':' .. rank .. ':' .. fence, 'PX', ttl)
    return fence
end
for index, key in ipairs(KEYS) do
    local held, claim, rank = redis.call('GET', key), key .. ':claim', ARGV[6 + index]
    answer[index] = '0'
    if not held then
        answer[index] = take(key, owner, rank)
    elseif string.sub(held, 1, #owner) == owner then
        local claimed = spare > 0 and redis.call('GET', claim)
        if claimed and string.sub(claimed, 1, digits) > rank then
            take(key, string.sub(claimed, digits + 2), string.sub(claimed, 1, digits))
            redis.call('DEL', claim)
            spare = spare - 1
        else
            redis.call('PEXPIRE', key, ttl)
            answer[index] = string.sub(held, #owner + digits + 3)
        end
    elseif claims and rank > string.sub(held, #owner + 2, #owner + 1 + digits) then
        local claimed = redis.call('GET', claim)
        if not claimed or rank >= string.sub(claimed, 1, digits) then
            redis.call('SET', claim, rank .. ':' .. owner, 'PX', claim_ttl)
        end
    end
end
return answer
"""

_LEAVE: Final = """
local owner, digits = ARGV[1], tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
    local held, claim = redis.call('GET', key), key .. ':claim'
    local claimed = redis.call('GET', claim)
    if claimed and string.sub(claimed, digits + 2) == owner then
        redis.call('DEL', claim)
    end
    if held and string.sub(held, 1, #owner) == owner then
        redis.call('DEL', key)
    end
end
return 0
"""

log = get_logger("replicas")


class RedisLease:
    """See ``Lease``."""

    def __init__(self, rank_here: str, changed: Callable[[], None]) -> None:
        self.rank = rank_here
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
    """``run`` it as a part of the program.

    Args:
        client: of Redis.
        settled_after: seconds without trouble after which keys are claimed that others hold.
    """

    def __init__(self, client: Redis, *, settled_after: float = SETTLED_SECONDS) -> None:
        self.trouble = ""
        """Why nothing could be renewed the last time; empty when it could."""
        self._owner = uuid.uuid4().hex
        self._hold = client.register_script(_HOLD)
        self._leave = client.register_script(_LEAVE)
        self._wanted: dict[str, RedisLease] = {}
        self._left: list[str] = []
        self._new = asyncio.Event()
        self._settled_after = settled_after
        self._settled_at = 0.0

    @contextmanager
    def want(self, key: str, changed: Callable[[], None]) -> Iterator[RedisLease]:
        """See ``Leases``."""
        lease = self._wanted[key] = RedisLease(rank(key, self._owner), changed)
        self._new.set()
        try:
            yield lease
        finally:
            del self._wanted[key]
            self._left.append(key)
            self._new.set()

    async def run(self) -> NoReturn:
        """Take, renew, claim, hand over and leave, for ever; leaving it gives all back."""
        self._unsettle()
        try:
            while True:
                try:
                    await self._turn()
                    self.trouble = ""
                except FAILURES as error:
                    self.trouble = explain(error)
                    self._unsettle()
                    log.debug("Leases could not be renewed", why=self.trouble)
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

    def _unsettle(self) -> None:
        self._settled_at = time.monotonic() + self._settled_after

    async def _turn(self) -> None:
        self._new.clear()
        left, self._left = [key for key in self._left if key not in self._wanted], []
        for keys in _parts(left):
            await self._leave(keys=[_PREFIX + key for key in keys], args=[self._owner, RANK_DIGITS])
        ranks = {key: lease.rank for key, lease in self._wanted.items()}
        left_over = spare(sum(lease.standing is Standing.MINE for lease in self._wanted.values()))
        for keys in _parts(list(ranks)):
            left_over -= await self._renew(keys, [ranks[key] for key in keys], left_over)

    async def _renew(self, keys: Sequence[str], ranks: Sequence[str], left_over: int) -> int:
        """Take and renew some of the keys; return how many of ``left_over`` were handed over."""
        began = time.monotonic()
        claims = int(began >= self._settled_at)
        times = [round(seconds * 1000) for seconds in (LEASE_SECONDS, _CLAIM_SECONDS)]
        args: list[str | int] = [self._owner, *times, RANK_DIGITS, left_over, claims, *ranks]
        fences = await self._hold(keys=[_PREFIX + key for key in keys], args=args)
        handed_over = 0
        for key, text in zip(keys, fences, strict=True):
            lease = self._wanted.get(key)
            if lease is not None:
                fence = int(text)
                handed_over += lease.standing is Standing.MINE and not fence
                lease.found(fence, began + LEASE_SECONDS - _MARGIN_SECONDS)
        return handed_over

    async def _give_back(self) -> None:
        try:
            for keys in _parts([*self._wanted, *self._left]):
                await self._leave(keys=[_PREFIX + key for key in keys], args=[self._owner, RANK_DIGITS])
        except FAILURES:
            pass  # they end by themselves


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]
