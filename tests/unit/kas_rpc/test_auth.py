from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kas.rpc.admission import BusyError
from kas.rpc.auth import (
    BELIEVED_SECONDS,
    CACHE_SECONDS,
    Authenticator,
    Refusal,
    RefusedError,
    hash_token,
    new_agent_token,
)
from kas.rpc.refusals import REFUSALS_AT_ONCE, SECONDS_A_REFUSAL
from kas.rpc.sessions import AgentIdentity
from kas.store.errors import StoreUnavailable
from kas.store.records import AgentRecord, TokenRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 11, 21, tzinfo=UTC)
AGENT = AgentRecord(7, 1, "group/config", "my-agent", NOW)
GOOD = "glagent-" + "a" * 54
REVOKED = "glagent-" + "b" * 54


@dataclass
class Tokens:
    rows: dict[str, TokenRecord] = field(default_factory=dict)
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0
    touch_error: Exception | None = None
    find_error: Exception | None = None
    after_read: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, token_hash: str) -> tuple[TokenRecord, AgentRecord] | None:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        row = self.rows.get(token_hash)
        self.entered.set()
        await asyncio.sleep(0)
        if self.after_read is not None:
            await self.after_read.wait()
        self.at_once -= 1
        if self.find_error is not None:
            raise self.find_error
        return (row, AGENT) if row else None

    async def live(self, most: int) -> list[str]:
        return [token_hash for token_hash, row in self.rows.items() if row.revoked_at is None][:most]

    async def touch(self, token_id: int) -> None:
        assert token_id
        if self.touch_error is not None:
            raise self.touch_error


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.tokens = Tokens(
            {
                hash_token(GOOD): TokenRecord(1, 7, "t", "", NOW, None, None),
                hash_token(REVOKED): TokenRecord(2, 7, "t", "", NOW, None, NOW),
            }
        )
        self.refused: list[tuple[Refusal, str, int | None]] = []
        self.authenticator = Authenticator(self.tokens, lambda *told: self.refused.append(told), clock=lambda: self.now)

    async def ask(self, secret: str, peer: str = "10.0.0.1") -> AgentIdentity:
        return await self.authenticator.authenticate(f"Bearer {secret}", peer)


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_token_is_long_and_only_its_hash_is_kept() -> None:
    secret, token_hash = new_agent_token()
    assert secret.startswith("glagent-")
    assert len(secret) >= len("glagent-") + 50
    assert token_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert new_agent_token()[0] != secret


async def test_a_good_token_stands_for_its_agent(world: World) -> None:
    assert await world.ask(GOOD) == AgentIdentity(7, "my-agent", "group/config", 1)
    assert await world.authenticator.authenticate(f"bearer {GOOD}", "x") == AgentIdentity(
        7, "my-agent", "group/config", 1
    )
    assert world.refused == []


@pytest.mark.parametrize(
    ("authorization", "reason", "agent_id", "hint"),
    [
        (None, Refusal.MISSING, None, "--token-file"),
        ("", Refusal.MISSING, None, "--token-file"),
        ("Basic Z2l0OnB3", Refusal.MALFORMED, None, "whole line"),
        ("Bearer ", Refusal.MALFORMED, None, "whole line"),
        (f"Bearer {GOOD} ", Refusal.MALFORMED, None, "whole line"),
        (f"Bearer {GOOD}\n", Refusal.MALFORMED, None, "whole line"),
        ("Bearer " + "x" * 2000, Refusal.MALFORMED, None, "whole line"),
        ("Bearer kasapi-" + "a" * 43, Refusal.WRONG_KIND, None, "kas token create"),
        (f"Bearer {GOOD[:-1]}", Refusal.MALFORMED, None, "whole line"),
        (f"Bearer {GOOD[:-1]}b", Refusal.UNKNOWN, None, "kas token create"),
        (f"Bearer {REVOKED}", Refusal.REVOKED, 7, "kas token create"),
    ],
)
async def test_a_refusal_says_why_and_what_to_do(
    world: World, authorization: str | None, reason: Refusal, agent_id: int | None, hint: str
) -> None:
    with pytest.raises(RefusedError, match=hint) as refused:
        await world.authenticator.authenticate(authorization, "10.0.0.1")
    assert (refused.value.reason, refused.value.agent_id, refused.value.limited) == (reason, agent_id, False)
    assert world.refused == [(reason, "10.0.0.1", agent_id)]
    assert GOOD not in str(refused.value)


async def test_a_token_is_believed_for_a_while_without_asking_again(world: World) -> None:
    await world.ask(GOOD)
    await world.ask(GOOD)
    assert world.tokens.asked == 1
    world.now += CACHE_SECONDS
    await world.ask(GOOD)
    assert world.tokens.asked == 2


async def test_a_revocation_counts_at_once(world: World) -> None:
    await world.ask(GOOD)
    world.authenticator.revoke(1)
    with pytest.raises(RefusedError):
        await world.ask(GOOD)


async def test_a_revocation_counts_for_a_look_up_that_is_under_way(world: World) -> None:
    world.tokens.after_read = asyncio.Event()
    async with asyncio.TaskGroup() as group:

        async def refused() -> Refusal:
            with pytest.raises(RefusedError) as error:
                await world.ask(GOOD)
            return error.value.reason

        asking = group.create_task(refused())
        await world.tokens.entered.wait()
        world.authenticator.revoke(1)
        world.tokens.after_read.set()
    assert asking.result() is Refusal.REVOKED


