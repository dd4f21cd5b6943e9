"""The newest outcome and health of every object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, case, delete, literal_column, or_, select, tuple_

from agentlink.refs import ObjectRef
from kas.store.database import insert, lock_agent
from kas.store.records import ObjectRecord
from kas.store.schema import objects, projects
from kas.store.times import from_micros, to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database

_KEY: Final = ("agent_id", "project_id", "api_group", "kind", "namespace", "name")
_COLUMNS: Final = (*_KEY, "result", "health", "reason", "message", "path", "sync_id", "updated_at")


_PATHS: Final = 500
"""Files that are asked for at a time."""


@dataclass(frozen=True, slots=True)
class Place:
    """An object of a project, as a place in the order in which ``Objects.list`` has them."""

    project_id: int
    object: ObjectRef


class Objects:
    """The objects of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @whole
    async def list(
        self,
        agent_id: int,
        project_id: int | None = None,
        *,
        pruned: bool = False,
        after: Place | None = None,
        limit: int | None = None,
    ) -> tuple[ObjectRecord, ...]:
        """Return an agent's objects, of one manifest project or all, by project, namespace, group, kind and name.

        Args:
            agent_id: the agent.
            project_id: of this manifest project only.
            pruned: also those that were pruned, as far as retention keeps them.
            after: those behind this one only.
            limit: at most so many.
        """
        column = objects.c
        query = select(objects).where(column.agent_id == agent_id)
        if project_id is not None:
            query = query.where(column.project_id == project_id)
        if not pruned:
            query = query.where(column.result != "pruned")
        order = (column.project_id, column.namespace, column.api_group, column.kind, column.name)
        if after is not None:
            ref = after.object
            query = query.where(tuple_(*order) > (after.project_id, ref.namespace, ref.group, ref.kind, ref.name))
        query = query.order_by(*order).limit(limit)
        async with self._database.read() as connection:
            return tuple(_object_of(row) for row in await connection.execute(query))

    @whole
    async def came_from(self, project: str, paths: Collection[str]) -> frozenset[str]:
        """Return those of these files of a project from which some agent has an object, as it has told."""
        of_project = select(projects.c.id).where(projects.c.path == project).scalar_subquery()
        query = (
            select(objects.c.path).distinct().where(objects.c.project_id == of_project, objects.c.result != "pruned")
        )
        asked, found = list(paths), set[str]()
        async with self._database.read() as connection:
            for begin in range(0, len(asked), _PATHS):
                some = query.where(objects.c.path.in_(asked[begin : begin + _PATHS]))
                found.update(row.path for row in await connection.execute(some))
        return frozenset(found)

    @whole
    async def forget_waiting(
        self, agent_id: int, project_id: int, *, reason: str, waiting: Collection[ObjectRef]
    ) -> None:
        """Forget objects on record as waiting for a ``reason``, except those that the agent says still do.

        What is gone from a cluster by other hands is reported by nobody.
        """
        about = objects.c.agent_id == agent_id, objects.c.project_id == project_id, objects.c.reason == reason
        key = (objects.c.api_group, objects.c.kind, objects.c.namespace, objects.c.name)
        async with self._database.write(durable=False) as connection:
            await lock_agent(connection, agent_id)
            for row in (await connection.execute(select(*key).where(*about))).all():
                if ObjectRef(*row) not in waiting:
                    this = [column == value for column, value in zip(key, row, strict=True)]
                    await connection.execute(delete(objects).where(*about, *this))


async def write_objects(connection: AsyncConnection, records: Sequence[ObjectRecord]) -> None:
    """Store outcomes within a writing transaction; one that is older than what is on record changes nothing.

    An empty ``result`` or ``health`` leaves the one on record, as the wire has it. A report of health alone does not
    take away the words that explain a failure or a skip, nor the path.
    """
    if not records:
        return
    upsert = _UPSERTS.get(connection.dialect.name)
    if upsert is None:
        upsert = _UPSERTS[connection.dialect.name] = _upsert(connection)
    # As the driver takes it: a first sync stores tens of thousands, and SQLAlchemy's work for the values of each is as
    # much as SQLite's for the row.
    await connection.exec_driver_sql(upsert, [_values(record) for record in records])


_UPSERTS: Final[dict[str, str]] = {}
"""The statement of each dialect, made when it is first needed."""


def _upsert(connection: AsyncConnection) -> str:
    """Return the statement that stores one row of ``_values``."""
    query = insert(connection, objects)
    old, new = objects.c, query.excluded
    # Literals, so that the parameters are the columns and nothing else.
    nothing: ColumnElement[str] = literal_column("''")
    failed: ColumnElement[str] = literal_column("'failed'")
    skipped: ColumnElement[str] = literal_column("'skipped'")
    health_only = new.result == nothing
    keeps_words = and_(health_only, or_(old.result == failed, old.result == skipped))
    query = query.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "result": case((health_only, old.result), else_=new.result),
            "health": case((new.health == nothing, old.health), else_=new.health),
            "reason": case((keeps_words, old.reason), else_=new.reason),
            "message": case((keeps_words, old.message), else_=new.message),
            "path": case((and_(health_only, new.path == nothing), old.path), else_=new.path),
            "sync_id": case((or_(new.sync_id == nothing, keeps_words), old.sync_id), else_=new.sync_id),
            "updated_at": new.updated_at,
        },
        where=new.updated_at >= old.updated_at,
    )
    compiled = query.compile(dialect=connection.dialect, column_keys=_COLUMNS)
    if tuple(getattr(compiled, "positiontup", ())) != _COLUMNS:
        raise RuntimeError("the parameters of the statement are not its columns")
    return str(compiled)


def _object_of(row: Row[Any]) -> ObjectRecord:
    return ObjectRecord(
        agent_id=row.agent_id,
        project_id=row.project_id,
        object=ObjectRef(row.api_group, row.kind, row.namespace, row.name),
        result=row.result,
        health=row.health,
        reason=row.reason,
        message=row.message,
        path=row.path,
        sync_id=row.sync_id,
        updated_at=from_micros(row.updated_at),
    )


def _values(record: ObjectRecord) -> tuple[object, ...]:
    """Return a row, in the order of ``_COLUMNS``."""
    ref = record.object
    return (
        record.agent_id,
        record.project_id,
        ref.group,
        ref.kind,
        ref.namespace,
        ref.name,
        record.result,
        record.health,
        record.reason,
        record.message,
        record.path,
        record.sync_id,
        to_micros(record.updated_at),
    )
