"""How a project as a whole fares, from how its objects fare; kept up to date one object at a time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agentk.health.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentk.health.model import Health
    from agentlink.refs import ObjectRef

NAMED = 3
"""How many objects a summary names; the rest is a number."""


class Phase(StrEnum):
    """How a project fares."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Summary:
    """A phase, and a sentence about what keeps the project from being healthy; empty when it is."""

    phase: Phase
    message: str = ""


class HealthSummary:
    """Remembers the objects that are not current; an object that is, costs nothing."""

    def __init__(self) -> None:
        self._unwell: dict[ObjectRef, Health | None] = {}

    def expect(self, refs: Iterable[ObjectRef]) -> None:
        """Start anew with these objects, of which nothing is known yet."""
        self._unwell = dict.fromkeys(refs)

    def update(self, ref: ObjectRef, health: Health | None) -> bool:
        """Take in how an object fares, None when it is not there; return whether that is news."""
        before = self._unwell.get(ref, _CURRENT)
        if health is not None and health.status is Status.CURRENT:
            return self._unwell.pop(ref, _CURRENT) is not _CURRENT
        self._unwell[ref] = health
        return before is _CURRENT or before != health

    def drop(self, ref: ObjectRef) -> None:
        """Forget an object that is no longer wanted."""
        self._unwell.pop(ref, None)

    @property
    def summary(self) -> Summary:
        """Sum up."""
        if not self._unwell:
            return Summary(Phase.HEALTHY)
        failed = [(ref, health) for ref, health in self._unwell.items() if health and health.status is Status.FAILED]
        if failed:
            return Summary(Phase.FAILED, _sentence(failed))
        return Summary(Phase.PROGRESSING, _sentence(list(self._unwell.items())))


class _Current:
    """Stands for an object that is well."""


_CURRENT = _Current()


def _sentence(unwell: Sequence[tuple[ObjectRef, Health | None]]) -> str:
    named = "; ".join(
        f"{ref}: {health.message or health.status.value if health else 'not seen yet'}"
        for ref, health in unwell[:NAMED]
    )
    more = len(unwell) - NAMED
    return f"{named}; and {more} more" if more > 0 else named
