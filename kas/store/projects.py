"""Projects: a path and the number that stands for it everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from kas.store.database import insert
from kas.store.derived import derived_id
from kas.store.errors import ProjectPinned
from kas.store.records import ProjectRecord
from kas.store.schema import projects
from kas.store.times import to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database


class Projects:
    """The projects of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._paths: dict[int, str] = {}

    async def id_of(self, path: str) -> int:
        """Return the project's id, see ``ids_of``."""
        return (await self.ids_of([path]))[path]

    @whole
    async def ids_of(self, paths: Collection[str]) -> dict[str, int]:
        """Return the id of each project; those met for the first time get one, all in one transaction.

        Ids never change, so one that was returned before is returned again while the database is away.
        """
        unknown = [path for path in dict.fromkeys(paths) if path not in self._ids]
        if unknown:
            async with self._database.read() as connection:
                self._ids |= await _present(connection, unknown)
        if new := [path for path in unknown if path not in self._ids]:
            async with self._database.write(durable=True) as connection:
                given = await _ensure(connection, new, self._clock())
            self._ids |= given
        return {path: self._ids[path] for path in paths}

    async def paths_of(self, ids: Collection[int]) -> dict[int, str]:
        """Return the path of each of these ids that a project has; none ever becomes another project's."""
        unknown = [one for one in set(ids) if one not in self._paths]
        if unknown:
            query = select(projects.c.id, projects.c.path).where(projects.c.id.in_(unknown))
            async with self._database.read() as connection:
                self._paths |= {row.id: row.path for row in await connection.execute(query)}
        return {one: self._paths[one] for one in ids if one in self._paths}

    @whole
    async def pin(self, path: str, project_id: int) -> None:
        """Give a project the id it has in GitLab, before it gets one of ours. Again with the same id: no change.

        Raises:
            ProjectPinned: the project has another id, or the id is another project's.
        """
        async with self._database.write(durable=True) as connection:
            present = await connection.scalar(select(projects.c.id).where(projects.c.path == path))
            if present == project_id:
                return
            if present is not None:
                raise ProjectPinned(
                    path,
                    project_id,
                    f"it already has id {present}, which names what it owns in clusters; remove the setting",
                )
            holder = await connection.scalar(select(projects.c.path).where(projects.c.id == project_id))
            if holder is not None:
                raise ProjectPinned(path, project_id, f"that is the id of project {holder!r}; choose another one")
            values = {"id": project_id, "path": path, "created_at": to_micros(self._clock())}
            await connection.execute(projects.insert().values(values))

    @whole
    async def list(self) -> tuple[ProjectRecord, ...]:
        """Return every project, by path."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(projects.c.id, projects.c.path).order_by(projects.c.path))
            return tuple(ProjectRecord(id=row.id, path=row.path) for row in rows)


async def ensure_project(connection: AsyncConnection, path: str, now: datetime) -> int:
    """Return the project's id within a writing transaction, creating it where needed."""
    return (await _ensure(connection, [path], now))[path]


async def _ensure(connection: AsyncConnection, paths: Sequence[str], now: datetime) -> dict[str, int]:
    known = await _present(connection, paths)
    attempt = 0
    while new := [path for path in paths if path not in known]:
        rows = [{"id": derived_id(path, attempt), "path": path, "created_at": to_micros(now)} for path in new]
        # Another kas may give the same path its id just now, and an id may be another path's.
        await connection.execute(insert(connection, projects).values(rows).on_conflict_do_nothing())
        known = await _present(connection, paths)
        attempt += 1
    return known


async def _present(connection: AsyncConnection, paths: Sequence[str]) -> dict[str, int]:
    rows = await connection.execute(select(projects.c.path, projects.c.id).where(projects.c.path.in_(paths)))
    return {row.path: row.id for row in rows}
