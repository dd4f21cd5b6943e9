"""Tokens of people for kas' own API. Only hashes are kept; tokens stay after their end, for audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from kas.store.audit import note
from kas.store.errors import NotFound
from kas.store.records import ApiTokenRecord
from kas.store.schema import api_tokens
from kas.store.times import from_micros, to_micros
from kas.store.token_rows import add_token, end_token
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import Actor


class ApiTokens:
    """The tokens for kas' own API. Every method may raise StoreUnavailable; hashes as in Tokens."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    @whole
    async def create(
        self,
        name: str,
        role: str,
        token_hash: str,
        *,
        project: str = "",
        expires_at: datetime | None = None,
        by: Actor | None = None,
    ) -> ApiTokenRecord:
        """Register a token, bound to a ``project`` unless that is empty; ``by`` is noted in the audit log.

        Raises:
            TokenExists: that secret is already registered.
        """
        now = self._clock()
        more = {"role": role, "project": project, "expires_at": to_micros(expires_at)}
        async with self._database.write(durable=True) as connection:
            record = ApiTokenRecord(
                id=await add_token(connection, api_tokens, name, token_hash, at=now, more=more),
                name=name,
                role=role,
                created_at=now,
                expires_at=expires_at,
                revoked_at=None,
                project=project,
            )
            await _note(connection, by, "api-token.create", record, now)
            return record

    @whole
    async def create_first(self, name: str, role: str, token_hash: str) -> int | None:
        """Register a token, unless one is live: of several kas that start at once one does. Return its id, or None."""
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            rows = await connection.execute(select(api_tokens))
            if any(_api_token_of(row).live(now) for row in rows):
                return None
            more = {"role": role, "project": "", "expires_at": None}
            return await add_token(connection, api_tokens, name, token_hash, at=now, more=more)

    @whole
    async def find(self, token_hash: str) -> ApiTokenRecord | None:
        """Return the token with that hash, even when it has ended (see ``live``); None where there is none."""
        query = select(api_tokens).where(api_tokens.c.token_hash == token_hash)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _api_token_of(row)

    @whole
    async def list(self) -> tuple[ApiTokenRecord, ...]:
        """Return every token, oldest first, the ended ones too."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(api_tokens).order_by(api_tokens.c.id))
            return tuple(_api_token_of(row) for row in rows)

    @whole
    async def revoke(self, token_id: int, *, by: Actor | None = None) -> ApiTokenRecord:
        """End a token for good. Revoking it again keeps the first time, and is no news for the audit log.

        Raises:
            NotFound: no token has that id.
        """
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            ended = await end_token(connection, api_tokens, token_id, now)
            row = (await connection.execute(select(api_tokens).where(api_tokens.c.id == token_id))).one_or_none()
            if row is None:
                raise NotFound("API token", token_id)
            if ended:
                await _note(connection, by, "api-token.revoke", _api_token_of(row), now)
        return _api_token_of(row)


async def _note(
    connection: AsyncConnection, by: Actor | None, action: str, token: ApiTokenRecord, at: datetime
) -> None:
    if by is not None:
        bound = f" of {token.project}" if token.project else ""
        subject = f"API token {token.id} {token.name!r}, {token.role}{bound}"
        await note(connection, by, action, at=at, project=token.project, subject=subject)


def _api_token_of(row: Row[Any]) -> ApiTokenRecord:
    return ApiTokenRecord(
        id=row.id,
        name=row.name,
        role=row.role,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        revoked_at=from_micros(row.revoked_at),
        project=row.project,
    )
