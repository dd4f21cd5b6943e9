"""Between rows of the table of syncs and records: shared by what kas notes and what agents report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from kas.store.database import insert
from kas.store.records import Counts, SyncKind, SyncRecord, SyncState
from kas.store.schema import projects, syncs
from kas.store.times import from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

_KEY = ("agent_id", "id")


def select_syncs() -> Select[Any]:
    """Return the query whose rows ``sync_of`` reads."""
    return select(syncs, projects.c.path.label("project")).join_from(syncs, projects)


def sync_of(row: Row[Any]) -> SyncRecord:
    """Return the sync in a row of ``select_syncs``."""
    return SyncRecord(
        id=row.id,
        agent_id=row.agent_id,
        project_id=row.project_id,
        project=row.project,
        ref=row.ref,
        commit=row.commit_id,
        state=SyncState(row.state),
        reason=row.reason,
        message=row.message,
        counts=Counts(
            total=row.total,
            created=row.created,
            configured=row.configured,
            unchanged=row.unchanged,
            pruned=row.pruned,
            skipped=row.skipped,
            failed=row.failed,
        ),
        received_at=from_micros(row.received_at),
        applied_at=from_micros(row.applied_at),
        finished_at=from_micros(row.finished_at),
        updated_at=from_micros(row.updated_at),
        kind=SyncKind(row.kind),
        reported_at=from_micros(row.reported_at),
        seen_at=from_micros(row.seen_at),
        sent_objects=row.sent_objects,
    )


async def write_syncs(connection: AsyncConnection, records: Sequence[SyncRecord]) -> None:
    """Insert the syncs, or replace those of the same agent and id."""
    if not records:
        return
    query = insert(connection, syncs)
    changed = {column.name: query.excluded[column.name] for column in syncs.c if column.name not in _KEY}
    await connection.execute(
        query.on_conflict_do_update(index_elements=_KEY, set_=changed),
        [_values(record) for record in records],
    )


def _values(record: SyncRecord) -> dict[str, object]:
    counts = record.counts
    return {
        "agent_id": record.agent_id,
        "id": record.id,
        "project_id": record.project_id,
        "kind": record.kind,
        "ref": record.ref,
        "commit_id": record.commit,
        "state": record.state,
        "reason": record.reason,
        "message": record.message,
        "total": counts.total,
        "created": counts.created,
        "configured": counts.configured,
        "unchanged": counts.unchanged,
        "pruned": counts.pruned,
        "skipped": counts.skipped,
        "failed": counts.failed,
        "received_at": to_micros(record.received_at),
        "applied_at": to_micros(record.applied_at),
        "finished_at": to_micros(record.finished_at),
        "updated_at": to_micros(record.updated_at),
        "reported_at": to_micros(record.reported_at),
        "seen_at": to_micros(record.seen_at),
        "sent_objects": record.sent_objects,
    }
