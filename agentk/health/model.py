"""How well an object is: kstatus' words, which are the wire's too (``HEALTH_`` and the member's name)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where an object stands on the way to what its manifest asks for."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """One object's status, and a sentence for people that says what it waits for."""

    status: Status
    message: str = ""


def current(message: str) -> Health:
    """Make the health of an object that is as its manifest asks."""
    return Health(Status.CURRENT, message)


def in_progress(message: str) -> Health:
    """Make the health of an object that is on its way."""
    return Health(Status.IN_PROGRESS, message)


def failed(message: str) -> Health:
    """Make the health of an object that will not get there by itself."""
    return Health(Status.FAILED, message)
