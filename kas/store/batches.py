"""A batch of one agent's reports, stored whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from kas.store.database import lock_agent
from kas.store.events import write_events
from kas.store.objects import write_objects
from kas.store.records import Counts, SyncKind, SyncRecord, SyncState
from kas.store.schema import projects, syncs
from kas.store.sync_rows import select_syncs, sync_of, write_syncs
from kas.store.sync_rules import advance
from kas.store.times import from_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import EventRecord, ObjectRecord
    from kas.store.sync_rules import SyncReported


@dataclass(frozen=True, slots=True)
class Batch:
    """What one agent reports at once. Every ``agent_id`` in it is this one's."""

    agent_id: int
    syncs: tuple[SyncReported, ...] = ()
    objects: tuple[ObjectRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch changed.

    ``objects`` are those that were sent and belong to a known project. ``unknown_projects`` are ids that no project
    has: what was said about them is not stored, because asking again would not help.
    """

    syncs: tuple[SyncRecord, ...]
    objects: tuple[ObjectRecord, ...]
    events: tuple[EventRecord, ...]
    unknown_projects: frozenset[int]


class Batches:
    """Writes batches. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    @whole
    async def write(self, batch: Batch) -> Written:
        """Store a batch in one transaction; when this returns, it is committed. The same batch again: no change."""
        named = {item.project_id for item in batch.syncs} | {item.project_id for item in batch.objects}
        named |= {item.project_id for item in batch.events if item.project_id is not None}
        async with self._database.write(durable=False) as connection:
            await lock_agent(connection, batch.agent_id)
            rows = await connection.execute(select(projects.c.id, projects.c.path).where(projects.c.id.in_(named)))
            known = {row.id: row.path for row in rows}
            changed = await self._advance(connection, batch, known)
            await write_syncs(connection, changed)
            objects = tuple(item for item in batch.objects if item.project_id in known)
            await write_objects(connection, objects)
            events = await write_events(
                connection,
                [item if item.project_id in known else replace(item, project_id=None, seq=0) for item in batch.events],
            )
        return Written(tuple(changed), objects, tuple(events), frozenset(named - known.keys()))

    async def _advance(self, connection: AsyncConnection, batch: Batch, known: Mapping[int, str]) -> list[SyncRecord]:
        if not batch.syncs:
            return []
        now = self._clock()
        ids = {report.sync_id for report in batch.syncs}
        mine = syncs.c.agent_id == batch.agent_id
        found = await connection.execute(select_syncs().where(mine, syncs.c.id.in_(ids)))
        current = {row.id: sync_of(row) for row in found}
        latest_query = (
            select(syncs.c.project_id, func.max(syncs.c.received_at).label("received_at"))
            .where(mine, syncs.c.kind == SyncKind.REVISION)
            .group_by(syncs.c.project_id)
        )
        latest = {row.project_id: from_micros(row.received_at) for row in await connection.execute(latest_query)}
        changed: dict[str, SyncRecord] = {}
        for report in batch.syncs:
            sync = current.get(report.sync_id)
            if sync is None:
                if report.project_id not in known:
                    continue
                sync = _unheard_of(batch.agent_id, known[report.project_id], report, now)
                before = latest.get(report.project_id)
                if before is not None and before >= now:
                    sync = replace(sync, received_at=before + timedelta(microseconds=1))
                latest[report.project_id] = sync.received_at
            newest = sync.received_at >= latest[sync.project_id]
            after = advance(sync, report, newest=newest, now=now)
            if after is not None:
                current[after.id] = changed[after.id] = after
        return list(changed.values())


def _unheard_of(agent_id: int, project: str, report: SyncReported, now: datetime) -> SyncRecord:
    """Return a sync that this store knows nothing of, as the newest: it is what the agent works on.

    The agent can be faster with its report than kas with its own note, or the store was restored from a backup.
    """
    return SyncRecord(
        id=report.sync_id,
        agent_id=agent_id,
        project_id=report.project_id,
        project=project,
        ref="",
        commit=report.commit,
        state=SyncState.RECEIVED,
        reason="",
        message="",
        counts=Counts(),
        received_at=now,
        applied_at=None,
        finished_at=None,
        updated_at=now,
    )
