"""How many fetches and questions may be with one server at a time.

A fleet's worth of refs must not fall upon one GitLab at once; nor may a few repositories that hang keep the others
waiting. So a turn is lent: who holds it longer than a moment is not working but waiting, and gives it back.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

# Turns at one server, and how long one is held at most. What takes longer than that is waiting, not working.
_TURNS = 16
_TURN_SECONDS = 3.0


class Slots:
    """``count`` turns; each is given back at the latest after ``lent`` seconds, while its holder goes on."""

    def __init__(self, count: int, lent: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._lent = lent

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        await self._free.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._lent, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()


class Turns:
    """The turns at every server."""

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}

    def at(self, url: str) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at the server of a URL and hold it."""
        return self._slots.setdefault(urlsplit(url).netloc, Slots(_TURNS, _TURN_SECONDS)).turn()
