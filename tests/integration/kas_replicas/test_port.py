"""What each implementation of the port between replicas promises, and what Redis adds: gaps, and leases that end."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING

from kas.replicas.port import Gap, Message, Standing
from kas.replicas.redis_client import connect
from tests.integration.kas_replicas.conftest import Side, met, redis_side
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from kas.replicas.port import Heard
    from tests.support.redis_server import RedisServer
    from tests.support.tcp_proxy import TcpProxy

Sides = tuple[Side, Side]


async def test_what_one_says_the_other_hears_in_order_and_not_itself(sides: Sides) -> None:
    one, other = sides
    heard: list[Heard] = []
    mine: list[Heard] = []
    with other.bus.listen("t", heard.append), one.bus.listen("t", mine.append):
        for number in range(500):
            one.bus.publish("t", str(number).encode())
        await eventually(lambda: len(heard) == 500, what="all is heard")
    assert heard == [Message(one.bus.replica, str(number).encode()) for number in range(500)]
    assert not mine


async def test_what_is_for_one_or_of_another_topic_is_not_heard(sides: Sides) -> None:
    one, other = sides
    heard: list[Heard] = []
    with other.bus.listen("t", heard.append):
        one.bus.publish("t", b"for nobody", to="0" * 32)
        one.bus.publish("u", b"of another topic")
        one.bus.publish("t", b"for me", to=other.bus.replica)
        await eventually(lambda: bool(heard), what="something is heard")
    assert heard == [Message(one.bus.replica, b"for me")]


async def test_a_key_has_one_holder_and_the_next_one_a_greater_fence(sides: Sides) -> None:
    one, other = sides
    changes: list[str] = []
    with ExitStack() as mine:
        held = mine.enter_context(one.leases.want("k", lambda: changes.append("one")))
        await eventually(lambda: held.standing is Standing.MINE, what="one holds it")
        fence = held.fence
        with other.leases.want("k", lambda: changes.append("other")) as waiting:
            await eventually(lambda: waiting.standing is Standing.OTHERS, what="the other knows")
            assert (held.standing, waiting.fence) == (Standing.MINE, 0)
            mine.close()
            await eventually(lambda: waiting.standing is Standing.MINE, what="the other has taken over")
            assert waiting.fence > fence
    assert changes[-1] == "other"


async def test_a_holder_that_vanishes_is_followed(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one, other = await redis_side(stack, own_redis.url), await redis_side(stack, own_redis.url)
        await met(one, other)
        held = stack.enter_context(one.leases.want("k", lambda: None))
        await eventually(lambda: held.standing is Standing.MINE, what="one holds it")
        waiting = stack.enter_context(other.leases.want("k", lambda: None))
        # As when it is killed: nothing renews, and nothing is given back.
        one.leases._leave = one.leases._hold  # type: ignore[attr-defined]
        for task in one.running:
            task.cancel()
        await eventually(lambda: waiting.standing is Standing.MINE, what="the other has taken over")
        await eventually(lambda: held.standing is Standing.UNKNOWN, what="one believes it no more")


async def test_who_is_cut_off_knows_and_hears_of_the_gap_when_it_heals(own_redis: RedisServer, link: TcpProxy) -> None:
    async with AsyncExitStack() as stack:
        one = await redis_side(stack, own_redis.url)
        other = await redis_side(stack, f"redis://127.0.0.1:{link.port}/0")
        await met(one, other)
        heard: list[Heard] = []
        stack.enter_context(other.bus.listen("t", heard.append))
        held = stack.enter_context(other.leases.want("k", lambda: None))
        await eventually(lambda: held.standing is Standing.MINE, what="it holds the lease")
        link.silence()
        await eventually(lambda: bool(other.bus.trouble), what="it knows that it is cut off")
        await eventually(lambda: held.standing is Standing.UNKNOWN, what="it believes in no lease")
        one.bus.publish("t", b"missed")
        link.cut()
        link.heal()
        await eventually(lambda: Gap() in heard, what="it is told of the gap")
        one.bus.publish("t", b"after")
        await eventually(lambda: Message(one.bus.replica, b"after") in heard, what="it hears again")


async def test_redis_that_restarts_is_found_again(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one, other = await redis_side(stack, own_redis.url), await redis_side(stack, own_redis.url)
        await met(one, other)
        heard: list[Heard] = []
        stack.enter_context(other.bus.listen("t", heard.append))
        own_redis.kill()
        await eventually(lambda: bool(one.bus.trouble and other.bus.trouble), what="both know")
        own_redis.start()
        await eventually(lambda: not (one.bus.trouble or other.bus.trouble), what="both are back")
        await met(one, other)
        assert Gap() in heard
        one.bus.publish("t", b"again")
        await eventually(lambda: Message(one.bus.replica, b"again") in heard, what="it hears again")


async def test_what_cannot_be_understood_is_a_gap_and_ends_nothing(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        one, other = await redis_side(stack, own_redis.url), await redis_side(stack, own_redis.url)
        heard: list[Heard] = []

        def understand(said: Heard) -> None:
            if said == Message(one.bus.replica, b"from the future"):
                raise KeyError("number")
            heard.append(said)

        await met(one, other)
        stack.enter_context(other.bus.listen("t", understand))
        one.bus.publish("t", b"from the future")
        one.bus.publish("t", b"as usual")
        await eventually(
            lambda: heard == [Gap(one.bus.replica), Message(one.bus.replica, b"as usual")], what="the rest is heard"
        )


async def test_beats_stand_still_while_nothing_can_be_heard(link: TcpProxy) -> None:
    async with AsyncExitStack() as stack:
        bus = (await redis_side(stack, f"redis://127.0.0.1:{link.port}/0")).bus
        await eventually(lambda: bus.beats > 0, what="an own beat comes back")
        link.silence()
        before = bus.beats
        await eventually(lambda: bool(bus.trouble), what="it knows that it is cut off, after four seconds")
        assert bus.beats <= before + 1, "one may have been on its way"
        before = bus.beats
        link.cut()
        link.heal()
        await eventually(lambda: bus.beats > before, what="beats come back again")


async def test_the_password_is_read_from_its_file(redis_server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{redis_server.password}\n")
    client = connect(redis_server.url, file)
    try:
        assert await client.ping()
    finally:
        await client.aclose()
