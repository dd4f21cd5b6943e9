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


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    newest = scripts.get_current_head() or ""
    found = MigrationContext.configure(connection).get_current_heads()
    if found == (newest,):
        return
    for revision in found:
        if revision not in known:
            raise NewerDatabase(revision, newest)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
