"""Everything kas keeps, behind one value. The subjects are files of their own; this one only joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sqlalchemy import select

from kas.store.agents import Agents
from kas.store.api_tokens import ApiTokens
from kas.store.audit import Audit
from kas.store.batches import Batches
from kas.store.database import Database
from kas.store.events import Events
from kas.store.migrate import migrate
from kas.store.objects import Objects
from kas.store.projects import Projects
from kas.store.retention import Retention
from kas.store.syncs import Syncs
from kas.store.times import utc_now
from kas.store.tokens import Tokens
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


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
        self.retention = Retention(database)

    @classmethod
    @whole
    async def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Connect and bring the schema up to date.

        Args:
            url: ``sqlite:////var/lib/kas/kas.db``; the file and its folder are created.
            clock: the time, aware and in UTC.

        Raises:
            NewerDatabase: a newer kas wrote it; nothing was changed.
            UnsupportedDatabase: the URL names a database or driver that is not there.
            StoreUnavailable: it cannot be reached.
        """
        database = Database(url)
        try:
            await migrate(database)
        except BaseException:
            await database.close()
            raise
        return cls(database, clock)

    @whole
    async def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            StoreUnavailable: it gives none.
        """
        async with self._database.read() as connection:
            await connection.execute(select(1))

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()
