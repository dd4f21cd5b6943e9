"""From reports of the wire to what the store takes. Pure; nothing from an agent is trusted.

What cannot be understood (a word of a newer agentk, an object without a name) is left out rather than refused: the
agent would only send it again, and the rest of the batch is good.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agentlink.refs import ObjectRef
from agentlink.v1 import agentlink_pb2 as wire
from kas.reports.texts import NAME, SENTENCE, WORD, inert
from kas.store.batches import Batch
from kas.store.records import Counts, EventRecord, ObjectRecord, SyncState
from kas.store.sync_rules import SyncReported

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_STATES: Final = {
    wire.SYNC_STATE_RECEIVED: SyncState.RECEIVED,
    wire.SYNC_STATE_APPLYING: SyncState.APPLYING,
    wire.SYNC_STATE_APPLIED: SyncState.APPLIED,
    wire.SYNC_STATE_HEALTHY: SyncState.HEALTHY,
    wire.SYNC_STATE_FAILED: SyncState.FAILED,
    wire.SYNC_STATE_STALLED: SyncState.STALLED,
    wire.SYNC_STATE_SUPERSEDED: SyncState.SUPERSEDED,
}

PRUNE_WAITS: Final = "PruneNeedsConfirmation"
"""The reason of a sync, and of its objects, whose prune waits for a confirmation."""

RESULTS: Final = {
    wire.RESULT_CREATED: "created",
    wire.RESULT_CONFIGURED: "configured",
    wire.RESULT_UNCHANGED: "unchanged",
    wire.RESULT_PRUNED: "pruned",
    wire.RESULT_SKIPPED: "skipped",
    wire.RESULT_FAILED: "failed",
}

_HEALTHS: Final = {
    wire.HEALTH_UNSPECIFIED: "",
    wire.HEALTH_CURRENT: "current",
    wire.HEALTH_IN_PROGRESS: "in_progress",
    wire.HEALTH_FAILED: "failed",
    wire.HEALTH_TERMINATING: "terminating",
    wire.HEALTH_NOT_FOUND: "not_found",
}

_MOST: Final = 2**31 - 1
"""The greatest number a column of counts holds in every database."""

_SYNC_ID: Final = 128
"""The most characters of a sync's id; ours have 32. A longer one is no sync of ours."""

_EVENT_ID: Final = 96
"""The most characters of a report's id; agentk's have 32."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit id, by SHA-1 or SHA-256. What is kept as one is given to git."""


def batch_of(agent_id: int, request: wire.ReportRequest, now: datetime) -> Batch:
    """Return what a request says, its texts bounded and inert; times are never after ``now``.

    ``kas.rpc`` has bounded the number of reports and outcomes.
    """
    syncs: list[SyncReported] = []
    objects: list[ObjectRecord] = []
    events: list[EventRecord] = []
    for report in request.reports:
        at = _time(report.at, now)
        match report.WhichOneof("report"):
            case "sync":
                if (sync := _sync(report.sync, at)) is not None:
                    syncs.append(sync)
            case "outcomes":
                objects.extend(_objects(agent_id, report.outcomes, at))
            case "event":
                if 0 < len(report.id) <= _EVENT_ID:
                    events.append(_event(agent_id, report.id, report.event, at))
            case _:  # of a newer agentk
                pass
    return Batch(agent_id, tuple(syncs), tuple(objects), tuple(events))


def _time(stamp: Timestamp, now: datetime) -> datetime:
    """Return when the agent says it was: never in the future, and now where it says nothing sensible."""
    try:
        return min(stamp.ToDatetime(tzinfo=UTC), now) if stamp.seconds else now
    except (ValueError, OverflowError):
        return now


def _sync(report: wire.SyncReport, at: datetime) -> SyncReported | None:
    state = _STATES.get(report.state)
    if state is None or not 0 < len(report.sync_id) <= _SYNC_ID or _COMMIT.fullmatch(report.commit) is None:
        return None
    if state is SyncState.HEALTHY and report.reason == PRUNE_WAITS:
        # Agents have no such state; to people, "healthy" says that nothing is left to be done.
        state = SyncState.WAITING
    return SyncReported(
        sync_id=inert(report.sync_id, _SYNC_ID),
        project_id=report.project_id,
        commit=report.commit,
        state=state,
        reason=inert(report.reason, WORD),
        message=inert(report.message, SENTENCE, lines=True),
        counts=counts_of(report.counts),
        at=at,
    )


def _objects(agent_id: int, report: wire.OutcomesReport, at: datetime) -> list[ObjectRecord]:
    sync_id = inert(report.sync_id, _SYNC_ID)
    records = []
    for outcome in report.outcomes:
        ref = ref_of(outcome.object)
        if ref is None:
            continue
        records.append(
            ObjectRecord(
                agent_id=agent_id,
                project_id=report.project_id,
                object=ref,
                result=RESULTS.get(outcome.result, ""),
                health=_HEALTHS.get(outcome.health, "unknown"),
                reason=inert(outcome.reason, WORD),
                message=inert(outcome.message, SENTENCE, lines=True),
                path=inert(outcome.path, SENTENCE),
                sync_id=sync_id,
                updated_at=at,
            )
        )
    return records


def _event(agent_id: int, report_id: str, report: wire.EventReport, at: datetime) -> EventRecord:
    return EventRecord(
        # The agent in front: no agent can take the id of another's event.
        id=f"{agent_id}-{inert(report_id, _EVENT_ID)}",
        at=at,
        source="agentk",
        type="Warning" if report.type == "Warning" else "Normal",
        reason=inert(report.reason, WORD),
        message=inert(report.message, SENTENCE, lines=True),
        agent_id=agent_id,
        project_id=report.project_id or None,
        sync_id=inert(report.sync_id, _SYNC_ID),
        object=ref_of(report.object) if report.HasField("object") else None,
    )


def counts_of(counts: wire.SyncCounts) -> Counts:
    """Return counts, each at most what every database takes."""
    return Counts(
        total=min(counts.total, _MOST),
        created=min(counts.created, _MOST),
        configured=min(counts.configured, _MOST),
        unchanged=min(counts.unchanged, _MOST),
        pruned=min(counts.pruned, _MOST),
        skipped=min(counts.skipped, _MOST),
        failed=min(counts.failed, _MOST),
    )


def ref_of(ref: wire.ObjectRef) -> ObjectRef | None:
    """Return the name; None where it is none. It is never cut: two objects must not become one."""
    parts = (ref.group, ref.kind, ref.namespace, ref.name)
    if not ref.kind or not ref.name or any(len(part) > NAME or not part.isprintable() for part in parts):
        return None
    return ObjectRef(*parts)
