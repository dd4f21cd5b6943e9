"""How much is stored of what agents report, and making room. Read by ``kas.reports.quota``, which decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, case, delete, func, select, tuple_

from agentlink.refs import ObjectRef
from kas.store.database import lock_agent
from kas.store.records import SyncKind, SyncState
from kas.store.retention import old_events
from kas.store.schema import events, objects, syncs
from kas.store.times import to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from kas.store.database import Database

_AT_ONCE: Final = 500
"""Names that are asked for in one query."""

_KEY: Final = (objects.c.api_group, objects.c.kind, objects.c.namespace, objects.c.name)


@dataclass(frozen=True, slots=True)
class Usage:
    """What is on record of one project of an agent.

    ``objects`` and ``size`` (characters of their texts) of all rows, of which ``pruned`` are of objects that are gone.
    ``sent`` is the most objects that one of the revisions on record was sent with; ``noted`` tells whether kas has
    noted the newest of them.
    """

    objects: int
    size: int
    pruned: int
    sent: int
    noted: bool


@dataclass(frozen=True, slots=True)
class Surplus:
    """A project of an agent that is healthy at a commit, and has more old objects on record than it counts."""

    agent_id: int
    project_id: int
    commit: str


_SPOKEN_FOR: Final = ("pruned", "skipped")
"""Results of objects that need not be in a snapshot: gone, or about to go when somebody confirms it."""


class Usages:
    """The usage of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @whole
    async def of(self, agent_id: int, project_id: int) -> Usage:
        """Return what is on record; reads all of the project's rows."""
        texts = func.length(objects.c.message) + func.length(objects.c.path)
        rows = select(
            func.count(), func.coalesce(func.sum(texts), 0), func.sum(case((objects.c.result == "pruned", 1), else_=0))
        ).where(objects.c.agent_id == agent_id, objects.c.project_id == project_id)
        revisions = and_(
            syncs.c.agent_id == agent_id, syncs.c.project_id == project_id, syncs.c.kind == SyncKind.REVISION
        )
        async with self._database.read() as connection:
            count, size, pruned = (await connection.execute(rows)).one()
            sent = await connection.scalar(select(func.max(syncs.c.sent_objects)).where(revisions))
            newest = select(syncs.c.ref).where(revisions).order_by(syncs.c.received_at.desc()).limit(1)
            ref = await connection.scalar(newest)
        return Usage(int(count), int(size), int(pruned or 0), int(sent or 0), noted=bool(ref))

    @whole
    async def known(self, agent_id: int, project_id: int, refs: Collection[ObjectRef]) -> frozenset[ObjectRef]:
        """Return those of these objects that are on record."""
        found: set[ObjectRef] = set()
        wanted = [(ref.group, ref.kind, ref.namespace, ref.name) for ref in refs]
        about = objects.c.agent_id == agent_id, objects.c.project_id == project_id
        async with self._database.read() as connection:
            for begin in range(0, len(wanted), _AT_ONCE):
                query = select(*_KEY).where(*about, tuple_(*_KEY).in_(wanted[begin : begin + _AT_ONCE]))
                found.update(ObjectRef(*row) for row in await connection.execute(query))
        return frozenset(found)

    @whole
    async def forget_pruned(self, agent_id: int, project_id: int, *, most: int) -> None:
        """Forget objects that are gone from the cluster, those first that have been for longest."""
        about = objects.c.agent_id == agent_id, objects.c.project_id == project_id
        oldest = select(*_KEY).where(*about, objects.c.result == "pruned").order_by(objects.c.updated_at).limit(most)
        spent = oldest.subquery("spent")
        async with self._database.write(durable=False) as connection:
            await lock_agent(connection, agent_id)
            await connection.execute(delete(objects).where(*about, tuple_(*_KEY).in_(select(*spent.c))))

    @whole
    async def surpluses(self, before: datetime) -> list[Surplus]:
        """Return the projects that are healthy, with more objects on record than that, of which some are old."""
        rows = (
            select(objects.c.agent_id, objects.c.project_id, func.count().label("rows"))
            .where(objects.c.result.not_in(_SPOKEN_FOR))
            .group_by(objects.c.agent_id, objects.c.project_id)
            .having(func.min(objects.c.updated_at) < to_micros(before))
            .subquery("rows")
        )
        newest = (
            select(syncs.c.agent_id, syncs.c.project_id, func.max(syncs.c.received_at).label("at"))
            .where(syncs.c.kind == SyncKind.REVISION)
            .group_by(syncs.c.agent_id, syncs.c.project_id)
            .subquery("newest")
        )
        query = (
            select(syncs.c.agent_id, syncs.c.project_id, syncs.c.commit_id)
            .join(rows, and_(rows.c.agent_id == syncs.c.agent_id, rows.c.project_id == syncs.c.project_id))
            .join(newest, and_(newest.c.agent_id == syncs.c.agent_id, newest.c.project_id == syncs.c.project_id))
            .where(
                *(syncs.c.received_at == newest.c.at, syncs.c.kind == SyncKind.REVISION, syncs.c.ref != ""),
                *(syncs.c.state == SyncState.HEALTHY, rows.c.rows > syncs.c.total - syncs.c.skipped),
            )
        )
        async with self._database.read() as connection:
            return [Surplus(*row) for row in await connection.execute(query)]

    @whole
    async def forget_others(self, surplus: Surplus, named: Callable[[ObjectRef], bool], before: datetime) -> int:
        """Forget a project's objects that are not ``named``, told of before a time; return how many."""
        about = objects.c.agent_id == surplus.agent_id, objects.c.project_id == surplus.project_id
        old = objects.c.updated_at < to_micros(before), objects.c.result.not_in(_SPOKEN_FOR)
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_KEY).where(*about, *old))
            spent = [tuple(row) for row in rows if not named(ObjectRef(*row))]
        for begin in range(0, len(spent), _AT_ONCE):
            async with self._database.write(durable=False) as connection:
                await lock_agent(connection, surplus.agent_id)
                some = tuple_(*_KEY).in_(spent[begin : begin + _AT_ONCE])
                await connection.execute(delete(objects).where(*about, *old, some))
        return len(spent)

    @whole
    async def forget_events(self, agent_id: int | None, project_id: int | None, *, keep: int, most: int) -> None:
        """Forget the oldest events of a project of an agent, of an agent itself, or of nobody, beyond ``keep``."""
        spent = old_events((agent_id, project_id), keep).limit(most).subquery("spent")
        async with self._database.write(durable=False) as connection:
            if agent_id is not None:
                await lock_agent(connection, agent_id)
            await connection.execute(delete(events).where(events.c.seq.in_(select(*spent.c))))
