"""Which of the replicas that want a key should hold it: decided by each alone, and by all alike. Pure.

Highest random weight (rendezvous hashing): every replica has a rank for every key, and the highest one wins. Ranks are
spread evenly and never change, so shares even out, nothing goes back and forth, and who comes or goes moves only keys
of its own.
"""

from __future__ import annotations

import hashlib
from typing import Final

RANK_DIGITS: Final = 16

_SHARE_AT_ONCE: Final = 50


def rank(key: str, replica: str) -> str:
    """Return how much a replica is to hold a key: hexadecimal digits, more is more."""
    return hashlib.blake2b(f"{replica}\0{key}".encode(), digest_size=RANK_DIGITS // 2).hexdigest()


def spare(held: int) -> int:
    """Return how many of ``held`` keys may change hands in one turn: a fiftieth, so that all of it is a minute's work.

    A key that changes hands is looked at by nobody for up to a turn: never many of them at the same time.
    """
    return max(1, held // _SHARE_AT_ONCE)
