"""How the API writes times. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def time_of(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_time(at: datetime | None) -> str | None:
    """Write a time that may be missing."""
    return None if at is None else time_of(at)
