"""Backing up and restoring SQLite, by its online backup: consistent while others write, and one transaction."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from kas.store.errors import BackupError
from kas.store.sqlite import BUSY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def copy_to(database: Path, backup: Path) -> None:
    """Copy a database into an empty file.

    Raises:
        BackupError: one of them cannot be used.
    """
    try:
        with closing(_read_only(database)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
            # One file that stands for itself, without a log beside it.
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"{database} cannot be copied to {backup.parent}: {error}") from error


def copy_from(backup: Path, database: Path, *, force: bool, check: Callable[[str], None]) -> None:
    """Copy a backup into a database that nobody has open; ``check`` raises for a schema that is not known.

    Raises:
        BackupError: see ``Maintenance.restore``.
    """
    with closing(_opened_backup(backup, check)) as source:
        try:
            database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise BackupError(f"{database} cannot be written: {error.strerror}") from error
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as target:
            _lock_out_others(target, database)
            if not force and _holds_something(target):
                raise BackupError(f"{database} is not empty: --force replaces what it holds")
            try:
                source.backup(target)
            except sqlite3.Error as error:
                raise BackupError(f"{backup} cannot be copied to {database}: {error}") from error


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)


def _opened_backup(backup: Path, check: Callable[[str], None]) -> sqlite3.Connection:
    connection = _read_only(backup)
    try:
        check(_sound_version(connection, backup))
    except sqlite3.Error as error:
        connection.close()
        raise BackupError(f"{backup} is no backup of kas on SQLite: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _sound_version(connection: sqlite3.Connection, backup: Path) -> str:
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if found is None or connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        raise BackupError(f"{backup} is damaged")
    return str(found[0])


def _lock_out_others(target: sqlite3.Connection, database: Path) -> None:
    # Everybody who has a database in WAL mode open keeps a shared lock on it, so this one fails under a running kas.
    try:
        target.execute("PRAGMA locking_mode = EXCLUSIVE")
        target.execute("BEGIN EXCLUSIVE")
        target.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise BackupError(f"a kas is using {database}: stop kas first") from error
        raise BackupError(f"{database} cannot be used: {error}: move it away first") from error


def _holds_something(target: sqlite3.Connection) -> bool:
    names = target.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return any(
        target.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() is not None  # noqa: S608 - a table's own name
        for (name,) in names
        if name != "alembic_version"
    )
