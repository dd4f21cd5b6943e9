"""Giving a project another id or path within one transaction, with all that is on record of it.

Inventories in clusters are found by words (docs/decisions/0030), so a number may be corrected; a path is remembered as
a former one, so that agentk knows the inventories that still say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, exists, select, update

from kas.store.errors import ProjectPinned
from kas.store.schema import agents, events, holds, objects, projects, syncs
from kas.store.times import to_micros

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

_OF_PROJECTS: Final = (agents, syncs, objects, events, holds)
"""Tables that name projects by id."""

_APPLIED: Final = ("created", "configured", "unchanged")
"""Results of objects that are in a cluster."""

_BETWEEN: Final = "\n"
"""Separates former paths, which hold none."""


async def has_applied(connection: AsyncConnection, project_id: int) -> bool:
    """Tell whether any agent has ever applied something of a project, as far as is on record."""
    of_syncs = exists().where(syncs.c.project_id == project_id, syncs.c.applied_at.is_not(None))
    of_objects = exists().where(objects.c.project_id == project_id, objects.c.result.in_(_APPLIED))
    return bool(await connection.scalar(select(of_syncs | of_objects)))


async def renumber(connection: AsyncConnection, path: str, old: int, new: int, now: datetime) -> None:
    """Give a project an id that nobody has."""
    former = await connection.scalar(select(projects.c.former).where(projects.c.id == old))
    values = {"id": new, "path": f"{_BETWEEN}{new}", "created_at": to_micros(now), "former": former}
    await connection.execute(projects.insert().values(values))
    await _hand_over(connection, old, new)
    await connection.execute(delete(projects).where(projects.c.id == old))
    await connection.execute(update(projects).where(projects.c.id == new).values(path=path))


async def rename(connection: AsyncConnection, project_id: int, old: str, new: str) -> None:
    """Give a project another path; what is on record under that path already becomes its own.

    Raises:
        ProjectPinned: under the new path something has been applied, or agents are registered.
    """
    other = await connection.scalar(select(projects.c.id).where(projects.c.path == new))
    if other is not None:
        registered = await connection.scalar(select(exists().where(agents.c.project_id == other)))
        if registered or await has_applied(connection, other):
            what = "agents are registered in" if registered else "something has been applied from"
            raise ProjectPinned(new, project_id, f"{what} it already, so it is not {old!r} under another name")
        await connection.execute(delete(objects).where(objects.c.project_id == other))
        await _hand_over(connection, other, project_id)
        await connection.execute(delete(projects).where(projects.c.id == other))
    former = former_of(str(await connection.scalar(select(projects.c.former).where(projects.c.id == project_id))))
    paths = dict.fromkeys(path for path in (*former, old) if path != new)
    values = {"path": new, "former": _BETWEEN.join(paths)}
    await connection.execute(update(projects).where(projects.c.id == project_id).values(values))


def former_of(text: str) -> tuple[str, ...]:
    """Read former paths, the oldest first."""
    return tuple(text.split(_BETWEEN)) if text else ()


async def _hand_over(connection: AsyncConnection, old: int, new: int) -> None:
    for table in _OF_PROJECTS:
        await connection.execute(update(table).where(table.c.project_id == old).values(project_id=new))
