"""Giving memory back to the system: a first sync of many objects needs much for a moment, and an idle agent little."""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""Of glibc's ``mallopt``."""

_LARGE: Final = 128 << 10
"""Bytes from which on a block is the system's own: where glibc begins, before it learns to keep larger ones."""


def give_back_large_blocks() -> bool:
    """Have the C library give blocks back when they are freed, however large those before were; tell whether it can.

    Messages of kas, answers of the API server and tables of tens of thousands of entries are such blocks; kept for the
    next one they were 5 MiB of an agent with 20,000 objects. Nor does each thread then keep for itself what it has
    freed: few compute, and one at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, _LARGE) and mallopt(_M_ARENA_MAX, 1))


def give_back_freed() -> None:
    """Have the C library give back what is free between blocks that are not, where it can.

    That of messages and answers, after tens of thousands of them; it takes half a millisecond.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
