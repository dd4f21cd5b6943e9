"""One connection to kas that is open: its stream downwards, and the calls that go up beside it.

A connection that is left for another one ends when its calls have. Which connection is in use, and when there is to be
another one, is decided in ``agentk.gitops.link``.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from agentlink import limits
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    import grpc

    from agentk.gitops.channels import Channel


class ClosedError(Exception):
    """The connection was closed here while a call was under way; nobody knows whether kas has carried it out."""


class Connection:
    """A channel to kas with its Connect stream."""

    def __init__(self, channel: Channel) -> None:
        """Begin; nothing is sent before ``greet``."""
        self.channel = channel
        self._left = asyncio.Event()
        self._stub = agentlink_pb2_grpc.AgentLinkStub(channel.connection)
        self._call: grpc.aio.StreamStreamCall[wire.AgentMessage, wire.KasMessage] | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def left(self) -> bool:
        """Tell whether another connection has taken the place of this one."""
        return self._left.is_set()

    async def is_left(self, *, within: float) -> bool:
        """Wait up to so many seconds for another connection to take the place of this one; tell whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._left.wait()
        return self.left

    async def reach(self) -> None:
        """Connect without saying anything yet.

        Raises:
            TimeoutError: kas was not reached in time.
        """
        async with asyncio.timeout(limits.CONNECT_TIMEOUT_SECONDS):
            await self.channel.connection.channel_ready()

    async def greet(self, hello: wire.Hello) -> dict[str, Any]:
        """Say Hello and return kas' initial metadata.

        Raises:
            TimeoutError: Nothing came in time.
            grpc.aio.AioRpcError: kas cannot be reached, or refuses.
        """
        async with asyncio.timeout(limits.CONNECT_TIMEOUT_SECONDS):
            # The published types do not know that a stream may be written to instead of being given an iterator.
            self._call = self._stub.Connect(metadata=self.channel.metadata)  # type: ignore[call-arg]
            await self._call.write(wire.AgentMessage(hello=hello))
            return dict(await self._call.initial_metadata())

    async def messages(self) -> AsyncIterator[wire.KasMessage]:
        """Yield what kas sends, to the end of the stream or until the connection is left."""
        assert self._call is not None  # noqa: S101 - greeted before
        try:
            async for message in self._call:
                yield message
        except asyncio.CancelledError:
            # The stream says so too when it is ended from here; a task that is cancelled has been asked to.
            if not self.left or _cancelled():
                raise

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[agentlink_pb2_grpc.AgentLinkAsyncStub]:
        """Give what a call is made with; the connection is not closed before it has ended, unless it is broken.

        Raises:
            ClosedError: It was closed all the same.
        """
        self._calls += 1
        self._idle.clear()
        try:
            yield self._stub
        except asyncio.CancelledError:
            if _cancelled():
                raise
            raise ClosedError("the connection to kas was closed") from None
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def leave(self) -> None:
        """End the stream: another connection has taken over."""
        self._left.set()
        self._cancel()

    async def end(self, *, within: float) -> None:
        """End the stream; of a connection that was left the calls may go on for so many seconds."""
        self._cancel()
        if self.left:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._idle.wait()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
