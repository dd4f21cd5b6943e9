"""Keeps the history bounded. What things stand at now is never cleaned away.

One agent and project at a time, and of it so many rows, each in a transaction of its own: however much there is to
delete, nobody waits for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, case, delete, func, or_, select, tuple_

from kas.store.database import lock_agent
from kas.store.records import SyncKind, SyncState
from kas.store.schema import events, holds, objects, syncs
from kas.store.times import to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select, Table

    from kas.store.database import Database

    Scope = tuple[int | None, int | None]
    """An agent and a project; an event may concern neither."""

ROWS: Final = 1_000
"""The most rows that one transaction deletes: some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many rows were deleted."""

    syncs: int
    events: int
    objects: int
    holds: int = 0


class Retention:
    """Cleans one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clean(self, *, keep_syncs: int, keep_events: int, pruned_before: datetime) -> Cleaned:
        """Delete history beyond these bounds, in many short transactions.

        Args:
            keep_syncs: so many of the newest syncs of each agent and project stay, and besides always the newest
                revision, which the agent may be working on, and the newest of all that nothing superseded.
            keep_events: so many of the newest events of each agent and project stay.
            pruned_before: objects that were pruned before this time are forgotten, and suspensions that ran out before
                it count as over. Of suspensions and pins that are over as many stay as of syncs.
        """
        over = or_(holds.c.ended_at.is_not(None), holds.c.until < to_micros(pruned_before))
        gone = and_(objects.c.result == "pruned", objects.c.updated_at < to_micros(pruned_before))
        of_syncs = of_events = of_objects = of_holds = 0
        # What no kas has noted as sent was said by agents alone, before that had to be proven.
        unsent = and_(
            *(syncs.c.kind == SyncKind.REVISION, syncs.c.ref == "", syncs.c.updated_at < to_micros(pruned_before))
        )
        for scope in await self._scopes(syncs, where=unsent):
            keys = select(*syncs.primary_key.columns).where(_in(syncs, scope), unsent)
            of_syncs += await self._clean_all(syncs, scope, keys)
        for scope in await self._scopes(syncs, more_than=keep_syncs):
            of_syncs += await self._clean_all(syncs, scope, _old_syncs(scope, keep_syncs))
        for scope in await self._scopes(events, more_than=keep_events):
            of_events += await self._clean_all(events, scope, old_events(scope, keep_events))
        for scope in await self._scopes(objects, where=gone):
            key = select(*objects.primary_key.columns).where(_in(objects, scope), gone)
            of_objects += await self._clean_all(objects, scope, key)
        for scope in await self._scopes(holds, more_than=keep_syncs, where=over):
            old = select(holds.c.id).where(_in(holds, scope), over).order_by(holds.c.id.desc()).offset(keep_syncs)
            of_holds += await self._clean_all(holds, scope, old)
        return Cleaned(syncs=of_syncs, events=of_events, objects=of_objects, holds=of_holds)

    @whole
    async def _scopes(
        self, table: Table, *, more_than: int = 0, where: ColumnElement[bool] | None = None
    ) -> list[Scope]:
        """Return those that have more rows than that."""
        scope = (table.c.agent_id, table.c.project_id)
        query = select(*scope).group_by(*scope).having(func.count() > more_than)
        if where is not None:
            query = query.where(where)
        async with self._database.read() as connection:
            return [(row.agent_id, row.project_id) for row in await connection.execute(query)]

    async def _clean_all(self, table: Table, scope: Scope, keys: Select[tuple[object, ...]]) -> int:
        deleted = 0
        while True:
            count = await self._clean_some(table, scope, keys)
            deleted += count
            if count < ROWS:
                return deleted

    @whole
    async def _clean_some(self, table: Table, scope: Scope, keys: Select[tuple[object, ...]]) -> int:
        """Delete some of the rows whose keys a query gives; it is asked in the same transaction, so it holds."""
        agent_id, _ = scope
        async with self._database.write(durable=False) as connection:
            if agent_id is not None:
                await lock_agent(connection, agent_id)
            spent = keys.limit(ROWS).subquery("spent")
            chosen = tuple_(*table.primary_key.columns).in_(select(*spent.c))
            return int((await connection.execute(delete(table).where(chosen))).rowcount)


def _in(table: Table, scope: Scope) -> ColumnElement[bool]:
    agent_id, project_id = scope
    return and_(table.c.agent_id == agent_id, table.c.project_id == project_id)  # of None: IS NULL


def _old_syncs(scope: Scope, keep: int) -> Select[tuple[object, ...]]:
    kind = case((syncs.c.kind == SyncKind.CONFIGURATION, 1), else_=0)
    order = (syncs.c.received_at.desc(), syncs.c.id)
    superseded = case((syncs.c.state == SyncState.SUPERSEDED, 1), else_=0)
    refused = case((syncs.c.kind == SyncKind.REVISION, 0), else_=1)
    ranked = (
        select(
            syncs.c.agent_id,
            syncs.c.id,
            func.row_number().over(partition_by=kind, order_by=order).label("age"),
            func.row_number().over(partition_by=kind, order_by=(superseded, *order)).label("standing"),
            func.row_number().over(partition_by=kind, order_by=(refused, *order)).label("revision"),
        )
        .where(_in(syncs, scope))
        .subquery()
    )
    old = and_(ranked.c.age > keep, ranked.c.standing > 1, ranked.c.revision > 1)
    return select(ranked.c.agent_id, ranked.c.id).where(old)


def old_events(scope: Scope, keep: int) -> Select[tuple[object, ...]]:
    """Return the query for the numbers of a scope's events beyond the newest ones, oldest first."""
    # By the index on agent, project and number: as far back as is kept, and from there on.
    newest_spent = (
        select(events.c.seq).where(_in(events, scope)).order_by(events.c.seq.desc()).offset(keep).limit(1)
    ).scalar_subquery()
    return select(events.c.seq).where(_in(events, scope), events.c.seq <= newest_spent).order_by(events.c.seq)
