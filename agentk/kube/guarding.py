"""Holding writes back while it is not certain that this program is the one to send them. Who decides is elsewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class HeldBackError(Exception):
    """A request was not sent: it was no longer permitted when there was a connection for it."""


class Guard(Protocol):
    """Decides whether writes may leave; ``agentk.leadership`` has one."""

    def is_open(self) -> bool:
        """Tell whether a write may leave in this moment."""

    async def opened(self) -> None:
        """Return when writes may leave; raise NotLeaderError when they never will again, KubeError to try later."""


async def when_open(guard: Guard, exchange: Callable[[], Awaitable[T]]) -> T:
    """Send when the guard allows it, which may change while the request waits for its turn or a connection.

    Raises:
        NotLeaderError: It never will again. Nothing was sent.
    """
    while True:
        if not guard.is_open():
            await guard.opened()
        with suppress(HeldBackError):
            return await exchange()
