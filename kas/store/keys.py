"""Keys that all kas on one database know, and nobody who has no access to it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select

from kas.store.database import insert
from kas.store.schema import keys
from kas.store.whole import whole

if TYPE_CHECKING:
    from kas.store.database import Database

REPLICAS: Final = "replicas"
"""The name of the key that keeps what several kas say to each other (``kas/replicas/derived.py``)."""

_INSTALLATION: Final = "installation"
_INSTALLATION_BYTES: Final = 16
"""Of the key by this name, which nothing is kept by: agents are told these."""


class Keys:
    """The keys of one store. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @whole
    async def of(self, name: str) -> bytes:
        """Return the key of a name, the same one until it is renewed; who asks first makes it."""
        made = secrets.token_hex(32)
        async with self._database.write(durable=True) as connection:
            query = insert(connection, keys).values(name=name, value=made)
            await connection.execute(query.on_conflict_do_nothing(index_elements=["name"]))
            return bytes.fromhex(str(await connection.scalar(select(keys.c.value).where(keys.c.name == name))))

    async def installation(self) -> str:
        """Return what tells this installation of kas, all its replicas, from any other: 32 hexadecimal digits."""
        return (await self.of(_INSTALLATION))[:_INSTALLATION_BYTES].hex()

    async def renew_installation(self) -> None:
        """Be another installation from now on, which agents begin anew with: the database went back in time."""
        await self.renew(_INSTALLATION)

    @whole
    async def renew(self, name: str) -> None:
        """Forget the key of a name; who asks next makes another."""
        async with self._database.write(durable=True) as connection:
            await connection.execute(delete(keys).where(keys.c.name == name))
