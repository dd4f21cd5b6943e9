"""SQLite's side of the database: the file, its pragmas, how transactions begin, and whether there is room.

In WAL mode each open connection keeps a shared lock on the file. ``kas.store.backup`` relies on that: nobody restores
into a file that a kas has open.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from kas.store.errors import StoreUnavailable, UnsupportedDatabase

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_SECONDS: Final = 10
"""How long a writer waits for another process, such as a backup, that holds the database."""

_READERS: Final = 8
"""Connections kept open. Each is a thread, and a query takes well under a millisecond."""

ROOM: Final = 16 * 1024**2
"""With less than these bytes free kas is not ready: a large batch of reports might not fit any more."""


def file_of(url: URL) -> Path:
    """Return the file that a URL names.

    Raises:
        UnsupportedDatabase: it names none.
    """
    if url.database is None or url.database in {"", ":memory:"}:
        raise UnsupportedDatabase("the database URL names no file: expected sqlite:///path/to/kas.db")
    return Path(url.database)


def prepare(path: Path) -> None:
    """Create the file, in WAL mode for good, readable by its owner only: it tells what runs in every cluster.

    Raises:
        StoreUnavailable: it cannot be created, or is no database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path)) as connection:
            _switch_to_wal(connection)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreUnavailable(f"{path}: {reason}") from error


def make_engine(url: URL) -> AsyncEngine:
    """Return the engine of a file that ``prepare`` has made sure of."""
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,  # what is stored must not come out again in error texts
        pool_size=_READERS,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS},
    )
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


class FileWatch:
    """Tells whether the file is still there and has room around it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def check(self) -> None:
        """Make sure that the file is the one that was opened: SQLite writes into a deleted one without a word.

        Raises:
            StoreUnavailable: it is another one, or gone.
        """
        try:
            same = _identity(self._path) == self._identity
        except OSError as error:
            raise StoreUnavailable(f"{self._path}: {error.strerror}: put it back, or restart kas") from error
        if not same:
            raise StoreUnavailable(f"{self._path} was replaced while kas had it open: restart kas")

    def check_room(self) -> None:
        """Make sure that reports will fit.

        Raises:
            StoreUnavailable: the disk is almost full.
        """
        try:
            disk = os.statvfs(self._path)
        except OSError as error:
            raise StoreUnavailable(f"{self._path}: {error.strerror}") from error
        free = disk.f_bavail * disk.f_frsize
        if free < ROOM:
            raise StoreUnavailable(
                f"{self._path.parent} has {free // 1024} KiB left, and {ROOM // 1024} are needed: make room there"
            )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait here for another program that does the same, as it does everywhere else.
    deadline = time.monotonic() + BUSY_SECONDS
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
    cursor.execute("PRAGMA schema_version")  # opens the file, and takes the lock that the module tells of
    cursor.close()


def _on_begin(connection: Connection) -> None:
    durability = connection.get_execution_options().get("kas_write")
    if durability is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous = {durability}")
    # IMMEDIATE: a transaction that reads first and writes later must not find that another wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
