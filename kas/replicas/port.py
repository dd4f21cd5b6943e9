"""The port through which replicas of kas meet; behind it are ``local.py``, or ``redis_bus.py`` and ``redis_leases.py``.

Messages are hints: each arrives once at most. Whoever listens is told of a gap, in time, and then looks at the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The largest message; what is larger goes another way."""


@dataclass(frozen=True, slots=True)
class Message:
    """What another replica said. ``sender`` is its id."""

    sender: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages were lost, or may have been: those of one sender, or with none of all. Read the truth anew."""

    sender: str = ""


Heard = Message | Gap


class Bus(Protocol):
    """Carries messages to the other replicas."""

    @property
    def replica(self) -> str:
        """This replica's id, which no other has, nor had before."""

    @property
    def trouble(self) -> str:
        """Why the others cannot be reached now; empty when they can, or when there are none."""

    @property
    def beats(self) -> int:
        """For how many seconds in all this replica was able to hear the others: it stands still while it cannot."""

    def publish(self, topic: str, body: bytes, *, to: str = "") -> None:
        """Tell all others, or one. Never waits and never fails: what does not arrive leaves a gap with who listens."""

    def listen(self, topic: str, heard: Callable[[Heard], None]) -> AbstractContextManager[None]:
        """Have ``heard`` called with what others say as long as the block runs. It must neither block nor raise."""


class Standing(StrEnum):
    """How it stands with a lease."""

    MINE = "mine"
    OTHERS = "others"
    UNKNOWN = "unknown"
    """Nobody can say, since Redis is away: do what is harmless to be done twice."""


class Lease(Protocol):
    """What one replica at a time has, if that is this one: judged on its own clock, so that it ends here first."""

    @property
    def standing(self) -> Standing:
        """Whose it is now."""

    @property
    def fence(self) -> int:
        """Grows with each new holder; 0 while it is not ours."""


class Leases(Protocol):
    """Keys of which each has one holder among the replicas."""

    def want(self, key: str, changed: Callable[[], None]) -> AbstractContextManager[Lease]:
        """Stand for a key as long as the block runs; ``changed`` is called when the standing changes. Once a key."""
