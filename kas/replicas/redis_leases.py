"""``Leases`` in Redis: a key with an owner and an end, taken and renewed by one script for all that a replica wants.

A holder believes in its lease for less time than Redis does, counted from before it asked. Redis that was restarted
without its data has forgotten holders; who held goes on until it asks again, a second later, so for that long two may
hold. The fence is Redis' time in microseconds when a holder began: it grows over a restart, too.

Whoever comes first takes a key. A replica that wants one and ranks higher for it than its holder (``preference.py``)
says so in a claim beside it, and the holder hands it over the next time it renews: to the highest claim, a few keys a
turn. A replica that has just started, or was cut off from Redis, claims nothing for a while.

Whoever reaches Redis may write over all that. So a lease and a claim carry their owner's seal for that key, and another
holds a lease only where its seal is right and its owner is there (``redis_bus.py``). One that is not so is taken away,
and meanwhile nobody can say whose it is. What a stranger can bring about by it is work done twice.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from agentlink.logs import get_logger
from kas.replicas.derived import derive, name_of
from kas.replicas.port import Standing
from kas.replicas.preference import RANK_DIGITS, rank, spare
from kas.replicas.redis_bus import channels_of
from kas.replicas.redis_client import FAILURES, begin_anew, end_if_cancelled, explain
from kas.replicas.refusals import FORGED_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from redis.asyncio import Redis

    from kas.replicas.redis_bus import RedisBus
    from kas.replicas.refusals import Refusals

LEASE_SECONDS: Final = 5.0
"""How long a lease outlives a holder that was killed."""

TURN_SECONDS: Final = 1.0

SETTLED_SECONDS: Final = 10.0
"""How long a replica has to be well before it claims anything: one that comes and goes takes nothing from others."""

_CLAIM_SECONDS: Final = 3.0
_MARGIN_SECONDS: Final = 0.5
_KEYS_AT_ONCE: Final = 500
_SEAL_DIGITS: Final = 32

# A lease is `owner:rank:seal:fence`, a claim beside it `rank:owner:seal`, all but the fence of fixed width. What is
# said of a key is the fence where it is ours, and a colon and the lease where it is another's.
_HOLD: Final = """
local owner, ttl, claim_ttl, digits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local spare, claims, answer = tonumber(ARGV[5]), ARGV[6] == '1', {}
local function get(key)
    local found = redis.pcall('GET', key)
    if type(found) == 'table' then  -- it is no text, so none of ours
        redis.call('DEL', key)
        return false
    end
    return found
end
local function take(key, whose, rank, seal)
    local now = redis.call('TIME')
    local fence = string.format('%.0f', now[1] * 1000000 + now[2])
    redis.call('SET', key, whose .. ':' .. rank .. ':' .. seal .. ':' .. fence, 'PX', ttl)
    return fence
