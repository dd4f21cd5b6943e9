"""Events, in the order in which they were stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from agentlink.refs import ObjectRef
from kas.store.database import insert, lock_events
from kas.store.records import EventRecord
from kas.store.schema import events
from kas.store.times import from_micros, to_micros
from kas.store.together import Together
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database


class Events:
    """The events of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together: Together[EventRecord, EventRecord | None] = Together(self._add)

    async def add(self, event: EventRecord) -> EventRecord | None:
        """Store an event and return it with its ``seq``; None where one with that id is stored already."""
        return await self._together.do(event)

    async def _add(self, records: Sequence[EventRecord]) -> list[EventRecord | None]:
        async with self._database.write(durable=False) as connection:
            added = {event.id: event for event in await write_events(connection, records)}
        return [added.pop(record.id, None) for record in records]

    @whole
    async def list(
        self,
        *,
        after: int | None = None,
        agent_id: int | None = None,
        project_id: int | None = None,
        limit: int = 100,
    ) -> tuple[EventRecord, ...]:
        """Return events, oldest first.

        Args:
            after: the first ones with a greater ``seq``, to read on; None: the newest ones.
            agent_id: of this agent only.
            project_id: of this project only.
            limit: at most so many.
        """
        query = select(events)
        if agent_id is not None:
            query = query.where(events.c.agent_id == agent_id)
        if project_id is not None:
            query = query.where(events.c.project_id == project_id)
        if after is not None:
            query = query.where(events.c.seq > after).order_by(events.c.seq)
        else:
            query = query.order_by(events.c.seq.desc())
        async with self._database.read() as connection:
            found = [_event_of(row) for row in await connection.execute(query.limit(limit))]
        return tuple(found if after is not None else reversed(found))


async def write_events(connection: AsyncConnection, records: Sequence[EventRecord]) -> list[EventRecord]:
    """Store events within a writing transaction; return the new ones in their order, with their ``seq``."""
    if not records:
        return []
    await lock_events(connection)
    query = insert(connection, events).on_conflict_do_nothing(index_elements=["id"])
    once: dict[str, EventRecord] = {}
    for record in records:
        once.setdefault(record.id, record)
    values = [_values(record) for record in once.values()]
    rows = await connection.execute(query.returning(events.c.id, events.c.seq), values)
    seqs = {row.id: int(row.seq) for row in rows}
    return [replace(record, seq=seqs[record.id]) for record in once.values() if record.id in seqs]


def _event_of(row: Row[Any]) -> EventRecord:
    named = row.object_name is not None
    return EventRecord(
        id=row.id,
        at=from_micros(row.at),
        source=row.source,
        type=row.type,
        reason=row.reason,
        message=row.message,
        agent_id=row.agent_id,
        project_id=row.project_id,
        sync_id=row.sync_id,
        object=ObjectRef(row.object_group, row.object_kind, row.object_namespace, row.object_name) if named else None,
        seq=row.seq,
    )


def _values(record: EventRecord) -> dict[str, object]:
    ref = record.object
    return {
        "id": record.id,
        "at": to_micros(record.at),
        "source": record.source,
        "type": record.type,
        "reason": record.reason,
        "message": record.message,
        "agent_id": record.agent_id,
        "project_id": record.project_id,
        "sync_id": record.sync_id,
        "object_group": ref.group if ref else None,
        "object_kind": ref.kind if ref else None,
        "object_namespace": ref.namespace if ref else None,
        "object_name": ref.name if ref else None,
    }
