"""The connections: engine, transactions, pragmas, and the one place where a database's errors become the store's.

What the subjects' files need to know of dialects is ``insert`` here; they write everything else in plain Core.

Durability. SQLite runs in WAL mode. Every commit survives the death of the process (SIGKILL, out of memory), because
it is in the kernel's hands. Against the loss of power, registrations (projects, agents, tokens and their revocation)
are synced to disk at each commit. Reports are not (``synchronous=NORMAL``): the last moments of them may be lost with
the power, and the database is consistent all the same.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import event, exc, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import create_async_engine

from kas.store.errors import StoreError, StoreUnavailable, UnsupportedDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import URL, Connection, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

_BUSY_SECONDS: Final = 10
"""How long a writer waits for another process, such as a backup, that holds the database."""

_READERS: Final = 8
"""Connections kept open. Each is a thread, and a query takes well under a millisecond."""


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing`` in this dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


class Database:
    """Transactions over one engine.

    Raises:
        UnsupportedDatabase: the URL names a database or driver that is not there.
    """

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite:
            _prepare(parsed)
        options = {"timeout": _BUSY_SECONDS} if self._sqlite else {}
        try:
            # hide_parameters: what is stored must not come out again in error texts.
            engine = create_async_engine(
                parsed, hide_parameters=True, pool_size=_READERS, max_overflow=0, connect_args=options
            )
        except ModuleNotFoundError as error:
            raise UnsupportedDatabase(
                f"database {parsed.get_backend_name()!r} needs the Python package {error.name!r}: install it"
            ) from error
        if self._sqlite:
            event.listen(engine.sync_engine, "connect", _on_connect)
            event.listen(engine.sync_engine, "begin", _on_begin)
        self._engine = engine
        self._report_writer = engine.execution_options(kas_write="NORMAL")
        self._durable_writer = engine.execution_options(kas_write="FULL")
        # SQLite has one writer; waiting here is fair and cheap, waiting in its busy handler is neither.
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that sees one state of the database.

        Raises:
            StoreUnavailable: see there.
        """
        async with _translated(), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, durable: bool) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that alone may write; it is committed when the block ends well.

        Args:
            durable: the commit also survives the loss of power.

        Raises:
            StoreError: the block wrote what does not fit together; nothing of it was written.
            StoreUnavailable: see there; likewise.
        """
        engine = self._durable_writer if durable else self._report_writer
        if not self._sqlite:
            async with _translated(), engine.begin() as connection:
                yield connection
            return
        async with self._writing, _translated(), engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise UnsupportedDatabase(
            "the database URL cannot be read: expected sqlite:///path/to/kas.db or postgresql://user@host/name"
        ) from error
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise UnsupportedDatabase(f"database {backend!r} is not supported: use sqlite:/// or postgresql://")
    return parsed.set(drivername=_DRIVERS[backend])


def _prepare(url: URL) -> None:
    """Create the file, in WAL mode for good, readable by its owner only: it tells what runs in every cluster."""
    if url.database is None or url.database in {"", ":memory:"}:
        raise UnsupportedDatabase("the database URL names no file: expected sqlite:///path/to/kas.db")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path)) as connection:
            _switch_to_wal(connection)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreUnavailable(f"{path}: {reason}") from error


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait here for another program that does the same, as it does everywhere else.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: _on_begin says how each one begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    durability = connection.get_execution_options().get("kas_write")
    if durability is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous = {durability}")
    # IMMEDIATE: a transaction that reads first and writes later must not find that another wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        # A subject that expects one catches it inside; here it is a row that refers to nothing.
        raise StoreError(f"the database refused what does not fit together: {error.orig}") from error
    except (exc.DBAPIError, exc.TimeoutError) as error:
        raise StoreUnavailable(str(getattr(error, "orig", None) or error)) from error
    except OSError as error:  # a driver that cannot connect
        raise StoreUnavailable(str(error)) from error
