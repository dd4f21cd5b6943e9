"""A replica that hears nobody any more, though nothing says so, finds that out and begins anew."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from redis.asyncio.client import PubSub

from kas.replicas.port import Gap, Message
from kas.replicas.redis_bus import channels_of
from tests.integration.kas_replicas.conftest import KEY, met, redis_side
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from kas.replicas.port import Heard
    from tests.support.redis_server import RedisServer
    from tests.support.tcp_proxy import TcpProxy

STEPS = 25
"""Turns of the event loop in which something is sent, and a few more."""


@pytest.mark.parametrize("why", ["the network", "the client"])
async def test_a_subscription_that_has_died_silently_is_noticed_and_all_is_heard_of_that_was_missed(
    own_redis: RedisServer, link: TcpProxy, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    async with AsyncExitStack() as stack:
        one = await redis_side(stack, own_redis.url)
        other = await redis_side(stack, f"redis://127.0.0.1:{link.port}/0")
        await met(one, other)
        heard: list[Heard] = []
        stack.enter_context(other.bus.listen("t", heard.append))
        one.bus.publish("t", b"before")
        await eventually(lambda: heard == [Message(one.bus.replica, b"before")], what="it hears")
        deaf: list[PubSub] = []
        if why == "the client":
            # One that never comes back from waiting, whatever it was told.
            get_message = PubSub.get_message
            own = f"{channels_of(KEY)}{other.bus.replica}".encode()

            async def wait(pubsub: PubSub, **more: object) -> object:
                if pubsub in deaf or (not deaf and pubsub.channels.keys() & {own}):
                    deaf.append(pubsub)
                    await asyncio.Event().wait()
                return await get_message(pubsub, **more)  # type: ignore[arg-type]

            monkeypatch.setattr(PubSub, "get_message", wait)
            await eventually(lambda: bool(deaf), what="it waits for ever")
        else:
            link.deafen(b"SUBSCRIBE")
        one.bus.publish("t", b"missed")
        # What it says arrives all the while.
        told: list[Heard] = []
        with one.bus.listen("u", told.append):
            other.bus.publish("u", b"from the deaf")
            await eventually(lambda: bool(told), what="it is heard")
        await eventually(lambda: Gap() in heard, what="it knows that it has missed something")
        assert not other.bus.trouble
        one.bus.publish("t", b"after")
        await eventually(lambda: Message(one.bus.replica, b"after") in heard, what="it hears again")
        assert Message(one.bus.replica, b"missed") not in heard


async def test_whatever_is_just_being_sent_ends_with_its_connection(own_redis: RedisServer) -> None:
    # Redis' client may take the end of a task for the end of its own patience. What then goes on sending beside a
    # subscription that has been given up keeps that from being opened again.
    for step in range(STEPS):
        async with AsyncExitStack() as stack:
            side = await redis_side(stack, own_redis.url)
            running = side.running[0]
            side.bus.publish("t", b"something")
            for _ in range(step):
                await asyncio.sleep(0)
            running.cancel()
            try:
                await eventually(running.done, what=f"it has ended in step {step}")
            finally:
                for left in asyncio.all_tasks() - {asyncio.current_task()}:
                    left.cancel()
