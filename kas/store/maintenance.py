"""What an operator does with the database itself: upgrade it, look at its version, back it up, restore it.

Works on the database directly, with kas running or not; only restoring needs kas to be stopped, and makes sure of it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kas.store.backup_postgres import dump, load
from kas.store.backup_sqlite import copy_from, copy_to
from kas.store.database import Database, parse
from kas.store.errors import BackupError
from kas.store.keys import REPLICAS, Keys
from kas.store.looking import look
from kas.store.migrate import check_known, migrate
from kas.store.postgres import Server
from kas.store.sqlite import file_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HAS_KEYS = "0005"
"""The first schema with keys; an older one gets an installation when it is upgraded."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The version that a database has, empty where it has none yet, and the newest one that this kas knows."""

    found: str
    newest: str


class Maintenance:
    """One database, by its URL. Methods raise UnsupportedDatabase for one that is none, and StoreUnavailable."""

    def __init__(self, url: str, *, password_file: Path | None = None) -> None:
        self._url = url
        self._password_file = password_file

    async def current(self) -> Schema:
        """Look at the version; nothing is changed."""
        seen = await look(self._url, password_file=self._password_file)
        return Schema(seen.schema, seen.newest)

    async def upgrade(self) -> Schema:
        """Bring the schema up to date, as kas does when it starts; return the version there was before.

        Raises:
            NewerDatabase: a newer kas wrote it; nothing was changed.
        """
        before = await self.current()
        database = Database(self._url, password_file=self._password_file, patient=True)
        try:
            await migrate(database)
        finally:
            await database.close()
        return before

    async def backup(self, file: Path) -> None:
        """Write everything into a file that only its owner can read: whole, or not at all. kas may be running.

        Raises:
            BackupError: it could not be written, or the file exists.
        """
        target = parse(self._url, self._password_file)
        found = (await self.current()).found
        if not found:
            raise BackupError("there is nothing to back up: the database is empty")
        with _whole(file) as partial:
            if isinstance(target, Server):
                await dump(target, partial)
            else:
                copy_to(file_of(target), partial)

    async def renew_key(self) -> None:
        """Have a new key made for what several kas say to each other, by the next one that starts. kas may be running.

        Raises:
            BackupError: the database is not up to date.
        """
        seen = await self.current()
        if seen.found != seen.newest:
            raise BackupError("the database is of another version than this kas: see `kas db current`")
        database = Database(self._url, password_file=self._password_file, patient=True)
        try:
            await Keys(database).renew(REPLICAS)
        finally:
            await database.close()

    async def restore(self, file: Path, *, force: bool = False) -> None:
        """Put back what ``backup`` wrote: whole, or not at all. An older backup is upgraded when kas starts.

        To agents it is another installation from then on: what they hold may be of projects that it does not know.

        Args:
            file: the backup, of the same kind of database.
            force: also into a database that holds something, which is lost.

        Raises:
            BackupError: it is no backup, kas is running on the database, or it is not empty.
            NewerDatabase: a newer kas wrote the backup.
        """
        target = parse(self._url, self._password_file)
        _check_there(file)
        if isinstance(target, Server):
            await load(target, file, force=force, check=check_known)
        else:
            copy_from(file, file_of(target), force=force, check=check_known)
        if (await self.current()).found < _HAS_KEYS:
            return
        database = Database(self._url, password_file=self._password_file, patient=True)
        try:
            await Keys(database).renew_installation()
        finally:
            await database.close()


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise BackupError(f"{file} does not exist")


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Give a file to write into that takes its name when the block ends well, and never another one's place."""
    if file.exists():
        raise BackupError(f"{file} exists: name another file, or delete it")
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
