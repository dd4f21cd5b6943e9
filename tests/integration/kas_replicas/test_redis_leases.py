"""Leases over a real Redis: who comes later gets a share, slowly, and nobody else is disturbed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import redis

from kas.replicas import redis_bus, redis_leases
from kas.replicas.port import Standing
from tests.integration.kas_replicas.conftest import met, redis_side
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from kas.replicas.port import Lease
    from tests.integration.kas_replicas.conftest import Side
    from tests.support.redis_server import RedisServer

KEYS = [f"key-{number}" for number in range(40)]
SOME = 5
"""So many of them are somebody's share of two, but for one time in a million: who ranks higher is chance."""


class Held:
    """What one replica has of all keys, and what it was told of."""

    def __init__(self, stack: AsyncExitStack, side: Side) -> None:
        self.taken: list[str] = []
        self.leases: dict[str, Lease] = {}
        for key in KEYS:
            self.leases[key] = stack.enter_context(side.leases.want(key, self._noting(key)))

    @property
    def mine(self) -> set[str]:
        return {key for key, lease in self.leases.items() if lease.standing is Standing.MINE}

    def _noting(self, key: str) -> Callable[[], None]:
        def changed() -> None:
            if self.leases[key].standing is Standing.MINE:
                self.taken.append(key)

        return changed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_leases, "TURN_SECONDS", 0.1)
    monkeypatch.setattr(redis_leases, "LEASE_SECONDS", 60.0)  # none ends because this machine is busy


async def test_who_comes_later_gets_its_share_and_every_key_moves_once(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(one.mine) == len(KEYS), what="the first one has all")
        fences = {key: lease.fence for key, lease in one.leases.items()}

        other = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(other.mine) >= SOME, what="the second one has some")
        third = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(third.mine) >= 2, what="the third one has some, too")

        assert sorted(one.taken) == sorted(KEYS)
        assert len(other.taken) == len(set(other.taken))
        assert all(other.leases[key].fence > fences[key] for key in other.mine)

        def is_each_held_once() -> bool:
            return (
                len(one.mine) + len(other.mine) + len(third.mine)
                == len(one.mine | other.mine | third.mine)
                == len(KEYS)
            )

        await eventually(is_each_held_once, what="every key has one holder")


async def test_who_has_just_come_claims_nothing(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(one.mine) == len(KEYS), what="the first one has all")
        other = Held(stack, await redis_side(stack, own_redis.url, settled_after=3600.0))
        await eventually(lambda: other.leases[KEYS[0]].standing is Standing.OTHERS, what="the other one knows")
        extra = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(extra.mine) >= SOME, what="who has settled gets a share meanwhile")
        assert not other.mine


async def test_what_is_not_wanted_any_more_is_claimed_no_more(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one = Held(stack, await redis_side(stack, own_redis.url))
        await eventually(lambda: len(one.mine) == len(KEYS), what="the first one has all")
        async with AsyncExitStack() as inner:
            other = Held(inner, await redis_side(stack, own_redis.url))
            await eventually(lambda: len(other.mine) >= 2, what="some have moved")
        await eventually(lambda: len(one.mine) == len(KEYS), what="the first one has all again")


async def held_by(stack: AsyncExitStack, side: Side, key: str, *, standing: Standing) -> Lease:
    lease = stack.enter_context(side.leases.want(key, lambda: None))
    await eventually(lambda: lease.standing is standing, what=f"it is {standing}")
    return lease


def garbage(client: redis.Redis, key: bytes, _: bytes) -> None:
    client.set(key, b"\xff:not:a:lease")


def endless(client: redis.Redis, key: bytes, held: bytes) -> None:
    client.set(key, held[: held.rindex(b":") + 1] + b"9" * 5000)


def in_anothers_name(client: redis.Redis, key: bytes, held: bytes) -> None:
    client.set(key, b"0" * 32 + held[32:])


def of_another_key(client: redis.Redis, key: bytes, _: bytes) -> None:
    (other,) = [one for one in client.keys("*") if one != key]
    client.set(key, client.get(other))  # type: ignore[arg-type]


def no_text(client: redis.Redis, key: bytes, _: bytes) -> None:
    client.delete(key)
    client.rpush(key, b"a list")


def claimed(client: redis.Redis, key: bytes, _: bytes) -> None:
    client.set(key + b":claim", b"f" * 16 + b":" + b"0" * 32 + b":" + b"0" * 32)


@pytest.mark.parametrize("write", [garbage, endless, in_anothers_name, of_another_key, no_text, claimed])
async def test_a_lease_that_nobody_of_us_wrote_is_nobody_s_and_is_taken_away(
    own_redis: RedisServer, write: Callable[[redis.Redis, bytes, bytes], None]
) -> None:
    async with AsyncExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(own_redis.url))
        side, other = await redis_side(stack, own_redis.url), await redis_side(stack, own_redis.url)
        await met(side, other)
        elsewhere = await held_by(stack, other, "other", standing=Standing.MINE)
        (before,) = client.keys("*")
        mine = await held_by(stack, side, "k", standing=Standing.MINE)
        (key,) = set(client.keys("*")) - {before}
        held = client.get(key)
        write(client, key, held)
        await eventually(lambda: mine.standing is not Standing.MINE or write is no_text, what="it is believed no more")
        assert mine.standing is not Standing.OTHERS
        await eventually(lambda: mine.standing is Standing.MINE, what="it is taken again")
        assert elsewhere.standing is Standing.MINE
        assert write is no_text or "lease" in side.refused


async def test_a_holder_that_is_no_more_is_not_believed_to_hold_for_ever(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "FRESH_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(own_redis.url))
        side = await redis_side(stack, own_redis.url)
        async with AsyncExitStack() as inner:
            former = await redis_side(inner, own_redis.url)
            await held_by(inner, former, "k", standing=Standing.MINE)
            (key,) = client.keys("*")
            recorded = client.get(key)
            former.leases._leave = former.leases._hold  # type: ignore[attr-defined]
        client.set(key, recorded)
        await held_by(stack, side, "k", standing=Standing.MINE)
        assert "lease" in side.refused
