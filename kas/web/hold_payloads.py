"""The JSON of what holds for a project, a suspension or a pin: its shape, and how records become it.

Pure, as ``kas.web.payloads``, whose values carry it; what is answered to orders is in ``operation_payloads.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypedDict

from kas.gitops.holds import pin_of, suspension_of
from kas.store.records import HoldKind
from kas.web import times

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kas.store.records import HoldRecord, SyncRecord


_SUSPENDED: Final = "Suspended"
_BY_CONFIG: Final = "suspended by config.yaml"
"""How an agent says that it is config.yaml that suspends a project (``agentk.gitops.standing.words_of``)."""


class Hold(TypedDict):
    """A suspension or a pin. ``scope`` is what it is about: this project, or all of its agent.

    ``until`` is None for a suspension that does not end by itself; ``commit`` and ``available`` (the newest commit at
    the ref) are empty for a suspension. ``in_force`` tells whether it still holds.
    """

    kind: str
    scope: Literal["project", "agent"]
    by: str
    reason: str
    at: str
    until: str | None
    commit: str
    available: str
    ended_at: str | None
    ended_by: str
    in_force: bool


class Holding(TypedDict):
    """What holds for a project now."""

    suspension: Hold | None
    pin: Hold | None


def hold(record: HoldRecord, now: datetime) -> Hold:
    """Describe a suspension or a pin."""
    return Hold(
        kind=record.kind.value,
        scope="agent" if record.project_id is None else "project",
        by=record.by,
        reason=record.reason,
        at=times.time_of(record.at),
        until=times.optional_time(record.until),
        commit=record.commit,
        available=record.available,
        ended_at=times.optional_time(record.ended_at),
        ended_by=record.ended_by,
        in_force=record.in_force(now),
    )


def holding(project_id: int, holds: Sequence[HoldRecord]) -> Holding:
    """Describe what holds for a project; ``holds`` are in force, of its agent."""
    suspension, pin = suspension_of(project_id, holds), pin_of(project_id, holds)
    return Holding(
        suspension=None if suspension is None else hold(suspension, suspension.at),
        pin=None if pin is None else hold(pin, pin.at),
    )


def suspended_by_config(record: SyncRecord) -> Hold | None:
    """Describe the suspension that config.yaml holds, which nobody ordered: its agent tells of it with every state.

    ``at`` is when the agent last told.
    """
    if record.reason != _SUSPENDED or not record.message.startswith(_BY_CONFIG):
        return None
    return Hold(
        kind=HoldKind.SUSPENSION.value,
        scope="project",
        by="config.yaml",
        reason="suspend: true",
        at=times.time_of(record.updated_at),
        until=None,
        commit="",
        available="",
        ended_at=None,
        ended_by="",
        in_force=True,
    )


def suspended(holds: Sequence[HoldRecord]) -> Hold | None:
    """Describe the suspension of a whole agent; ``holds`` are in force, of that agent."""
    found = suspension_of(0, [one for one in holds if one.project_id is None])
    return None if found is None else hold(found, found.at)
