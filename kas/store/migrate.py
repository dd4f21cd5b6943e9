"""Brings a database's schema up to date when kas starts, and refuses one from a newer kas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kas.store.errors import NewerDatabase

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database

_FOLDER: Final = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Run the migrations that the database lacks, all in one transaction: whole or not at all.

    Raises:
        NewerDatabase: it has one that this kas does not know; nothing was changed.
        StoreUnavailable: it cannot be reached.
    """
    # A durable transaction is alone from the start: of replicas that start at once, one migrates, and the others wait
    # and find it done.
    async with database.write(durable=True) as connection:
        await connection.run_sync(_upgrade)


async def schema_of(connection: AsyncConnection) -> str:
    """Return the version of the database's schema; empty where it has none yet."""
    return ", ".join(await connection.run_sync(_found))


def newest_schema() -> str:
    """Return the version of the schema that this kas works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def is_known(found: str) -> bool:
    """Tell whether this kas knows a version of the schema."""
    scripts = ScriptDirectory.from_config(_config())
    return found in {script.revision for script in scripts.walk_revisions()}


def check_known(found: str) -> None:
    """Make sure that this kas knows a version of the schema.

    Raises:
        NewerDatabase: it does not.
    """
    if not is_known(found):
        raise NewerDatabase(found, newest_schema())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _found(connection: Connection) -> tuple[str, ...]:
    return tuple(MigrationContext.configure(connection).get_current_heads())


def _upgrade(connection: Connection) -> None:
    found = _found(connection)
    if found == (newest_schema(),):
        return
    for revision in found:
        check_known(revision)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
