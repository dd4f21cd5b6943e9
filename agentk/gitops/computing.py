"""Computing a lot without making everybody wait: other projects' answers, reports and watches share the event loop.

A project of 50,000 objects has a second of deciding to do. One long computation goes to a thread, where the interpreter
takes turns every few milliseconds; a long loop of short steps lets others in now and then. Less than that is done at
once, since a thread costs more than it gives.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

_ON_THE_SPOT = 1_000
"""Objects that are decided on in about 10 ms, in which nobody misses anything."""

_STEPS = 50
"""Steps of up to 40 µs (a line of the log) between two looks at what else is to be done: 2 ms."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def computed(objects: int, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what a pure function gives for so many objects; nothing that it reads may change meanwhile."""
    if objects <= _ON_THE_SPOT:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


async def unhurried(items: Iterable[_T]) -> AsyncIterator[_T]:
    """Yield the items, and let others in after every few."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _STEPS == 0:
            await asyncio.sleep(0)
