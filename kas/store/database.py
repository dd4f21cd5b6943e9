"""The connections: transactions, and the one place where a database's errors become the store's.

What the subjects' files need to know of dialects is at the end here; they write everything else in plain Core.
``sqlite.py`` and ``postgres.py`` have what is different about making connections.

Durability. SQLite runs in WAL mode. Every commit survives the death of the process (SIGKILL, out of memory), because
it is in the kernel's hands. Against the loss of power, registrations (projects, agents, tokens and their revocation)
are synced to disk at each commit. Reports are not (``synchronous=NORMAL``): the last moments of them may be lost with
the power, and the database is consistent all the same. PostgreSQL syncs every commit, unless its own settings say
otherwise.

Writing side by side. SQLite has one writer at a time. PostgreSQL has many, so there registrations (``durable``) take
one lock, and what is written about an agent takes that agent's row (``lock_agent``).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import exc, func, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite

from kas.store.errors import StoreError, StoreUnavailable, UnsupportedDatabase, ValueRefused
from kas.store.postgres import EVENTS, REGISTERING, SCHEMES, Server, refusal_of
from kas.store.schema import agents
from kas.store.sqlite import FileWatch, file_of, make_engine, prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    from sqlalchemy import URL, Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Database:
    """Transactions over one engine.

    Raises:
        UnsupportedDatabase: the URL names a database that is not supported.
    """

    def __init__(self, url: str, *, password_file: Path | None = None, patient: bool = False) -> None:
        """Prepare; nothing is connected before the first transaction.

        Args:
            url: ``sqlite:///path`` or ``postgresql://user@host/name``.
            password_file: for PostgreSQL; read anew for each connection.
            patient: let statements take as long as they take, as migrations may.
        """
        self._file: FileWatch | None = None
        self._failing = False
        opened = parse(url, password_file)
        if isinstance(opened, Server):
            self._engine = opened.make_engine(patient=patient)
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            path = file_of(opened)
            prepare(path)
            self._file = FileWatch(path)
            self._reader = self._engine = make_engine(opened)
        self._report_writer = self._engine.execution_options(kas_write="NORMAL")
        self._durable_writer = self._engine.execution_options(kas_write="FULL")
        # SQLite has one writer; waiting here is fair and cheap, waiting in its busy handler is neither.
        self._writing = asyncio.Lock()

    @property
    def shared(self) -> bool:
        """Whether other programs than this one may write to it; an SQLite file has one kas."""
        return self._file is None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that sees one state of the database.

        Raises:
            StoreUnavailable: see there.
        """
        async with _translated(), self._reader.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, durable: bool) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that may write; it is committed when the block ends well.

        Args:
            durable: the commit also survives the loss of power, and no other such transaction runs meanwhile.

        Raises:
            StoreError: the block wrote what does not fit together; nothing of it was written.
            ValueRefused: it wrote what the database will never take; likewise.
            StoreUnavailable: see there; likewise.
        """
        engine = self._durable_writer if durable else self._report_writer
        try:
            if self._file is None:
                async with _translated(), engine.begin() as connection:
                    if durable:
                        await lock(connection, REGISTERING)
                    yield connection
            else:
                async with self._writing, _translated(), _in(engine, self._file) as connection:
                    yield connection
        except StoreUnavailable:
            self._failing = True
            raise
        self._failing = False

    async def probe(self) -> None:
        """Make sure that it can be read, and written where the last attempt to write failed.

        Raises:
            StoreUnavailable: it cannot.
        """
        if self._file is not None:
            self._file.check()
            self._file.check_room()
        if self._failing:
            async with self.write(durable=False) as connection:
                await _write_something(connection)
        async with self.read() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def parse(url: str, password_file: Path | None = None) -> Server | URL:
    """Return the server, or the URL of an SQLite file, that a database URL names.

    Raises:
        UnsupportedDatabase: it names neither.
    """
    scheme = url.partition(":")[0]
    if scheme in SCHEMES:
        return Server.parse(url, password_file)
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise UnsupportedDatabase(
            "the database URL cannot be read: expected sqlite:///path/to/kas.db or postgresql://user@host/name"
        ) from error
    if parsed.drivername != "sqlite":
        raise UnsupportedDatabase(f"database {parsed.drivername!r} is not supported: use sqlite:/// or postgresql://")
    return parsed


@asynccontextmanager
async def _in(engine: AsyncEngine, file: FileWatch) -> AsyncIterator[AsyncConnection]:
    file.check()
    async with engine.begin() as connection:
        yield connection


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        # A subject that expects one catches it inside; here it is a row that refers to nothing.
        raise StoreError(f"the database refused what does not fit together: {_words(error)}") from error
    except (exc.DBAPIError, exc.TimeoutError) as error:
        refused = refusal_of(getattr(getattr(error, "orig", None), "__cause__", None))
        if refused is not None:
            # Not chained: the driver's words have the value in them.
            raise ValueRefused(refused) from None
        raise StoreUnavailable(_words(error)) from error
    except (OverflowError, UnicodeEncodeError):  # SQLite's driver: a number too large, a lone surrogate
        raise ValueRefused("no column takes a value of that kind") from None
    except TimeoutError as error:
        raise StoreUnavailable("the server did not answer in time") from error
    except OSError as error:  # a connection that breaks
        raise StoreUnavailable(str(error)) from error


def _words(error: exc.SQLAlchemyError) -> str:
    """Return what the database itself says: without the statement, its values, and the driver's class."""
    origin = getattr(error, "orig", None)
    said = getattr(origin, "__cause__", None) or origin or error
    return " ".join(str(said).split()) or type(said).__name__


async def _write_something(connection: AsyncConnection) -> None:
    """Write a little that means nothing, and really write it."""
    if is_postgresql(connection):
        await connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
    else:
        used = int((await connection.exec_driver_sql("PRAGMA user_version")).scalar_one())
        await connection.exec_driver_sql(f"PRAGMA user_version = {1 - used % 2}")


def is_postgresql(connection: AsyncConnection) -> bool:
    """Tell the dialects apart."""
    return connection.dialect.name == "postgresql"


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing`` in this dialect."""
    return postgresql.insert(table) if is_postgresql(connection) else sqlite.insert(table)


async def lock(connection: AsyncConnection, which: tuple[int, int]) -> None:
    """Wait for a lock of PostgreSQL and hold it until the transaction ends; with SQLite there is nobody to wait for."""
    if is_postgresql(connection):
        await connection.execute(select(func.pg_advisory_xact_lock(*which)))


async def lock_events(connection: AsyncConnection) -> None:
    """Let nobody else add events until the transaction ends; who reads on after a number would miss a lower one."""
    await lock(connection, EVENTS)


async def lock_agent(connection: AsyncConnection, agent_id: int) -> None:
    """Let nobody else write about this agent until the transaction ends: what is read first is decided upon."""
    await lock_agents(connection, (agent_id,))


async def lock_agents(connection: AsyncConnection, agent_ids: Collection[int]) -> None:
    """Do the same for several agents; always in one order, so that two who do this do not wait for each other."""
    if is_postgresql(connection):
        query = select(agents.c.id).where(agents.c.id.in_(agent_ids)).order_by(agents.c.id)
        await connection.execute(query.with_for_update(key_share=True))
