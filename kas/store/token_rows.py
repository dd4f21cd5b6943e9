"""What the tables of agents' tokens and of people's have in common: a row is added with a hash, and ended once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from kas.store.errors import TokenExists
from kas.store.times import to_micros

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection


async def add_token(
    connection: AsyncConnection, table: Table, name: str, token_hash: str, *, at: datetime, more: Mapping[str, object]
) -> int:
    """Add a token within a writing transaction; return its id. ``more`` are the columns that only this table has.

    Raises:
        TokenExists: that secret is already registered.
    """
    row = {**more, "name": name, "token_hash": token_hash, "created_at": to_micros(at)}
    try:
        result = await connection.execute(table.insert().values(row).returning(table.c.id))
    except IntegrityError:
        raise TokenExists(name) from None
    return int(result.scalar_one())


async def end_token(connection: AsyncConnection, table: Table, token_id: int, at: datetime) -> bool:
    """End a token within a writing transaction; tell whether it was live: an end is never moved."""
    query = update(table).where(table.c.id == token_id, table.c.revoked_at.is_(None))
    return bool((await connection.execute(query.values(revoked_at=to_micros(at)))).rowcount)
