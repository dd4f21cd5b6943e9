"""PostgreSQL's side of the database: its URL, credentials and connections.

The URL is libpq's, read by the driver itself, so that everything that works with psql works here: ``sslmode``,
``sslrootcert``, a socket's folder as ``host``, several hosts, PGPASSFILE. A password may be in a file of its own, which
is read anew for each connection; wherever it stands, it is taken out of everything that is shown.

Each connection holds a shared lock as long as it lives. ``kas.store.backup`` relies on that: nobody restores into a
database that a kas is using. Such locks belong to a session, so kas needs real ones: a direct connection, or a
PgBouncer in session mode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from kas.store.errors import StoreUnavailable, UnsupportedDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

SCHEMES: Final = ("postgresql", "postgres")

_CONNECT_SECONDS: Final = 5
_COMMAND_SECONDS: Final = 60
"""After so long without an answer the server counts as gone. The slowest statement of kas takes a second or two."""

_CONNECTIONS: Final = 10
"""For each kas; PostgreSQL allows 100 in all unless told otherwise."""

_POOL_SECONDS: Final = 10
"""How long a caller waits for one of them."""

_LOCKS: Final = 1_801_548_147
"""The first half of every advisory lock of kas: its four letters, ``kas3``."""

IN_USE: Final = (_LOCKS, 1)
"""Held shared by every connection, alone by a restore."""

REGISTERING: Final = (_LOCKS, 2)
"""Held by transactions that look first and register then, and by migrations: one at a time."""

EVENTS: Final = (_LOCKS, 3)
"""Held by transactions that add events, so that numbers appear in their order to those who read on after one."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database of a server. ``url`` has no password; ``password`` is that of the URL, where it had one."""

    url: str
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None

    @classmethod
    def parse(cls, url: str, password_file: Path | None) -> Self:
        """Read a URL.

        Raises:
            UnsupportedDatabase: it is none, and why.
        """
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise UnsupportedDatabase(
                "the database URL cannot be read: expected postgresql://user@host/name"
            ) from error
        user, at, hosts = parts.netloc.rpartition("@")
        user, _, in_url = user.partition(":")
        in_query = [value for name, value in query if name == "password"]
        rest = urlencode([(name, value) for name, value in query if name != "password"], safe="/:,")
        clean = f"postgresql://{user}{at}{hosts}{parts.path}{'?' if rest else ''}{rest}"
        password = in_query[0] if in_query else unquote(in_url)
        return cls(clean, password or None, password_file)

    @property
    def where(self) -> str:
        """The server and the database, for people."""
        parts = urlsplit(self.url)
        hosts = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "the default server")
        return f"{hosts}{parts.path}"

    def read_password(self) -> str | None:
        """Return the password, from the file where one is set; None leaves it to PGPASSWORD and PGPASSFILE.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            text = self.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise StoreUnavailable(f"database_password_file {self.password_file} cannot be read: {reason}") from error
        if not text:
            raise StoreUnavailable(f"database_password_file {self.password_file} is empty")
        return text

    async def connect(self, *, patient: bool = False, alone: bool = False) -> asyncpg.Connection:
        """Open a connection and take the lock that says the database is in use.

        Args:
            patient: wait for as long as a statement takes, as a migration or a backup may.
            alone: make sure that no kas uses the database, and that none begins to while this connection is open.

        Raises:
            StoreUnavailable: the server does not answer or let us in, or somebody else holds the lock.
        """
        try:
            connection = await asyncpg.connect(
                self.url,
                password=self.read_password(),
                timeout=_CONNECT_SECONDS,
                command_timeout=None if patient else _COMMAND_SECONDS,
                server_settings={"application_name": "kas"},
            )
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.where} did not answer within {_CONNECT_SECONDS} s") from error
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnavailable(f"{self.where}: {explain(error)}") from error
        try:
            lock = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
            got = await connection.fetchval(f"SELECT {lock}($1, $2)", *IN_USE)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            connection.terminate()
            raise StoreUnavailable(explain(error)) from error
        if not got:
            await connection.close(timeout=_CONNECT_SECONDS)
            raise StoreUnavailable("a kas is using it: stop kas first" if alone else "a backup is being restored")
        return connection

    def make_engine(self, *, patient: bool = False) -> AsyncEngine:
        """Return an engine over ``connect``."""

        async def connect() -> asyncpg.Connection:
            return await self.connect(patient=patient)

        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            hide_parameters=True,  # what is stored must not come out again in error texts
            pool_pre_ping=True,  # a connection of before the server's restart is replaced, not an error
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
        )


def refusal_of(error: BaseException | None) -> str | None:
    """Return why the server or its driver will never take a value, such as a text with NUL; None for other errors.

    The words are the server's, which are without the value; the driver's own would not be.
    """
    # Among the limits: a key too long for its index, as an object's names can be with four bytes a character.
    if not isinstance(error, (asyncpg.DataError, asyncpg.ProgramLimitExceededError)):
        return None
    from_server = getattr(error, "severity", None) is not None
    return str(error.args[0]) if from_server else "no column takes a value of that kind"


def explain(error: Exception) -> str:
    """Return what the server or the driver says, on one line, and never the URL."""
    text = " ".join(str(error).split())
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"{text}: look at database_password_file, or PGPASSFILE, and at the server's pg_hba.conf"
    return text or type(error).__name__
