"""What people ordered that lasts: suspensions and pins, those in force and those that are over.

Each is one row from its beginning to its end, so that history needs no second table. A suspension whose time has come
needs no write to be over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select, update

from kas.store.agents import agent_of, select_agents
from kas.store.audit import note
from kas.store.errors import NotFound
from kas.store.records import HoldKind, HoldRecord
from kas.store.schema import agents, holds, projects
from kas.store.times import from_micros, to_micros
from kas.store.together import Together
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import Actor

_NAME_LENGTH: Final = 255

_ACTIONS: Final = {HoldKind.SUSPENSION: ("suspend", "resume"), HoldKind.PIN: ("pin", "unpin")}
"""What the audit log calls beginning and end."""


@dataclass(frozen=True, slots=True)
class HoldScope:
    """What a hold is about: a project of an agent, or with ``project_id`` None all of them."""

    agent_id: int
    project_id: int | None


class Holds:
    """The holds of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._together: Together[int, tuple[HoldRecord, ...]] = Together(self._in_force)

    @whole
    async def suspend(self, scope: HoldScope, *, until: datetime | None, reason: str, by: Actor) -> HoldRecord:
        """Suspend, in place of a suspension of the same scope.

        Args:
            scope: what is suspended.
            until: when it ends by itself, None for never.
            reason: what was said about it.
            by: who asks, for the audit log too.

        Raises:
            NotFound: there is no such agent or project.
        """
        return await self._begin(scope, HoldKind.SUSPENSION, until=until, commit="", reason=reason, by=by)

    @whole
    async def resume(self, scope: HoldScope, *, by: Actor) -> HoldRecord | None:
        """End the suspension of exactly this scope and return it; None where there was none.

        Raises:
            NotFound: there is no such agent or project.
        """
        return await self._end(scope, HoldKind.SUSPENSION, by)

    @whole
    async def pin(self, scope: HoldScope, *, commit: str, reason: str, by: Actor) -> HoldRecord:
        """Pin a project to a commit, in place of an earlier pin.

        Raises:
            NotFound: there is no such agent or project.
        """
        return await self._begin(scope, HoldKind.PIN, until=None, commit=commit, reason=reason, by=by)

    @whole
    async def unpin(self, scope: HoldScope, *, by: Actor) -> HoldRecord | None:
        """End the pin of a project and return it; None where there was none.

        Raises:
            NotFound: there is no such agent or project.
        """
        return await self._end(scope, HoldKind.PIN, by)

    @whole
    async def in_force(self, agent_id: int | None = None) -> tuple[HoldRecord, ...]:
        """Return what holds now, of one agent or all, oldest first."""
        if agent_id is not None:
            return await self._together.do(agent_id)
        query = select(holds).where(_holding(self._clock())).order_by(holds.c.id)
        async with self._database.read() as connection:
            return tuple(_hold_of(row) for row in await connection.execute(query))

    async def _in_force(self, agent_ids: Sequence[int]) -> Sequence[tuple[HoldRecord, ...]]:
        query = select(holds).where(_holding(self._clock()), holds.c.agent_id.in_(set(agent_ids))).order_by(holds.c.id)
        found: dict[int, list[HoldRecord]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.agent_id, []).append(_hold_of(row))
        return [tuple(found.get(agent_id, ())) for agent_id in agent_ids]

    @whole
    async def history(self, scope: HoldScope, *, limit: int = 1000) -> tuple[HoldRecord, ...]:
        """Return the newest holds that a project was under, those of its whole agent among them, newest first."""
        about = or_(holds.c.project_id.is_(None), holds.c.project_id == scope.project_id)
        query = select(holds).where(holds.c.agent_id == scope.agent_id, about).order_by(holds.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return tuple(_hold_of(row) for row in await connection.execute(query))

    @whole
    async def set_available(self, hold_id: int, commit: str) -> bool:
        """Note the newest commit that a pinned project could have; tell whether that is news."""
        query = update(holds).where(holds.c.id == hold_id, holds.c.available != commit).values(available=commit)
        async with self._database.write(durable=False) as connection:
            return bool((await connection.execute(query)).rowcount)

    async def _begin(
        self, scope: HoldScope, kind: HoldKind, *, until: datetime | None, commit: str, reason: str, by: Actor
    ) -> HoldRecord:
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            where = await _place(connection, scope)
            await self._end_all(connection, scope, kind, by, now)
            values = {
                "agent_id": scope.agent_id,
                "project_id": scope.project_id,
                "kind": kind.value,
                "actor": by.name[:_NAME_LENGTH],
                "reason": reason,
                "at": to_micros(now),
                "until": to_micros(until),
                "commit_id": commit,
                "available": "",
                "ended_by": "",
            }
            hold_id = (await connection.execute(holds.insert().values(values).returning(holds.c.id))).scalar_one()
            how = f" to {commit}" if commit else f" until {until.isoformat()}" if until else ""
            said = f": {reason}" if reason else ""
            await _note(connection, by, where, f"{where.level}.{_ACTIONS[kind][0]}", f"{how}{said}", now)
            row = (await connection.execute(select(holds).where(holds.c.id == hold_id))).one()
        return _hold_of(row)

    async def _end(self, scope: HoldScope, kind: HoldKind, by: Actor) -> HoldRecord | None:
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            where = await _place(connection, scope)
            ended = await self._end_all(connection, scope, kind, by, now)
            if ended is not None:
                of = f" from {ended.commit}" if ended.commit else ""
                await _note(connection, by, where, f"{where.level}.{_ACTIONS[kind][1]}", of, now)
        return ended

    async def _end_all(
        self, connection: AsyncConnection, scope: HoldScope, kind: HoldKind, by: Actor, now: datetime
    ) -> HoldRecord | None:
        """End what is in force and return it."""
        mine = holds.c.agent_id == scope.agent_id, holds.c.project_id == scope.project_id, holds.c.kind == kind
        row = (await connection.execute(select(holds).where(*mine, _holding(now)).order_by(holds.c.id))).first()
        ended = {"ended_at": to_micros(now), "ended_by": by.name[:_NAME_LENGTH]}
        await connection.execute(update(holds).where(*mine, _holding(now)).values(ended))
        return None if row is None else _hold_of(row)


@dataclass(frozen=True, slots=True)
class _Place:
    """A scope in words. ``level`` is what the actions of the audit log begin with."""

    level: str
    configuration: str
    subject: str


async def _place(connection: AsyncConnection, scope: HoldScope) -> _Place:
    row = (await connection.execute(select_agents().where(agents.c.id == scope.agent_id))).one_or_none()
    if row is None:
        raise NotFound("agent", scope.agent_id)
    agent = agent_of(row)
    named = f"agent {agent.project}:{agent.name} (id {agent.id})"
    if scope.project_id is None:
        return _Place("agent", agent.project, named)
    path = await connection.scalar(select(projects.c.path).where(projects.c.id == scope.project_id))
    if path is None:
        raise NotFound("project", scope.project_id)
    return _Place("project", agent.project, f"project {path} on {named}")


async def _note(  # noqa: PLR0917 -- who, where, what, how, when: each used once, in this order
    connection: AsyncConnection, by: Actor, where: _Place, action: str, how: str, at: datetime
) -> None:
    await note(connection, by, action, at=at, project=where.configuration, subject=f"{where.subject}{how}")


def _holding(now: datetime) -> ColumnElement[bool]:
    return holds.c.ended_at.is_(None) & or_(holds.c.until.is_(None), holds.c.until > to_micros(now))


def _hold_of(row: Row[Any]) -> HoldRecord:
    return HoldRecord(
        id=row.id,
        agent_id=row.agent_id,
        project_id=row.project_id,
        kind=HoldKind(row.kind),
        by=row.actor,
        reason=row.reason,
        at=from_micros(row.at),
        until=from_micros(row.until),
        commit=row.commit_id,
        available=row.available,
        ended_at=from_micros(row.ended_at),
        ended_by=row.ended_by,
    )
