"""The agent's one connection to kas: kept for ever, by whichever transport the address names.

What arrives goes to a consumer one message at a time; a slow consumer slows kas down. Reports go up beside the stream.
What messages mean is decided elsewhere (``agentk.gitops.receive``), as is sending a report again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc

from agentk.gitops.channels import ConnectError, is_of_removed_agent, open_channel, retry_after_of
from agentk.gitops.connection import ClosedError, Connection
from agentlink import limits, logs
from agentlink.agent_token import TokenError
from agentlink.backoff import backoff, pause
from agentlink.metadata import CONNECTION_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agentlink.address import KasAddress
    from agentlink.v1 import agentlink_pb2 as wire

    _Consume = Callable[[wire.KasMessage], Awaitable[None]]

REPORT_SECONDS = 30.0
"""How long kas may take to store one batch of reports."""

HEALTHY_SECONDS = 60.0
"""A connection that lasted this long starts the waiting times from the beginning when it ends."""

LONGEST_WAIT_SECONDS = 60.0

TAKEN_OVER_SECONDS = 2.0
"""How long a stream that has ended while the agent moves is given the benefit of the doubt."""

LONGEST_MOVE_WAIT_SECONDS = 3.0
"""Between attempts to move: the old connection serves on, but not for long."""

REFUSED_WAIT_SECONDS = 300.0
"""How far waiting grows while kas refuses the token: only a person can change that. A new token ends the waiting."""

NEW_TOKEN_SECONDS = 1.0
"""How often it is looked, while waiting after a refusal, whether there is another token; a small file is read."""

_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED}

_UNWANTED = {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
"""Nobody waits for the answer any more, or it is larger than anybody would read."""

_HOPELESS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}

log = logs.get_logger("link")


class LinkError(Exception):
    """A report was not delivered; kas may not have it. Sending the same batch again is right, later."""


class NotConnected(LinkError):  # noqa: N818 - a state, not a mistake
    """There is no connection now; ``Link.wait_connected`` tells when there is."""


class ReportRejected(LinkError):  # noqa: N818 - what kas did
    """kas will not take this batch however often it is sent: it is too large or makes no sense to it."""


class Reconnect(Exception):  # noqa: N818 - a wish, not a mistake
    """Raised by a consumer that cannot go on with this stream: the link connects anew, with a new Hello."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the connection is. ``connected_since`` is None while there is none, and then ``last_error`` says why."""

    connected_since: datetime | None = None
    last_error: str = ""


