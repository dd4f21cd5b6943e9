"""Waiting for a database that is away: what must be asked or noted is tried again until it can be."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from agentlink.logs import get_logger
from kas.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 10.0
"""Short enough that nobody waits for kas once the database is back."""

log = get_logger("store")


async def when_available(call: Callable[[], Awaitable[T]], *, what: str) -> T:
    """Return what ``call`` returns, calling it again as long as the database is not available; other errors are raised.

    Args:
        call: made anew for each attempt.
        what: named in the log, once.
    """
    pause = FIRST_SECONDS
    told = False
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            if not told:
                log.warning("Waiting for the database", what=what, why=error.detail)
                told = True
        # Spread out, so that a thousand streams do not ask at once when it is back.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
        pause = min(2 * pause, LONGEST_SECONDS)
