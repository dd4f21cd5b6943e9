"""Projects: a path and the number that stands for it everywhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from kas.store.database import insert
from kas.store.derived import derived_id
from kas.store.errors import NotFound, ProjectPinned
from kas.store.records import ProjectRecord
from kas.store.renaming import former_of, has_applied, rename, renumber
from kas.store.schema import projects
from kas.store.times import to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
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
        self._former: dict[str, tuple[str, ...]] = {}

    async def id_of(self, path: str) -> int:
        """Return the project's id, see ``ids_of``."""
        return (await self.ids_of([path]))[path]

    @whole
    async def ids_of(self, paths: Collection[str]) -> dict[str, int]:
        """Return the id of each project; those met for the first time get one, all in one transaction.

        Ids change while kas is stopped, if ever: one that was returned before is returned again while the database is
        away.
        """
        unknown = [path for path in dict.fromkeys(paths) if path not in self._ids]
        if unknown:
            async with self._database.read() as connection:
                self._ids |= await _present(connection, unknown)
                self._former |= await _former(connection, unknown)
        if new := [path for path in unknown if path not in self._ids]:
            async with self._database.write(durable=True) as connection:
                given = await _ensure(connection, new, self._clock())
            self._ids |= given
        return {path: self._ids[path] for path in paths}

    async def paths_of(self, ids: Collection[int]) -> dict[int, str]:
        """Return the path of each of these ids that a project has; none becomes another project's while kas runs."""
        unknown = [one for one in set(ids) if one not in self._paths]
        if unknown:
            query = select(projects.c.id, projects.c.path).where(projects.c.id.in_(unknown))
            async with self._database.read() as connection:
                self._paths |= {row.id: row.path for row in await connection.execute(query)}
        return {one: self._paths[one] for one in ids if one in self._paths}

    async def former_of(self, paths: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the paths that projects had before, of those that had any; of known projects without a question."""
        await self.ids_of(paths)
        return {path: former for path in paths if (former := self._former.get(path))}

    @whole
    async def pin(self, path: str, project_id: int, *, among: Collection[str] = ()) -> None:
        """Give a project the id it has in GitLab. Again with the same id: no change.

        A project that has the id already is the same one under an earlier path, if GitLab has given it that id too.

        Args:
            path: the project's.
            project_id: in GitLab.
            among: the paths that are pinned; none of them is an earlier path.

        Raises:
            ProjectPinned: the project has applied something under another id, or the id is another project's.
        """
        async with self._changing() as connection:
            present = await connection.scalar(select(projects.c.id).where(projects.c.path == path))
            if present != project_id:
                await self._correct(connection, path, present, project_id, among)
            await connection.execute(update(projects).where(projects.c.id == project_id).values(pinned=1))

    async def _correct(
        self, connection: AsyncConnection, path: str, present: int | None, asked: int, among: Collection[str]
    ) -> None:
        query = select(projects.c.path, projects.c.pinned).where(projects.c.id == asked)
        holder = (await connection.execute(query)).one_or_none()
        if holder is not None:
            if not holder.pinned or holder.path in among:
                detail = f"that is the id of project {holder.path!r}; choose another one, or if that is this project's"
                raise ProjectPinned(path, asked, f"{detail} earlier path, stop kas and run `kas project rename`")
            await rename(connection, asked, holder.path, path)
        elif present is None:
            values = {"id": asked, "path": path, "created_at": to_micros(self._clock())}
            await connection.execute(projects.insert().values(values))
        elif await has_applied(connection, present):
            detail = f"it has applied objects under id {present}, and goes on with that; take the setting out, or stop"
            raise ProjectPinned(path, asked, f"{detail} kas and run `kas project set-id` if this must be")
        else:
            await renumber(connection, path, present, asked, self._clock())

    @whole
    async def set_id(self, path: str, project_id: int) -> int:
        """Give a project another id, whatever it has applied, and return the one it had.

        Raises:
            NotFound: there is no such project.
            ProjectPinned: the id is another project's.
        """
        async with self._changing() as connection:
            present = await _id_of(connection, path)
            holder = await connection.scalar(select(projects.c.path).where(projects.c.id == project_id))
            if holder not in {None, path}:
                raise ProjectPinned(path, project_id, f"that is the id of project {holder!r}")
            if holder is None:
                await renumber(connection, path, present, project_id, self._clock())
            return present

    @whole
    async def rename(self, old: str, new: str) -> None:
        """Give a project another path: it keeps its id, and finds what it owns in clusters under both.

        Raises:
            NotFound: there is no such project.
            ProjectPinned: under the new path something has been applied already.
        """
        async with self._changing() as connection:
            project_id = await _id_of(connection, old)
            if old != new:
                await rename(connection, project_id, old, new)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """Change ids and paths; what is known of them is forgotten."""
        async with self._database.write(durable=True) as connection:
            yield connection
        for known in (self._ids, self._paths, self._former):
            known.clear()

    @whole
    async def list(self) -> tuple[ProjectRecord, ...]:
        """Return every project, by path."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(projects.c.id, projects.c.path).order_by(projects.c.path))
            return tuple(ProjectRecord(id=row.id, path=row.path) for row in rows)


async def _id_of(connection: AsyncConnection, path: str) -> int:
    found = await connection.scalar(select(projects.c.id).where(projects.c.path == path))
    if found is None:
        raise NotFound("project", path)
    return int(found)


async def _former(connection: AsyncConnection, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    query = select(projects.c.path, projects.c.former).where(projects.c.path.in_(paths), projects.c.former != "")
    return {row.path: former_of(row.former) for row in await connection.execute(query)}


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