async def test_one_address_is_recorded_only_so_often(world: World) -> None:
    limited = []
    for _ in range(REFUSALS_AT_ONCE + 5):
        with pytest.raises(RefusedError) as refused:
            await world.ask("wrong")
        limited.append(refused.value.limited)
    assert limited == [False] * REFUSALS_AT_ONCE + [True] * 5
    assert len(world.refused) == REFUSALS_AT_ONCE
    with pytest.raises(RefusedError) as refused:
        await world.ask("wrong", peer="10.0.0.2")
    assert not refused.value.limited
    world.now += SECONDS_A_REFUSAL
    with pytest.raises(RefusedError) as refused:
        await world.ask("wrong")
    assert not refused.value.limited


async def test_a_slowed_down_address_is_looked_up_one_at_a_time_and_good_agents_behind_it_get_in(world: World) -> None:
    for _ in range(REFUSALS_AT_ONCE):
        with pytest.raises(RefusedError):
            await world.ask("wrong")
    async with asyncio.TaskGroup() as group:
        good = [group.create_task(world.ask(GOOD)) for _ in range(5)]
    assert {task.result().agent_id for task in good} == {7}
    assert world.tokens.most_at_once == 1


def stranger(number: int) -> str:
    return f"glagent-{number:054}"


class TestManyStrangersAtOneAddress:
    """The store answers when it is told to; strangers have thousands of look-ups under way until then."""

    @pytest.fixture
    async def crowd(self, world: World) -> AsyncIterator[World]:
        world.tokens.after_read = asyncio.Event()

        async def ask(number: int) -> None:
            with suppress(RefusedError, BusyError):
                await world.ask(stranger(number), "10.6.6.6")

        async with asyncio.TaskGroup() as group:
            for number in range(5000):
                group.create_task(ask(number))
            await asyncio.sleep(0)
            yield world
            world.tokens.after_read.set()

    async def let_in(self, world: World, peer: str) -> AgentIdentity:
        """Return who is let in although none of the strangers' look-ups comes to its end."""
        asked = world.tokens.asked
        async with asyncio.TaskGroup() as group:
            coming = group.create_task(world.ask(GOOD, peer))
            while world.tokens.asked == asked:
                await asyncio.sleep(0)
                assert not coming.done()
            assert world.tokens.after_read is not None
            world.tokens.after_read.set()
            return await coming

    async def test_keep_nobody_else_out(self, crowd: World) -> None:
        assert (await self.let_in(crowd, "10.0.0.1")).agent_id == 7

    async def test_keep_no_agent_out_that_comes_back_through_their_address(self, crowd: World) -> None:
        await crowd.authenticator.prepare()
        assert (await self.let_in(crowd, "10.6.6.6")).agent_id == 7

    async def test_wait_themselves_and_only_so_many(self, crowd: World) -> None:
        assert crowd.tokens.asked == 500
        with pytest.raises(BusyError) as busy:
            await crowd.ask(stranger(9999), "10.6.6.6")
        assert busy.value.retry_after == 2.0


async def test_a_token_that_has_ended_is_familiar_no_more(world: World) -> None:
    await world.authenticator.prepare()
    del world.tokens.rows[hash_token(GOOD)]
    for _ in range(REFUSALS_AT_ONCE):
        with pytest.raises(RefusedError):
            await world.ask(GOOD)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(refused(world))
    assert world.tokens.most_at_once == 1


async def refused(world: World) -> None:
    with pytest.raises(RefusedError):
        await world.ask(GOOD)


async def test_a_use_that_cannot_be_noted_does_not_keep_an_agent_out(world: World) -> None:
    world.tokens.touch_error = StoreUnavailable("read-only")
    assert (await world.ask(GOOD)).agent_id == 7


async def test_while_the_store_is_away_an_agent_that_was_let_in_is_believed_and_nobody_else(world: World) -> None:
    first = await world.ask(GOOD)
    world.tokens.find_error = StoreUnavailable("gone")
    world.now = CACHE_SECONDS + 60
    assert await world.ask(GOOD) == first
    with pytest.raises(StoreUnavailable):
        await world.ask(GOOD[:-1] + "c")
    world.now = CACHE_SECONDS + BELIEVED_SECONDS + 1
    with pytest.raises(StoreUnavailable):
        await world.ask(GOOD)
    assert world.refused == []


async def test_a_token_that_was_found_revoked_is_not_believed_while_the_store_is_away(world: World) -> None:
    await world.ask(GOOD)
    world.tokens.rows[hash_token(GOOD)] = TokenRecord(1, 7, "t", "", NOW, None, NOW)
    world.now = CACHE_SECONDS + 1
    with pytest.raises(RefusedError):
        await world.ask(GOOD)
    world.tokens.find_error = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        await world.ask(GOOD)


async def test_a_token_is_believed_while_its_session_is_open_and_its_use_is_noted(world: World) -> None:
    sessions: set[int] = {1}
    noted: list[int] = []

    async def touch(token_id: int) -> None:
        noted.append(token_id)

    world.tokens.touch = touch  # type: ignore[method-assign]
    authenticator = Authenticator(
        world.tokens,
        lambda *_: None,
        in_use=lambda identity: identity.token_id in sessions,
        clock=lambda: world.now,
    )
    for _ in range(3):
        await authenticator.authenticate(f"Bearer {GOOD}", "10.0.0.1")
        world.now += CACHE_SECONDS
    assert (world.tokens.asked, noted) == (1, [1, 1, 1])
    sessions.clear()
    await authenticator.authenticate(f"Bearer {GOOD}", "10.0.0.1")
    assert world.tokens.asked == 2
    sessions.add(1)
    world.now += CACHE_SECONDS
    authenticator.revoke(1)
    with pytest.raises(RefusedError):
        await authenticator.authenticate(f"Bearer {GOOD}", "10.0.0.1")
