"""The agent's one connection to kas: kept for ever, by whichever transport the address names.

What arrives goes to a consumer one message at a time; a slow consumer slows kas down. Reports go up beside the stream.
What messages mean is decided elsewhere (``agentk.gitops.receive``), as is sending a report again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc

from agentk.gitops.channels import ConnectError, open_channel
from agentlink import limits, logs
from agentlink.agent_token import TokenError
from agentlink.backoff import backoff
from agentlink.metadata import CONNECTION_ID
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agentk.gitops.channels import Channel
    from agentlink.address import KasAddress

REPORT_SECONDS = 30.0
"""How long kas may take to store one batch of reports."""

HEALTHY_SECONDS = 60.0
"""A connection that lasted this long starts the waiting times from the beginning when it ends."""

LONGEST_WAIT_SECONDS = 60.0

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


class Link:
    """Keeps the connection. Run :meth:`run` as a part of the program; the rest may be called at any time."""

    def __init__(
        self,
        address: KasAddress,
        *,
        token: Callable[[], str],
        hello: Callable[[], wire.Hello],
        ca_cert_file: Path | None = None,
    ) -> None:
        """Connect to ``address``; ``token`` and ``hello`` are called anew for every connection.

        Args:
            address: where kas is.
            token: gives the agent's token, or raises TokenError.
            hello: gives the first message, with what the agent holds at that moment.
            ca_cert_file: certificates (PEM) to trust besides the system's.
        """
        self._address = address
        self._token = token
        self._hello = hello
        self._ca_cert_file = ca_cert_file
        self._channel: Channel | None = None
        self._connected = asyncio.Event()
        self._state = LinkState(last_error="not connected yet")

    @property
    def state(self) -> LinkState:
        """Return how the connection is now."""
        return self._state

    async def wait_connected(self) -> None:
        """Return when there is a connection, at once if there is."""
        await self._connected.wait()

    async def run(self, consume: Callable[[wire.KasMessage], Awaitable[None]]) -> None:
        """Connect, hand every message to ``consume``, and connect again whenever the connection ends; never returns.

        The next message is read when ``consume`` has returned. An exception from it ends the connection and this
        method, except :class:`Reconnect`, which asks for a new connection.
        """
        delays = backoff(maximum=LONGEST_WAIT_SECONDS)
        refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
        while True:
            started = time.monotonic()
            token = self._usable_token()
            refused = token is None or await self._connect_once(token, consume)
            if time.monotonic() - started >= HEALTHY_SECONDS:
                delays = backoff(maximum=LONGEST_WAIT_SECONDS)
                refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
            if refused:
                if await self._other_token(token, within=next(refused_delays)):
                    refused_delays = backoff(initial=5.0, maximum=REFUSED_WAIT_SECONDS)
            else:
                await asyncio.sleep(next(delays))

    async def report(self, request: wire.ReportRequest) -> None:
        """Deliver one batch; returns when kas has it on disk.

        Raises:
            LinkError: it was not, or nobody knows whether it was.
        """
        channel = self._channel
        if channel is None:
            raise NotConnected(f"not connected to kas: {self._state.last_error}")
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        try:
            await stub.Report(request, metadata=channel.metadata, timeout=REPORT_SECONDS)
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
        channel = self._channel
        if channel is None:
            raise NotConnected(f"not connected to kas: {self._state.last_error}")
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        try:
            await stub.Answer(request, metadata=channel.metadata, timeout=within)
        except grpc.aio.AioRpcError as error:
            if error.code() in _UNWANTED:
                return False
            raise LinkError(f"kas did not take the answer: {channel.explain(error)}") from error
        return True

    def _usable_token(self) -> str | None:
        """Return the token, None where there is none to connect with."""
        try:
            return self._token()
        except TokenError as error:
            self._disconnected(str(error))
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

    async def _connect_once(self, token: str, consume: Callable[[wire.KasMessage], Awaitable[None]]) -> bool:
        """Hold one connection to its end; tell whether it ended because kas refuses this agent."""
        try:
            async with open_channel(self._address, token, self._ca_cert_file) as channel:
                try:
                    await self._stream(channel, consume)
                except grpc.aio.AioRpcError as error:
                    self._disconnected(channel.explain(error))
                    return error.code() in _REFUSED
                self._disconnected("kas ended the stream")
        except (ConnectError, Reconnect) as error:
            self._disconnected(str(error))
        return False

    async def _stream(self, channel: Channel, consume: Callable[[wire.KasMessage], Awaitable[None]]) -> None:
        stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        # The published types do not know that a stream may be written to instead of being given an iterator.
        call = stub.Connect(metadata=channel.metadata)  # type: ignore[call-arg]
        try:
            try:
                async with asyncio.timeout(limits.CONNECT_TIMEOUT_SECONDS):
                    await call.write(wire.AgentMessage(hello=self._hello()))
                    metadata = await call.initial_metadata()
            except TimeoutError:
                raise ConnectError(
                    f"{self._address} did not answer within {limits.CONNECT_TIMEOUT_SECONDS:.0f} s: "
                    "check address and firewalls"
                ) from None
            # A call that is refused has initial metadata too, but not this.
            if connection_id := metadata.get(CONNECTION_ID):
                self._channel = channel
                self._state = LinkState(connected_since=datetime.now(UTC))
                self._connected.set()
                log.info("Connected to kas", address=str(self._address), connection_id=connection_id)
            async for message in call:
                await consume(message)
        finally:
            self._channel = None
            self._connected.clear()
            call.cancel()

    def _disconnected(self, error: str) -> None:
        before = self._state
        self._state = LinkState(last_error=error)
        if before.connected_since is not None:
            log.warning("The connection to kas has ended; connecting again", why=error)
        elif before.last_error != error:
            log.warning("Cannot connect to kas; trying again", address=str(self._address), why=error)
        else:
            log.debug("Cannot connect to kas; trying again", address=str(self._address), why=error)
