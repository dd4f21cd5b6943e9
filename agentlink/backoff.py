"""How long to wait before trying again: a generator, so that whoever retries keeps the loop and the policy apart."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def backoff(
    *,
    initial: float = 1.0,
    maximum: float = 60.0,
    factor: float = 2.0,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[float]:
    """Yield delays in seconds for ever: each drawn evenly from zero up to a ceiling that grows to ``maximum``.

    Drawing from the whole range ("full jitter") is what spreads ten thousand agents that all lost kas in the same
    instant; a fixed part would make them return together. Start a new generator once things have been well for a while.
    """
    ceiling = initial
    while True:
        yield uniform(0.0, ceiling)
        ceiling = min(ceiling * factor, maximum)


LONGEST_ASKED_SECONDS = 300.0
"""The longest that anybody waits because the other side asked for it."""


def pause(delay: float, asked: float | None, *, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return how long to wait, in seconds: ``delay``, but never less than the other side ``asked`` for.

    A little is added to what it asked for, as it may have asked many for the same.
    """
    if asked is None:
        return delay
    asked = min(asked, LONGEST_ASKED_SECONDS)
    return max(delay, uniform(asked, 1.25 * asked))
