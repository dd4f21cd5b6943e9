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
