"""Looks at a database and changes nothing, beside whatever kas uses it: for ``kas check`` and ``kas db``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import URL, select

from kas.store.database import Database, parse
from kas.store.migrate import is_known, newest_schema, schema_of
from kas.store.schema import agents, projects
from kas.store.sqlite import file_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found.

    ``where`` names the database without its password; ``file`` is that of SQLite. ``exists`` is False where no kas has
    written yet. ``schema`` is the version found, empty for none; ``newest`` is that of this kas, and ``unknown`` tells
    that the former is none this kas ever had. ``agents`` are names of agents with their configuration projects.
    """

    where: str
    file: Path | None
    exists: bool
    schema: str
    newest: str
    unknown: bool = False
    agents: tuple[tuple[str, str], ...] = ()


async def look(url: str, *, password_file: Path | None = None) -> Seen:
    """Look at the database of a URL.

    Raises:
        UnsupportedDatabase: it names none that is supported.
        StoreUnavailable: it does not answer.
    """
    opened = parse(url, password_file)
    file = file_of(opened) if isinstance(opened, URL) else None
    where = str(file) if file is not None else "the database server"
    newest = newest_schema()
    # Opening it would create the file.
    if file is not None and (not file.exists() or file.stat().st_size == 0):
        return Seen(where, file, exists=False, schema="", newest=newest)
    database = Database(url, password_file=password_file)
    try:
        async with database.read() as connection:
            schema = await schema_of(connection)
            unknown = bool(schema) and not is_known(schema)
            found: tuple[tuple[str, str], ...] = ()
            if schema and not unknown:  # what is read here, every schema has
                query = select(agents.c.name, projects.c.path).join(projects, agents.c.project_id == projects.c.id)
                found = tuple(sorted((row.name, row.path) for row in await connection.execute(query)))
        return Seen(where, file, bool(schema), schema, newest, unknown, found)
    finally:
        await database.close()
