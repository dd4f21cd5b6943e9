"""When to look at a repository again. Pure."""

from __future__ import annotations

# The longest pause between looks at a repository that fails, in seconds, unless the interval itself is longer.
MAX_PAUSE = 300.0
# Looks are spread by this share of the pause to either side, so that a thousand refs found together drift apart.
_SPREAD = 0.1
# As many intervals pass at most while webhooks tell of every push: one may still be lost.
_TRUSTED = 10.0


AGAIN = (2.0, 5.0, 15.0)
"""Seconds between looks after one that a webhook asked for and that found nothing new: some servers tell of a push
before the ref has moved, or answer from a replica that lags behind."""


def pause(interval: float, failures: int, chance: float) -> float:
    """Return the seconds until the next look.

    ``failures`` is how many looks in a row have failed: each doubles the pause. ``chance`` is random in [0, 1).
    """
    longest = max(MAX_PAUSE, interval)
    # 2**16 intervals are beyond any cap; the bound keeps the number small after a year of failures.
    base = min(interval * 2.0 ** min(failures, 16), longest)
    return base * (1.0 + _SPREAD * (2.0 * chance - 1.0))


def trusting(interval: float, told: int) -> float:
    """Return the seconds between looks that nobody asked for.

    ``told`` is how many changes in a row webhooks have told of first: each doubles the time, up to ten intervals. One
    that a look of our own has found is the end of that.
    """
    return interval * min(2.0 ** min(told, 16), _TRUSTED)
