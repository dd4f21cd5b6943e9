"""Everything kas keeps, behind one value. The subjects are files of their own; this one only joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from kas.store.agents import Agents
from kas.store.api_tokens import ApiTokens
from kas.store.audit import Audit
from kas.store.batches import Batches
from kas.store.database import Database
from kas.store.events import Events
from kas.store.holds import Holds
from kas.store.keys import Keys
from kas.store.migrate import migrate
from kas.store.objects import Objects
from kas.store.projects import Projects
from kas.store.retention import Retention
from kas.store.syncs import Syncs
from kas.store.times import utc_now
from kas.store.tokens import Tokens
from kas.store.usage import Usages
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path


class Store:
    """What kas keeps. ``open`` it, and ``close`` it at the end; all methods of the subjects are coroutines."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self.projects = Projects(database, clock)
        self.agents = Agents(database, clock)
        self.tokens = Tokens(database, clock)
        self.api_tokens = ApiTokens(database, clock)
        self.audit = Audit(database, clock)
        self.syncs = Syncs(database, clock)
        self.objects = Objects(database)
        self.events = Events(database)
        self.batches = Batches(database, clock)
        self.holds = Holds(database, clock)
        self.keys = Keys(database)
        self.retention = Retention(database)
        self.usage = Usages(database)

    @classmethod
    @whole
    async def open(
        cls, url: str, *, password_file: Path | None = None, clock: Callable[[], datetime] = utc_now
    ) -> Self:
        """Connect and bring the schema up to date.

        Args:
            url: ``sqlite:////var/lib/kas/kas.db``, whose file and folder are created, or
                ``postgresql://user@host/name``, which is there already.
            password_file: with the password for PostgreSQL; read anew for each connection.
            clock: the time, aware and in UTC.

        Raises:
            NewerDatabase: a newer kas wrote it; nothing was changed.
            UnsupportedDatabase: the URL names a database or driver that is not there.
            StoreUnavailable: it cannot be reached.
        """
        migrating = Database(url, password_file=password_file, patient=True)
        try:
            await migrate(migrating)
        finally:
            await migrating.close()
        return cls(Database(url, password_file=password_file), clock)

    @property
    def shared(self) -> bool:
        """Whether other kas may use the same database."""
        return self._database.shared

    @whole
    async def ping(self) -> None:
        """Make sure that the database can be used.

        Raises:
            StoreUnavailable: it does not answer, its disk is almost full, or what was last written was refused and
                still is.
        """
        await self._database.probe()

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()
