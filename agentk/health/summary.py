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
    """Remembers how each object fares, and apart from that those that are not current, so that summing up is cheap."""

    def __init__(self) -> None:
        self._known: dict[ObjectRef, Health | None] = {}
        self._unwell: dict[ObjectRef, Health | None] = {}

    def expect(self, refs: Iterable[ObjectRef]) -> None:
        """Go on with these objects; of those that are new, nothing is known yet."""
        self._known = {ref: self._known.get(ref) for ref in refs}
        self._unwell = {ref: health for ref, health in self._known.items() if not _is_current(health)}

    def expect_more(self, refs: Iterable[ObjectRef]) -> None:
        """Take in objects beside those that are followed; of those that are new, nothing is known yet."""
        for ref in refs:
            if ref not in self._known:
                self._known[ref] = self._unwell[ref] = None

    def update(self, ref: ObjectRef, health: Health | None) -> bool:
        """Take in how an object fares, None when nobody knows; return whether that is news."""
        news = self._known.get(ref) != health
        self._known[ref] = health
        if _is_current(health):
            self._unwell.pop(ref, None)
        else:
            self._unwell[ref] = health
        return news

    def knows(self, ref: ObjectRef) -> bool:
        """Tell whether an object is among those that are followed, or was told of."""
        return ref in self._known

    @property
    def summary(self) -> Summary:
        """Sum up."""
        if not self._unwell:
            return Summary(Phase.HEALTHY)
        failed = [(ref, health) for ref, health in self._unwell.items() if health and health.status is Status.FAILED]
        if failed:
            return Summary(Phase.FAILED, _sentence(failed))
        return Summary(Phase.PROGRESSING, _sentence(list(self._unwell.items())))


def _is_current(health: Health | None) -> bool:
    return health is not None and health.status is Status.CURRENT


def _sentence(unwell: Sequence[tuple[ObjectRef, Health | None]]) -> str:
    named = "; ".join(
        f"{ref}: {health.message or health.status.value if health else 'not seen yet'}"
        for ref, health in unwell[:NAMED]
    )
    more = len(unwell) - NAMED
    return f"{named}; and {more} more" if more > 0 else named
