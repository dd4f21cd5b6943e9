"""Ids of kas' own events."""

from __future__ import annotations

import random


def new_event_id() -> str:
    """Return an id that nothing else has: 128 bits of this process' own generator, seeded by the system's.

    Asking the system for each, thousands in a moment, hands the interpreter to another thread as often.
    """
    return f"{random.getrandbits(128):032x}"
