"""What a note of kas that a revision is on its way changes among an agent's syncs. Pure; ``syncs.py`` carries it out.

Notes of one agent come in their order, and reports of the agent may be faster than they are: while the database is away
both wait, and nothing says which comes first then. A sync that was reported and not noted yet has no ref.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from kas.store.records import Counts, SyncKind, SyncRecord, SyncState
from kas.store.times import to_micros

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from kas.store.records import EventRecord, ProjectRecord

_TICK: Final = timedelta(microseconds=1)
_SKEW: Final = timedelta(minutes=1)
"""By how much the clocks of several kas may differ."""


@dataclass(frozen=True, slots=True)
class Received:
    """What ``Syncs.received`` is told."""

    agent_id: int
    project_id: int
    sync_id: str
    ref: str
    commit: str
    total: int
    seen_at: datetime | None
    event: EventRecord | None


def receive(
    one: Received, project: ProjectRecord, known: Collection[SyncRecord], now: datetime
) -> tuple[list[SyncRecord], bool]:
    """Return the syncs that a revision changes, and whether it is news.

    Args:
        one: what is noted.
        project: its manifest project.
        known: all syncs of the agent's in that project.
        now: the time.
    """
    revisions = [sync for sync in known if sync.kind is SyncKind.REVISION]
    if any(_is_seen_after(sync, one, now) for sync in revisions):
        return [], False
    changed = [superseded(old, now) for old in revisions if old.id != one.sync_id and not old.state.ended]
    newest = max(revisions, key=received_at, default=None)
    reported = next((sync for sync in revisions if sync.id == one.sync_id and _is_only_reported(sync)), None)
    if reported is not None:
        at = reported.received_at if reported is newest else _after(known, now)
        sync = replace(reported, ref=one.ref, seen_at=one.seen_at, received_at=at, updated_at=now)
        sync = replace(sync, sent_objects=one.total)
        refusals = [superseded(sync, now) for sync in known if _is_refusal_after(sync, reported)]
        return [*changed, *refusals, sync], True
    if newest is None or newest.id != one.sync_id or newest.state is SyncState.SUPERSEDED:
        sync = new_sync(one.agent_id, project, known, sync_id=one.sync_id, kind=SyncKind.REVISION, now=now)
        sync = replace(sync, ref=one.ref, commit=one.commit, counts=Counts(total=one.total), seen_at=one.seen_at)
        sync = replace(sync, sent_objects=one.total)
        if newest is not None and newest.id != one.sync_id:
            changed += [_former(old) for old in revisions if old.id == one.sync_id]
        return [*changed, sync], True
    changed += [superseded(sync, now) for sync in known if _is_refusal_after(sync, newest)]
    return changed, False


def superseded(sync: SyncRecord, now: datetime) -> SyncRecord:
    """Return a sync that something newer has taken the place of."""
    return replace(sync, state=SyncState.SUPERSEDED, finished_at=sync.finished_at or now, updated_at=now)


def new_sync(
    agent_id: int,
    project: ProjectRecord,
    known: Collection[SyncRecord],
    *,
    sync_id: str,
    kind: SyncKind,
    now: datetime,
) -> SyncRecord:
    """Return a sync that begins, after all that are known of its agent and project."""
    return SyncRecord(
        id=sync_id,
        agent_id=agent_id,
        project_id=project.id,
        project=project.path,
        ref="",
        commit="",
        state=SyncState.RECEIVED,
        reason="",
        message="",
        counts=Counts(),
        received_at=_after(known, now),
        applied_at=None,
        finished_at=None,
        updated_at=now,
        kind=kind,
    )


def received_at(sync: SyncRecord) -> datetime:
    """Return what syncs are ordered by."""
    return sync.received_at


def _after(known: Collection[SyncRecord], now: datetime) -> datetime:
    # The order in which syncs were received is what decides; a clock that is put back must not change it.
    latest = max((sync.received_at for sync in known), default=None)
    return now if latest is None else max(now, latest + _TICK)


def _is_only_reported(sync: SyncRecord) -> bool:
    return not sync.ref and sync.state is not SyncState.SUPERSEDED


def _is_seen_after(sync: SyncRecord, one: Received, now: datetime) -> bool:
    """Tell whether a ref was found to have another revision after it was found to have this one."""
    if sync.id == one.sync_id or sync.ref != one.ref or sync.seen_at is None or one.seen_at is None:
        return False
    if sync.seen_at > now + _SKEW:  # the clock of who looked was wrong; that must not keep back what comes later
        return False
    return sync.seen_at > one.seen_at


def _is_refusal_after(sync: SyncRecord, newest: SyncRecord) -> bool:
    over = sync.kind is SyncKind.REFUSAL and sync.state is SyncState.FAILED
    return over and sync.received_at > newest.received_at


def _former(sync: SyncRecord) -> SyncRecord:
    """Return a sync that is about to start anew as history keeps it: under an id that no agent reports to."""
    return replace(sync, id=f"{sync.id}-{to_micros(sync.received_at):x}", seen_at=None)
