"""How a sync moves on when its agent reports. Pure: records in, records out; ``syncs.py`` carries it out.

The agent is the authority on what it did. Three things bound it: a report older than one already taken in changes
nothing, a revision that a newer one has replaced is never under way again, and only kas receives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kas.store.records import SyncState

if TYPE_CHECKING:
    from datetime import datetime

    from kas.store.records import Counts, SyncRecord

_RANK: Final = {state: rank for rank, state in enumerate(SyncState)}


@dataclass(frozen=True, slots=True)
class SyncReported:
    """What an agent says about one sync. ``at`` is its own clock."""

    sync_id: str
    project_id: int
    commit: str
    state: SyncState
    reason: str
    message: str
    counts: Counts
    at: datetime


def next_state(current: SyncState, reported: SyncState, *, newest: bool) -> SyncState | None:
    """Return the state that follows; None where the report may not change it.

    Args:
        current: where the sync is.
        reported: what the agent says; more recent than ``current``.
        newest: no newer revision of the same project was received for this agent.
    """
    if reported is SyncState.RECEIVED:
        # An agent that restarts receives again; only a sync that has not begun is in that state.
        return reported if current is SyncState.RECEIVED else None
    if reported is SyncState.SUPERSEDED:
        return None if current.ended and current is not SyncState.SUPERSEDED else reported
    if newest:
        # Also back from an end: a failed revision is tried again, a healthy one drifts and is put back.
        return reported
    if current.ended and current is not SyncState.SUPERSEDED:
        return None
    # It may have ended before it heard of the newer one, and then that is what is true of it.
    return reported if reported.ended else SyncState.SUPERSEDED


def advance(sync: SyncRecord, report: SyncReported, *, newest: bool, now: datetime) -> SyncRecord | None:
    """Return the sync after a report; None where the report is stale, repeated or not allowed.

    Times are moved into what kas knows to be true: not before the sync was received, not after ``now``.
    """
    at = min(report.at, now)
    if sync.reported_at is not None:
        if at < sync.reported_at:
            return None
        if at == sync.reported_at and _RANK[report.state] < _RANK[sync.state]:
            return None
    state = next_state(sync.state, report.state, newest=newest)
    if state is None:
        return None
    shown = max(at, sync.received_at)
    applied = state in {SyncState.APPLIED, SyncState.WAITING, SyncState.HEALTHY}
    ended_already = sync.state is state and sync.finished_at is not None
    return replace(
        sync,
        commit=sync.commit or report.commit,
        state=state,
        reason=report.reason,
        message=report.message,
        counts=report.counts,
        applied_at=sync.applied_at or (shown if applied else None),
        finished_at=(sync.finished_at if ended_already else shown) if state.ended else None,
        updated_at=now,
        reported_at=at,
    )
