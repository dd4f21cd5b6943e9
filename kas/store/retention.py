"""Keeps the history bounded. What things stand at now is never cleaned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, delete, func, select, tuple_

from kas.store.records import SyncKind, SyncState
from kas.store.schema import events, objects, syncs
from kas.store.times import to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from datetime import datetime

    from kas.store.database import Database


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many rows were deleted."""

    syncs: int
    events: int
    objects: int


class Retention:
    """Cleans one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @whole
    async def clean(self, *, keep_syncs: int, keep_events: int, pruned_before: datetime) -> Cleaned:
        """Delete history beyond these bounds, in one transaction.

        Args:
            keep_syncs: so many of the newest syncs of each agent and project stay, and besides always the newest
                revision, which the agent may be working on, and the newest of all that nothing superseded.
            keep_events: so many of the newest events of each agent and project stay.
            pruned_before: objects that were pruned before this time are forgotten.
        """
        scope = (syncs.c.agent_id, syncs.c.project_id, case((syncs.c.kind == SyncKind.CONFIGURATION, 1), else_=0))
        order = (syncs.c.received_at.desc(), syncs.c.id)
        superseded = case((syncs.c.state == SyncState.SUPERSEDED, 1), else_=0)
        refused = case((syncs.c.kind == SyncKind.REVISION, 0), else_=1)
        ranked = select(
            syncs.c.agent_id,
            syncs.c.id,
            func.row_number().over(partition_by=scope, order_by=order).label("age"),
            func.row_number().over(partition_by=scope, order_by=(superseded, *order)).label("standing"),
            func.row_number().over(partition_by=scope, order_by=(refused, *order)).label("revision"),
        ).subquery()
        old = select(ranked.c.agent_id, ranked.c.id).where(
            and_(ranked.c.age > keep_syncs, ranked.c.standing > 1, ranked.c.revision > 1),
        )
        place = func.row_number().over(
            partition_by=(events.c.agent_id, events.c.project_id), order_by=events.c.seq.desc()
        )
        numbered = select(events.c.seq, place.label("age")).subquery()
        spent = select(numbered.c.seq).where(numbered.c.age > keep_events)
        gone = and_(objects.c.result == "pruned", objects.c.updated_at < to_micros(pruned_before))
        async with self._database.write(durable=False) as connection:
            of_syncs = await connection.execute(delete(syncs).where(tuple_(syncs.c.agent_id, syncs.c.id).in_(old)))
            of_events = await connection.execute(delete(events).where(events.c.seq.in_(spent)))
            of_objects = await connection.execute(delete(objects).where(gone))
            return Cleaned(syncs=of_syncs.rowcount, events=of_events.rowcount, objects=of_objects.rowcount)
