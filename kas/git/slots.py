"""How many git processes may talk to one server at a time.

A fleet's worth of refs must not fall upon one GitLab at once; nor may a few repositories that hang keep the others
waiting. So a turn is lent: who holds it longer than a moment is not working but waiting, and gives it back.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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