end
for index, key in ipairs(KEYS) do
    local held, claim = get(key), key .. ':claim'
    local rank, seal = ARGV[5 + 2 * index], ARGV[6 + 2 * index]
    local ours = owner .. ':' .. rank .. ':' .. seal .. ':'
    local fence = string.sub(held or '', #ours + 1)
    if not held then
        answer[index] = take(key, owner, rank, seal)
    elseif string.sub(held, 1, #ours) == ours and #fence < 20 and not string.find(fence, '%D') then
        local claimed = spare > 0 and get(claim)
        if claimed and string.sub(claimed, 1, digits) > rank then
            local colon = digits + 2 + #owner
            local whose, theirs = string.sub(claimed, digits + 2, colon - 1), string.sub(claimed, 1, digits)
            take(key, whose, theirs, string.sub(claimed, colon + 1))
            redis.call('DEL', claim)
            spare = spare - 1
            answer[index] = ':' .. redis.call('GET', key)
        else
            redis.call('PEXPIRE', key, ttl)
            answer[index] = fence
        end
    else
        answer[index] = ':' .. held
        if claims and rank > string.sub(held, #owner + 2, #owner + 1 + digits) then
            local claimed = get(claim)
            if not claimed or rank >= string.sub(claimed, 1, digits) then
                redis.call('SET', claim, rank .. ':' .. owner .. ':' .. seal, 'PX', claim_ttl)
            end
        end
    end
end
return answer
"""

_LEAVE: Final = """
local owner, digits = ARGV[1], tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
    local held, claim = redis.pcall('GET', key), key .. ':claim'
    local claimed = redis.pcall('GET', claim)
    if type(claimed) == 'string' and string.sub(claimed, digits + 2, digits + 1 + #owner) == owner then
        redis.call('DEL', claim)
    end
    if type(held) == 'string' and string.sub(held, 1, #owner) == owner then
        redis.call('DEL', key)
    end
end
return 0
"""

# Only what was found: meanwhile somebody may have taken it rightfully.
_CLEAR: Final = """
for index, key in ipairs(KEYS) do
    if redis.pcall('GET', key) == ARGV[index] then
        redis.call('DEL', key)
    end
    redis.call('DEL', key .. ':claim')
end
return 0
"""

log = get_logger("replicas")


class RedisLease:
    """See ``Lease``."""

    def __init__(self, name: str, rank_here: str, seal: str, changed: Callable[[], None]) -> None:
        self.name = name
        self.rank = rank_here
        self.seal = seal
        self.believed = ""
        """What a holder elsewhere wrote and was found to be sealed, but for the fence."""
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
        """Take note of what Redis said, good until then by the monotonic clock; 0 for the fence of another's."""
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
        bus: knows who is there.
        key: what all replicas know, and nobody else.
        refusals: told of what somebody else has written.
        settled_after: seconds without trouble after which keys are claimed that others hold.
    """

    def __init__(
        self, client: Redis, bus: RedisBus, key: bytes, refusals: Refusals, *, settled_after: float = SETTLED_SECONDS
    ) -> None:
        self.trouble = ""
        """Why nothing could be renewed the last time; empty when it could."""
        self._client = client
        self._bus = bus
        self._owner = bus.replica
        self._refusals = refusals
        self._key = key
        self._prefix = f"{channels_of(key)}lease:"
        self._hold = client.register_script(_HOLD)
        self._leave = client.register_script(_LEAVE)
        self._clear = client.register_script(_CLEAR)
        self._wanted: dict[str, RedisLease] = {}
        self._left: dict[str, str] = {}
        self._new = asyncio.Event()
        self._settled_after = settled_after
        self._settled_at = 0.0

    @contextmanager
    def want(self, key: str, changed: Callable[[], None]) -> Iterator[RedisLease]:
        """See ``Leases``."""
        # Named so that a name that is guessed cannot be looked for.
        name = f"{self._prefix}{name_of(self._key, 'lease name', key.encode())}"
        here = rank(key, self._owner)
        lease = self._wanted[key] = RedisLease(name, here, self._seal(key, self._owner, here), changed)
        self._new.set()
        try:
            yield lease
        finally:
            del self._wanted[key]
            self._left[key] = name
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
                    await begin_anew(self._client)
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
        left, self._left = [name for key, name in self._left.items() if key not in self._wanted], {}
        for names in _parts(left):
            await self._leave(keys=names, args=[self._owner, RANK_DIGITS])
        left_over = spare(sum(lease.standing is Standing.MINE for lease in self._wanted.values()))
        for keys in _parts(list(self._wanted)):
            left_over -= await self._renew({key: self._wanted[key] for key in keys if key in self._wanted}, left_over)

    async def _renew(self, leases: Mapping[str, RedisLease], left_over: int) -> int:
        """Take and renew some of the keys; return how many of ``left_over`` were handed over."""
        if not leases:
            return 0
        began = time.monotonic()
        claims = int(began >= self._settled_at)
        times = [round(seconds * 1000) for seconds in (LEASE_SECONDS, _CLAIM_SECONDS)]
        args: list[str | int] = [self._owner, *times, RANK_DIGITS, left_over, claims]
        args += [text for lease in leases.values() for text in (lease.rank, lease.seal)]
        answers: list[bytes] = await self._hold(keys=[lease.name for lease in leases.values()], args=args)
        until = began + LEASE_SECONDS - _MARGIN_SECONDS
        handed_over, forged = 0, {}
        for (key, lease), text in zip(leases.items(), answers, strict=True):
            was_mine = lease.standing is Standing.MINE
            if not text.startswith(b":"):
                lease.found(int(text), until)
            elif self._is_held(key, lease, text[1:].decode(errors="replace")):
                handed_over += was_mine
                lease.found(0, until)
            else:
                lease.found(0, 0.0)
                forged[lease.name] = text[1:]
                self._refusals.add(FORGED_LEASE)
        if forged:
            await self._clear(keys=list(forged), args=list(forged.values()))
        return handed_over

    def _is_held(self, key: str, lease: RedisLease, held: str) -> bool:
        """Tell whether another replica holds a lease: one that has sealed it, and is there."""
        written, _, _ = held.rpartition(":")
        owner, _, rest = written.partition(":")
        if written != lease.believed:
            there, _, seal = rest.partition(":")
            if owner == self._owner or not hmac.compare_digest(seal.encode(), self._seal(key, owner, there).encode()):
                return False
            lease.believed = written
        return self._bus.is_there(owner)

    def _seal(self, key: str, owner: str, its_rank: str) -> str:
        parts = (part.encode() for part in (key, owner, its_rank))
        return derive(self._key, "lease", *parts, length=_SEAL_DIGITS // 2).hex()

    async def _give_back(self) -> None:
        try:
            names = [*(lease.name for lease in self._wanted.values()), *self._left.values()]
            for some in _parts(names):
                await self._leave(keys=some, args=[self._owner, RANK_DIGITS])
        except FAILURES:
            pass  # they end by themselves


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]
