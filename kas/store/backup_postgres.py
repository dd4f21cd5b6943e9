"""Backing up and restoring PostgreSQL, with its own tools: pg_dump, pg_restore and psql."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from kas.store.errors import BackupError
from kas.store.postgres import explain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kas.store.postgres import Server

_TABLES: Final = (
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = current_schema() "
    "ORDER BY tablename = 'alembic_version', tablename"
)

_VERSION: Final = re.compile(r"^COPY \S*alembic_version .*\n(\S+)\n", re.MULTILINE)


async def dump(server: Server, file: Path) -> None:
    """Dump a database into an empty file.

    Raises:
        BackupError: pg_dump is not installed, or what it says.
    """
    # Our own connection is what keeps others from restoring meanwhile.
    async with _connected(server, alone=False):
        with _credentials(server) as environment:
            common = ("--no-owner", "--no-privileges", "--no-password")
            await _run(environment, "pg_dump", "--format=custom", *common, f"--dbname={server.url}", f"--file={file}")


async def load(server: Server, file: Path, *, force: bool, check: Callable[[str], None]) -> None:
    """Replace a database by a dump, in one transaction; ``check`` raises for a schema that is not known.

    Raises:
        BackupError: see ``Maintenance.restore``.
    """
    async with _connected(server, alone=True) as connection:
        with _credentials(server) as environment, tempfile.TemporaryDirectory() as folder:
            common = ("--no-owner", "--no-privileges")
            try:
                text = await _run(
                    environment, "pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file)
                )
            except _ToolFailedError as error:
                raise BackupError(f"{file} is no backup of kas on PostgreSQL: {error}") from error
            found = _VERSION.search(text)
            if found is None:
                raise BackupError(f"{file} is no backup of kas")
            check(found[1])
            tables = [str(row[0]) for row in await connection.fetch(_TABLES)]
            if not force and await _holds_something(connection, tables):
                raise BackupError("the database is not empty: --force replaces what it holds")
            script, before = Path(folder, "restore.sql"), Path(folder, "drop.sql")
            await _run(environment, "pg_restore", *common, f"--file={script}", str(file))
            _write(before, "".join(f"DROP TABLE {table} CASCADE;\n" for table in tables))
            quiet = ("--no-psqlrc", "--no-password", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1")
            whole = ("--single-transaction", f"--file={before}", f"--file={script}")
            await _run(environment, "psql", *quiet, f"--dbname={server.url}", *whole)


@asynccontextmanager
async def _connected(server: Server, *, alone: bool) -> AsyncIterator[asyncpg.Connection]:
    connection = await server.connect(patient=True, alone=alone)
    try:
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BackupError(explain(error)) from error
    finally:
        await connection.close()


async def _holds_something(connection: asyncpg.Connection, tables: list[str]) -> bool:
    for table in tables:
        if table.endswith(".alembic_version"):
            continue
        if await connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):  # noqa: S608 - quoted by the server
            return True
    return False


@contextmanager
def _credentials(server: Server) -> Iterator[dict[str, str]]:
    """Give the environment for PostgreSQL's tools; a password is in a file of their format, for as long as needed."""
    password = server.read_password()
    if password is None:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pgpass")
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        _write(file, f"*:*:*:*:{escaped}\n")
        yield {**os.environ, "PGPASSFILE": str(file)}


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


class _ToolFailedError(BackupError):
    """A tool of PostgreSQL ended with an error; the text is what it said."""


async def _run(environment: dict[str, str], program: str, *args: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *args,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"{program} is not installed here: install PostgreSQL's client programs (Debian: postgresql-client)"
        ) from error
    said, complained = await process.communicate()
    if process.returncode != 0:
        lines = [line for line in complained.decode(errors="replace").splitlines() if line.strip()]
        raise _ToolFailedError(lines[0] if lines else f"{program} ended with {process.returncode}")
    return said.decode(errors="replace")
