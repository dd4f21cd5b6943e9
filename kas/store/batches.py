"""A batch of one agent's reports, stored whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from kas.store.database import lock_agents
from kas.store.events import write_events
from kas.store.objects import write_objects
from kas.store.records import Counts, SyncKind, SyncRecord, SyncState
from kas.store.schema import projects, syncs
from kas.store.sync_rows import select_syncs, sync_of, write_syncs
from kas.store.sync_rules import advance
from kas.store.times import from_micros
from kas.store.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
    """Writes batches; those that come together in one transaction. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._together: Together[Batch, Written] = Together(self._write)

    async def write(self, batch: Batch) -> Written:
        """Store a batch whole; when this returns, it is committed. The same batch again: no change."""
        return await self._together.do(batch)

    async def _write(self, batches: Sequence[Batch]) -> list[Written]:
        named = [_named(batch) for batch in batches]
        async with self._database.write(durable=False) as connection:
            await lock_agents(connection, {batch.agent_id for batch in batches})
            query = select(projects.c.id, projects.c.path).where(projects.c.id.in_(frozenset[int]().union(*named)))
            known = {row.id: row.path for row in await connection.execute(query)}
            changed = await self._advance(connection, batches, known)
            await write_syncs(connection, [sync for syncs in changed for sync in syncs])
            objects = [tuple(item for item in batch.objects if item.project_id in known) for batch in batches]
            await write_objects(connection, [item for items in objects for item in items])
            events = await write_events(
                connection,
                [
                    item if item.project_id in known else replace(item, project_id=None, seq=0)
                    for batch in batches
                    for item in batch.events
                ],
            )
        added = {event.id: event for event in events}
        return [
            Written(
                tuple(changed_of),
                objects_of,
                # Each once: of two batches with one event the first has brought it.
                tuple(added.pop(item.id) for item in batch.events if item.id in added),
                frozenset(named_by - known.keys()),
            )
            for batch, named_by, changed_of, objects_of in zip(batches, named, changed, objects, strict=True)
        ]

    async def _advance(
        self, connection: AsyncConnection, batches: Sequence[Batch], known: Mapping[int, str]
    ) -> list[list[SyncRecord]]:
        """Return the syncs that each batch changes, by the newest state of each."""
        about = {batch.agent_id for batch in batches if batch.syncs}
        if not about:
            return [[] for _ in batches]
        now = self._clock()
        theirs = syncs.c.agent_id.in_(about)
        ids = {report.sync_id for batch in batches for report in batch.syncs}
        found = await connection.execute(select_syncs().where(theirs, syncs.c.id.in_(ids)))
        current = {(row.agent_id, row.id): sync_of(row) for row in found}
        latest_query = (
            select(syncs.c.agent_id, syncs.c.project_id, func.max(syncs.c.received_at).label("received_at"))
            .where(theirs, syncs.c.kind == SyncKind.REVISION)
            .group_by(syncs.c.agent_id, syncs.c.project_id)
        )
        latest = {
            (row.agent_id, row.project_id): from_micros(row.received_at)
            for row in await connection.execute(latest_query)
        }
        changed: list[list[SyncRecord]] = []
        for batch in batches:
            advanced = (_advanced(batch, report, current, latest, known, now) for report in batch.syncs)
            after = {sync.id: sync for sync in advanced if sync is not None}
            changed.append(list(after.values()))
        return changed


def _named(batch: Batch) -> frozenset[int]:
    """Return the projects that a batch is about."""
    named = {item.project_id for item in batch.syncs} | {item.project_id for item in batch.objects}
    return frozenset(named | {item.project_id for item in batch.events if item.project_id is not None})


def _advanced(  # noqa: PLR0917  # what is said, and what is known so far
    batch: Batch,
    report: SyncReported,
    current: dict[tuple[int, str], SyncRecord],
    latest: dict[tuple[int, int], datetime],
    known: Mapping[int, str],
    now: datetime,
) -> SyncRecord | None:
    """Return the sync as a report changes it, and note it as what is known; None where it changes nothing."""
    agent_id = batch.agent_id
    sync = current.get((agent_id, report.sync_id))
    if sync is not None and (sync.kind is not SyncKind.REVISION or sync.project_id != report.project_id):
        return None  # what kas says itself is not the agent's to change
    if sync is None:
        if report.project_id not in known:
            return None
        sync = _unheard_of(agent_id, known[report.project_id], report, now)
        before = latest.get((agent_id, report.project_id))
        if before is not None and before >= now:
            sync = replace(sync, received_at=before + timedelta(microseconds=1))
        latest[agent_id, report.project_id] = sync.received_at
    newest = sync.received_at >= latest[agent_id, sync.project_id]
    after = advance(sync, report, newest=newest, now=now)
    if after is not None:
        current[agent_id, after.id] = after
    return after


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
