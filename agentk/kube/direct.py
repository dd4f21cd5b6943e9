"""Requests over kept connections to one server, without a proxy: the hot path of server-side apply.

One request at a time on a connection, as many connections as there are requests at once; callers bound that. Failures
are Python's own (``OSError`` with its TLS kinds, ``TimeoutError``) and ``AnswerError``; ``client`` says what they mean.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from typing import TYPE_CHECKING, Final, cast

from yarl import URL

from agentk.kube.guarding import HeldBackError
from agentk.kube.http1 import AnswerError, AnswerReader

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from agentk.kube.http1 import Answer

_CONNECT_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 75.0
"""How long an idle connection is kept; API servers keep them for 90 and more."""

_CLOSE_SECONDS: Final = 5.0

_TARGET: Final = re.compile(r"/[!-~]*")
_HEADER: Final = re.compile(r"[!-~][ -~]*")


class _LostError(ConnectionError):
    """The connection ended before a byte of an answer came."""


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, opened: set[_Connection], idle: list[_Connection]) -> None:
        self._opened = opened
        self._idle = idle
        self.lost = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._opened.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._reader is None:
            self.abort()  # nobody asked; whatever it is, no answer to the next request
            return
        try:
            answer = self._reader.feed(data)
        except AnswerError as error:
            self._fail(error)
            self.abort()
            return
        if answer is not None:
            self._succeed(answer)

    def eof_received(self) -> None:
        if self._reader is None:
            return
        try:
            self._succeed(self._reader.end())
        except AnswerError as error:
            self._fail(error if self._reader.started else _LostError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._opened.discard(self)
        if self in self._idle:
            self._idle.remove(self)
        self.lost.set_result(None)
        self._fail(exc if self._reader and self._reader.started and exc else _LostError("the connection was closed"))

    async def exchange(self, request: bytes, reader: AnswerReader) -> Answer:
        """Send a request and wait for its answer."""
        if self._transport is None or self._transport.is_closing():
            raise _LostError("the connection was closed")
        self._reader = reader
        self._waiter = asyncio.get_running_loop().create_future()
        # All at once: objects are a megabyte at most, and there is nobody else on this connection to wait for.
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._reader = self._waiter = None

    def abort(self) -> None:
        """Close at once; what is under way is not waited for."""
        if self._transport is not None:
            self._transport.abort()

    def _succeed(self, answer: Answer) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class Direct:
    """The connections to one server."""

    def __init__(self, host: str, tls: ssl.SSLContext | None, server_name: str | None) -> None:
        """Describe a server; nothing is sent.

        Args:
            host: Its URL; a path in it goes before that of every request.
            tls: What to trust and show; None for plain HTTP.
            server_name: The name to expect in its certificate, if not the URL's.
        """
        url = URL(host)
        self._name, self._port = url.raw_host or "", url.port or 0
        self._prefix = url.raw_path.rstrip("/")
        self._authority = url.host_port_subcomponent or ""
        self._tls = tls
        self._server_name = (server_name or self._name) if tls is not None else None
        self._opened: set[_Connection] = set()
        self._idle: list[_Connection] = []

    def head(self, headers: Mapping[str, str]) -> bytes:
        """Return what stands between the request line and the length of the body; make it once for many requests.

        Raises:
            ValueError: A value cannot stand in a header; it is not quoted, since it may be a token.
        """
        for name, value in headers.items():
            if not _HEADER.fullmatch(value):
                raise ValueError(f"the value of {name} holds characters that no header may hold")
        lines = [f"{name}: {value}\r\n" for name, value in {"Host": self._authority, **headers}.items()]
        return f" HTTP/1.1\r\n{''.join(lines)}Content-Length: ".encode("ascii")

    async def exchange(
        self,
        method: str,
        path: str,
        head: bytes,
        body: bytes,
        *,
        seconds: float,
        limit: int,
        error_limit: int,
        permit: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send one request and return its answer.

        A kept connection may have been closed by the server in the moment it is used again. Where not a byte of an
        answer came, the request goes out again at once over another one: all that this program sends may be sent twice.

        Args:
            method: Of HTTP.
            path: Begins with a slash, percent-encoded, with the query.
            head: What ``head`` made.
            body: May be empty.
            seconds: For the whole exchange.
            limit: Bytes that the body of a 2xx answer may have.
            error_limit: Bytes that any other may have.
            permit: Asked in the moment in which the request would leave, each time it would; None: always.

        Raises:
            HeldBackError: ``permit`` said no.
            TimeoutError: It took longer.
            OSError: No connection, or it broke; TLS errors are of this kind.
            AnswerError: What came is no answer.
        """
        if not _TARGET.fullmatch(path):
            raise ValueError("a path begins with a slash and is percent-encoded")
        line = f"{method} {self._prefix}{path}".encode("ascii")
        request = b"%b%b%d\r\n\r\n%b" % (line, head, len(body), body)
        async with asyncio.timeout(seconds):
            while True:
                kept = self._kept()
                connection = kept or await self._connect()
                if permit is not None and not permit():
                    self._keep(connection)
                    raise HeldBackError
                try:
                    answer = await connection.exchange(request, AnswerReader(limit, error_limit))
                except _LostError:
                    connection.abort()
                    if kept is None:
                        raise
                    continue
                except BaseException:
                    connection.abort()
                    raise
                if answer.keep:
                    self._keep(connection)
                else:
                    connection.abort()
                return answer

    async def close(self) -> None:
        """Close every connection, and return when their sockets are closed."""
        opened = list(self._opened)
        for connection in opened:
            connection.abort()
        if opened:
            await asyncio.wait([connection.lost for connection in opened], timeout=_CLOSE_SECONDS)

    def _keep(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def _kept(self) -> _Connection | None:
        """Take the connection that was used last; those that nobody used for long are closed."""
        if not self._idle:
            return None
        connection = self._idle.pop()
        if time.monotonic() - connection.idle_since < _IDLE_SECONDS:
            return connection
        # Those below it have been idle for longer still.
        for old in (connection, *self._idle):
            old.abort()
        self._idle.clear()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_SECONDS):
            transport, connection = await loop.create_connection(
                lambda: _Connection(self._opened, self._idle),
                self._name,
                self._port,
                ssl=self._tls,
                server_hostname=self._server_name,
            )
        keep_alive(transport.get_extra_info("socket"))
        return connection


def keep_alive(made: socket.socket) -> None:
    """Let a socket notice within about a minute that the other end is gone."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if (number := getattr(socket, option, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, number, value)