@dataclass(slots=True)
class _Ended:
    """How one connection went.

    ``refused``: only a person can change that. ``entered``: kas had let the agent in. ``retry_after``: the seconds kas
    asked for. ``moving`` is the task of what takes its place, which goes on; ``over`` is set when it has ended.
    """

    refused: bool = False
    entered: bool = False
    retry_after: float | None = None
    failure: Exception | None = None
    moving: asyncio.Task[_Ended] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Link:
    """Keeps the connection. Run :meth:`run` as a part of the program; the rest may be called at any time."""

    def __init__(
        self,
        address: KasAddress,
        *,
        token: Callable[[], str],
        hello: Callable[[], wire.Hello],
        ca_cert_file: Path | None = None,
        removed: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect to ``address``; ``token`` and ``hello`` are called anew for every connection.

        Args:
            address: where kas is.
            token: gives the agent's token, or raises TokenError.
            hello: gives the first message, with what the agent holds at that moment.
            ca_cert_file: certificates (PEM) to trust besides the system's.
            removed: is called when a kas that had let the agent in says that there is no such agent any more.
        """
        self._removed = removed
        self._address = address
        self._token = token
        self._hello = hello
        self._ca_cert_file = ca_cert_file
        self._connection: Connection | None = None
        self._reading = asyncio.Lock()
        self._connected = asyncio.Event()
        self._state = LinkState(last_error="not connected yet")

    @property
    def state(self) -> LinkState:
        """Return how the connection is now."""
        return self._state

    async def wait_connected(self) -> None:
        """Return when there is a connection, at once if there is."""
        await self._connected.wait()

    async def run(self, consume: _Consume) -> None:
        """Connect, hand every message to ``consume``, and connect again whenever the connection ends; never returns.

        When kas asks it to move, the new connection is open before the old one is left: the consumer gets the messages
        of one after those of the other, and calls under way come to their end.

        The next message is read when ``consume`` has returned. An exception from it ends the connection and this
        method, except :class:`Reconnect`, which asks for a new connection.
        """
        delays = backoff(maximum=LONGEST_WAIT_SECONDS)
        refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
        while True:
            started = time.monotonic()
            token = self._usable_token()
            ended = await self._follow(token, consume) if token is not None else _Ended(refused=True)
            if time.monotonic() - started >= HEALTHY_SECONDS:
                delays = backoff(maximum=LONGEST_WAIT_SECONDS)
                refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
            if ended.refused:
                if await self._other_token(token, within=next(refused_delays)):
                    refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
            else:
                await asyncio.sleep(pause(next(delays), ended.retry_after))

    async def report(self, request: wire.ReportRequest) -> None:
        """Deliver one batch; returns when kas has it on disk.

        Raises:
            LinkError: it was not, or nobody knows whether it was.
        """
        connection = self._in_use()
        channel = connection.channel
        try:
            async with connection.calling() as stub:
                await stub.Report(request, metadata=channel.metadata, timeout=REPORT_SECONDS)
        except ClosedError as error:
            raise LinkError(f"kas may not have taken the reports: {error}") from error
        except grpc.aio.AioRpcError as error:
            text = f"kas did not take the reports: {channel.explain(error)}"
            # The same code says that a message is too large, and that too many tokens were refused: not for ever.
            too_large = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and request.ByteSize() > limits.MESSAGE_BYTES
            raise (ReportRejected if too_large or error.code() in _HOPELESS else LinkError)(text) from error

    async def answer(self, request: wire.AnswerRequest, *, within: float) -> bool:
        """Deliver a part of the answer to a command; kas may take its time while nobody reads the parts before.

        Returns:
            Whether somebody waits for it.

        Raises:
            LinkError: It was not delivered within these seconds, or nobody knows whether it was.
        """
        connection = self._in_use()
        channel = connection.channel
        try:
            async with connection.calling() as stub:
                await stub.Answer(request, metadata=channel.metadata, timeout=within)
        except ClosedError as error:
            raise LinkError(f"kas may not have taken the answer: {error}") from error
        except grpc.aio.AioRpcError as error:
            if error.code() in _UNWANTED:
                return False
            raise LinkError(f"kas did not take the answer: {channel.explain(error)}") from error
        return True

    def _in_use(self) -> Connection:
        if self._connection is None:
            raise NotConnected(f"not connected to kas: {self._state.last_error}")
        return self._connection

    def _usable_token(self) -> str | None:
        """Return the token, None where there is none to connect with."""
        try:
            return self._token()
        except TokenError as error:
            self._disconnected(None, str(error))
            return None

    async def _other_token(self, refused: str | None, *, within: float) -> bool:
        """Wait for a token other than the refused one; tell whether one came ``within`` these seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    await asyncio.sleep(NEW_TOKEN_SECONDS)
                    token = self._usable_token()
                    if token is not None and token != refused:
                        return True
        return False

    async def _follow(self, token: str, consume: _Consume) -> _Ended:
        """Hold a connection, and those that take its place, to the end of the last."""
        async with asyncio.TaskGroup() as group:
            ended = await self._hold(token, consume, group)
            while ended.moving is not None:
                ended = await ended.moving
        if ended.failure is not None:
            raise ended.failure
        return ended

    async def _hold(self, token: str, consume: _Consume, group: asyncio.TaskGroup) -> _Ended:
        """Hold one connection to its end."""
        ended = _Ended()
        try:
            async with open_channel(self._address, token, self._ca_cert_file) as channel:
                connection = Connection(channel)
                try:
                    await self._stream(connection, consume, group, ended)
                    self._disconnected(connection, "kas ended the stream")
                except grpc.aio.AioRpcError as error:
                    # kas ends a stream as soon as the one in its place is there, which may be heard in any order.
                    if ended.moving is not None and await connection.is_left(within=TAKEN_OVER_SECONDS):
                        return ended
                    # Believed only where it ends a stream: a refusal may be of a kas that has lost its database.
                    if ended.entered and is_of_removed_agent(error):
                        self._removed()
                    ended.retry_after = retry_after_of(error)
                    ended.refused = error.code() in _REFUSED and ended.retry_after is None
                    self._disconnected(connection, channel.explain(error))
                except (ConnectError, Reconnect) as error:
                    self._disconnected(connection, str(error))
                finally:
                    ended.over.set()
                    self._exit(connection)
                    await connection.end(within=REPORT_SECONDS)
        except ConnectError as error:
            ended.retry_after = error.retry_after
            self._disconnected(None, str(error))
        except Exception as error:  # noqa: BLE001 - raised again by whoever follows: the group would wrap it
            ended.failure = error
        return ended

    async def _stream(self, connection: Connection, consume: _Consume, group: asyncio.TaskGroup, ended: _Ended) -> None:
        try:
            if self._connection is not None:
                await connection.reach()
            # Between two messages of the connection before: it is not read while this one comes in.
            async with self._reading:
                await self._greet(connection, ended)
        except TimeoutError:
            raise ConnectError(
                f"{self._address} did not answer within {limits.CONNECT_TIMEOUT_SECONDS:.0f} s: "
                "check address and firewalls"
            ) from None
        async for message in connection.messages():
            async with self._reading:
                if connection.left:
                    return
                kind = message.WhichOneof("message")
                if kind not in {None, "moving"}:
                    await consume(message)
                elif kind and ended.moving is None:
                    ended.moving = group.create_task(self._move(ended.over, consume, group))

    async def _greet(self, connection: Connection, ended: _Ended) -> None:
        metadata = await connection.greet(self._hello())
        # A call that is refused has initial metadata too, but not this.
        if connection_id := metadata.get(CONNECTION_ID):
            self._enter(connection, connection_id)
            ended.entered = True

    async def _move(self, leaving: asyncio.Event, consume: _Consume, group: asyncio.TaskGroup) -> _Ended:
        """Open a connection to take the place of one, trying for as long as that lasts; then hold it."""
        delays = backoff(maximum=LONGEST_MOVE_WAIT_SECONDS)
        while True:
            token = self._usable_token()
            ended = await self._hold(token, consume, group) if token is not None else _Ended(refused=True)
            if ended.entered or leaving.is_set() or ended.failure is not None:
                return ended
            with suppress(TimeoutError):
                async with asyncio.timeout(pause(next(delays), ended.retry_after)):
                    await leaving.wait()
                return ended

    def _enter(self, connection: Connection, connection_id: str) -> None:
        before = self._connection
        self._connection = connection
        self._state = LinkState(connected_since=datetime.now(UTC))
        self._connected.set()
        if before is not None:
            before.leave()
            log.info("Moved to a new connection to kas", connection_id=connection_id)
        else:
            log.info("Connected to kas", address=str(self._address), connection_id=connection_id)

    def _exit(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
            self._connected.clear()

    def _disconnected(self, connection: Connection | None, error: str) -> None:
        """Note why a connection has ended, or why there was none."""
        if self._connection is not None and self._connection is not connection:
            # Another one is in use: this was left, or could not take over yet.
            log.debug("A connection beside the one in use has ended", why=error)
            return
        before = self._state
        self._state = LinkState(last_error=error)
        if before.connected_since is not None:
            log.warning("The connection to kas has ended; connecting again", why=error)
        elif before.last_error != error:
            log.warning("Cannot connect to kas; trying again", address=str(self._address), why=error)
        else:
            log.debug("Cannot connect to kas; trying again", address=str(self._address), why=error)
