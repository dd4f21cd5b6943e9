"""Waiting for a condition with a deadline: the one place where tests poll."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

POLL_SECONDS = 0.05
"""Short enough not to be felt, long enough not to load the two cores that the servers under test need."""

PATIENCE_SECONDS = 60.0
"""Only a failure costs it, so it is for a machine that does much else; it says nothing of how long things may take."""


class NotInTimeError(AssertionError):
    """The condition did not come true before the deadline; the text says which, and what was seen last."""


def wait_until(probe: Callable[[], T], *, what: str, within: float = PATIENCE_SECONDS) -> T:
    """Call ``probe`` until it returns something true, and return that.

    Args:
        probe: called from this thread; an exception ends the wait and reaches the caller.
        what: the condition in words, for the error.
        within: seconds.

    Raises:
        NotInTimeError: the deadline passed.
    """
    deadline = time.monotonic() + within
    never = threading.Event()
    while True:
        # Asked before the probe: who was not given the processor for a minute still looks once more.
        late = time.monotonic() > deadline
        if value := probe():
            return value
        if late:
            raise NotInTimeError(f"not within {within:g} s: {what}; last seen: {value!r}")
        never.wait(POLL_SECONDS)


@overload
async def eventually(probe: Callable[[], Awaitable[T]], *, what: str, within: float = ...) -> T: ...


@overload
async def eventually(probe: Callable[[], T], *, what: str, within: float = ...) -> T: ...


async def eventually(
    probe: Callable[[], object],
    *,
    what: str,
    within: float = PATIENCE_SECONDS,
) -> object:
    """Call ``probe``, awaiting it if it is asynchronous, until it returns something true, and return that.

    Raises:
        NotInTimeError: the deadline (seconds) passed.
    """
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() > deadline
        outcome = probe()
        value = await outcome if inspect.isawaitable(outcome) else outcome
        if value:
            return value
        if late:
            raise NotInTimeError(f"not within {within:g} s: {what}; last seen: {value!r}")
        await asyncio.sleep(POLL_SECONDS)
