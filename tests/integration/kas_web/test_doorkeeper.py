"""Connections at a listener that say nothing, or never come to an end: closed in time, and others are served."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from agentlink.newcomers import NewcomerLimits
from kas.doorkeeper import Doorkeeper, peer_of
from kas.web.listener import listening
from kas.web.middleware import at_the_door, connection_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from ssl import SSLContext

    from kas.doorkeeper import Door

SECONDS = 1.5


@asynccontextmanager
async def served(tls: SSLContext | None = None) -> AsyncIterator[tuple[int, Door]]:
    """Serve one route of which some requests come from somebody known."""
    keeper = Doorkeeper()
    door = keeper.door(NewcomerLimits(in_all=20, of_an_address=10, seconds=SECONDS))

    async def answer(request: web.Request) -> web.Response:
        if "known" in request.query:
            door.let_in(connection_of(request))
        await request.read()
        return web.Response(text="here")

    app = web.Application(middlewares=[at_the_door(door)])
    app.add_routes([web.route("*", "/", answer)])

    async def turn() -> None:
        while True:
            await asyncio.sleep(0.05)
            keeper.look()

    async with listening(app, "127.0.0.1", 0, tls=tls) as (_, port), asyncio.TaskGroup() as group:
        keeper.open(door, port)
        turning = group.create_task(turn())
        yield port, door
        turning.cancel()


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(30):
        try:
            while await reader.read(4096):
                pass
        except ConnectionError:
            pass
    return True


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: kas\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_what_never_comes_to_an_end_is_ended_however_slowly_it_goes_on(said: bytes) -> None:
    async with served() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(ended(reader))
            while not ending.done():
                await asyncio.wait([ending], timeout=0.1)
                if said:
                    writer.write(b"a")
        writer.close()


async def test_who_is_known_keeps_the_connection_and_a_request_gives_others_more_time() -> None:
    async with served() as (port, door), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/?known") as answer:
            assert await answer.text() == "here"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        peer = peer_of(writer.get_extra_info("sockname")[:2])
        await eventually(lambda: peer in door.descriptors, what="the newcomer is seen")
        assert await ended(reader)
        await eventually(lambda: len(door.descriptors) == 1, what="only the one that is known is left")
        # The first connection is used again.
        async with session.get(f"http://127.0.0.1:{port}/") as answer:
            assert await answer.text() == "here"
        assert len(door.descriptors) == 1
        writer.close()


async def test_of_an_address_only_so_many_stay() -> None:
    async with served() as (port, door):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        await eventually(lambda: 0 < len(door.newcomers) <= 10, what="there are so many")
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with (
            aiohttp.ClientSession(connector=elsewhere) as session,
            session.get(f"http://127.0.0.1:{port}/?known") as answer,
        ):
            assert await answer.text() == "here"
        for reader, writer in opened:
            assert await ended(reader)
            writer.close()
        await eventually(lambda: len(door.newcomers) == 0, what="nothing of them is left")


async def test_a_descriptor_that_stands_for_something_else_by_now_is_another_connection() -> None:
    async with served() as (port, door):
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            alone = [peer_of(writer.get_extra_info("sockname")[:2])]
            await eventually(partial(is_there, door, alone), what="it is seen, and nothing else")
            assert not reader.at_eof()
            writer.close()


def is_there(door: Door, peers: list[str]) -> bool:
    return list(door.descriptors) == peers
