"""Kept connections, on real sockets: what servers and the proxies before them do to them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agentk.kube.direct import Direct
from agentk.kube.http1 import AnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentk.kube.http1 import Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request by what ``script`` says of its connection and of its number there, both from 0."""

    def __init__(self, script: Callable[[int, int], bytes | None]) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = asyncio.Event()
        self._script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, number = self.connections, 0
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.rpartition(b"Content-Length: ")[2])
                self.requests.append(head + await reader.readexactly(length))
                answer = self._script(connection, number)
                number += 1
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed.set()


@asynccontextmanager
async def serving(script: Callable[[int, int], bytes | None]) -> AsyncIterator[tuple[Server, Direct]]:
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    direct = Direct(f"http://127.0.0.1:{port}/clusters/c-1/", None, None)
    async with listener:
        yield server, direct
        await direct.close()


def send(direct: Direct, path: str = "/api", body: bytes = b"", seconds: float = 30.0) -> Awaitable[Answer]:
    head = direct.head({"Accept": "application/json"})
    return direct.exchange("PATCH", path, head, body, seconds=seconds, limit=1000, error_limit=1000)


async def test_a_request_has_path_host_headers_and_body() -> None:
    async with serving(lambda *_: OK) as (server, direct):
        assert (await send(direct, "/api/v1?limit=1", b"body")).body == b"ok"
    line, host, *_ = server.requests[0].split(b"\r\n")
    assert line == b"PATCH /clusters/c-1/api/v1?limit=1 HTTP/1.1"
    assert host.startswith(b"Host: 127.0.0.1:")
    assert server.requests[0].endswith(b"Accept: application/json\r\nContent-Length: 4\r\n\r\nbody")


async def test_one_connection_serves_one_request_after_another_and_more_those_at_once() -> None:
    async with serving(lambda *_: OK) as (server, direct):
        for _ in range(3):
            await send(direct)
        assert server.connections == 1
        await asyncio.gather(*(send(direct) for _ in range(4)))
        assert server.connections == 4


async def test_a_kept_connection_that_the_server_gave_up_is_replaced_without_a_word() -> None:
    async with serving(lambda connection, number: OK if (connection, number) != (0, 1) else None) as (server, direct):
        await send(direct)
        assert (await send(direct)).status == 200
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_new_connection_that_is_closed_without_an_answer_is_an_error() -> None:
    async with serving(lambda *_: None) as (server, direct):
        with pytest.raises(ConnectionError):
            await send(direct)
        assert len(server.requests) == 1


async def test_an_answer_that_stops_in_the_middle_is_not_asked_for_again() -> None:
    async with serving(lambda connection, number: OK[:-1] if (connection, number) == (0, 1) else OK) as (
        server,
        direct,
    ):
        await send(direct)
        with pytest.raises(TimeoutError):
            await send(direct, seconds=0.2)
        # The connection it came on is not used again: what is left of that answer would be taken for the next one.
        await send(direct)
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_what_is_no_answer_closes_the_connection() -> None:
    async with serving(lambda connection, _: b"SSH-2.0\r\n\r\n" if connection == 0 else OK) as (server, direct):
        with pytest.raises(AnswerError):
            await send(direct)
        await asyncio.wait_for(server.closed.wait(), 10)
        assert (await send(direct)).status == 200


async def test_an_answer_that_nobody_asked_for_is_never_taken_for_one() -> None:
    stray = OK.replace(b"ok", b"no")
    async with serving(lambda connection, _: OK + stray if connection == 0 else OK) as (server, direct):
        assert (await send(direct)).body == b"ok"
        assert (await send(direct)).body == b"ok"
        assert server.connections == 2


async def test_a_request_that_is_given_up_takes_its_connection_with_it() -> None:
    async with serving(lambda connection, _: b"" if connection == 0 else OK) as (server, direct):
        with pytest.raises(TimeoutError):
            await send(direct, seconds=0.1)
        await asyncio.wait_for(server.closed.wait(), 10)
        assert (await send(direct)).status == 200
        assert server.connections == 2


@pytest.mark.parametrize("path", ["api", "/a b", "/a\r\nX: y", "/ä", ""])
async def test_a_path_that_could_be_more_than_a_path_is_refused(path: str) -> None:
    async with serving(lambda *_: OK) as (server, direct):
        with pytest.raises(ValueError, match="percent-encoded"):
            await send(direct, path)
        assert not server.requests


@pytest.mark.parametrize("value", ["secret\r\nX: y", "", "sécret"])
async def test_a_header_that_could_be_more_than_one_is_refused_without_its_value(value: str) -> None:
    async with serving(lambda *_: OK) as (_, direct):
        with pytest.raises(ValueError, match="Authorization") as caught:
            direct.head({"Authorization": value})
        assert "cret" not in str(caught.value)
