"""Tokens of agents, and of people for kas' own API. Only hashes are kept; tokens stay after their end, for audit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from kas.store.agents import agent_of, select_agents
from kas.store.errors import NotFound, TokenExists
from kas.store.records import ApiTokenRecord, TokenRecord
from kas.store.schema import agent_tokens, agents, api_tokens
from kas.store.times import from_micros, to_micros
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row

    from kas.store.database import Database
    from kas.store.records import AgentRecord

TOUCH_EVERY: Final = timedelta(minutes=1)
"""How exact ``last_used_at`` is. An agent reports many times a second; a write for each would be waste."""


class Tokens:
    """The agents' tokens of one store. Every method may raise StoreUnavailable.

    A ``token_hash`` is the SHA-256 of the secret as 64 hexadecimal digits.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._touched: dict[int, datetime] = {}

    @whole
    async def create(self, agent_id: int, name: str, description: str, token_hash: str) -> TokenRecord:
        """Register a token of an agent. An agent may have several at once, for rotation.

        Raises:
            NotFound: no agent has that id.
            TokenExists: that secret is already registered.
        """
        now = self._clock()
        values = {
            "agent_id": agent_id,
            "name": name,
            "description": description,
            "token_hash": token_hash,
            "created_at": to_micros(now),
        }
        async with self._database.write(durable=True) as connection:
            if await connection.scalar(select(agents.c.id).where(agents.c.id == agent_id)) is None:
                raise NotFound("agent", agent_id)
            try:
                result = await connection.execute(agent_tokens.insert().values(values).returning(agent_tokens.c.id))
            except IntegrityError:
                raise TokenExists(name) from None
            return TokenRecord(
                id=int(result.scalar_one()),
                agent_id=agent_id,
                name=name,
                description=description,
                created_at=now,
                last_used_at=None,
                revoked_at=None,
            )

    @whole
    async def find(self, token_hash: str) -> tuple[TokenRecord, AgentRecord] | None:
        """Return the token with that hash and its agent, even when revoked; None where there is none."""
        query = (
            select_agents()
            .add_columns(*_token_columns())
            .join(agent_tokens, agent_tokens.c.agent_id == agents.c.id)
            .where(agent_tokens.c.token_hash == token_hash)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (_token_of(row), agent_of(row))

    @whole
    async def list(self, agent_id: int) -> tuple[TokenRecord, ...]:
        """Return an agent's tokens, oldest first, the revoked ones too."""
        query = (
            select(agent_tokens.c.agent_id, *_token_columns())
            .where(agent_tokens.c.agent_id == agent_id)
            .order_by(agent_tokens.c.id)
        )
        async with self._database.read() as connection:
            return tuple(_token_of(row) for row in await connection.execute(query))

    @whole
    async def touch(self, token_id: int) -> None:
        """Note that a token was used just now; written once in ``TOUCH_EVERY``."""
        now = self._clock()
        before = self._touched.get(token_id)
        if before is not None and before <= now < before + TOUCH_EVERY:
            return
        self._touched[token_id] = now
        micros = to_micros(now)
        older = to_micros(now - TOUCH_EVERY)
        column = agent_tokens.c.last_used_at
        query = (
            update(agent_tokens)
            .where(agent_tokens.c.id == token_id, or_(column.is_(None), column <= older))
            .values(last_used_at=micros)
        )
        async with self._database.write(durable=False) as connection:
            await connection.execute(query)

    @whole
    async def revoke(self, token_id: int) -> TokenRecord:
        """End a token for good. Revoking it again keeps the first time.

        Raises:
            NotFound: no token has that id.
        """
        query = update(agent_tokens).where(agent_tokens.c.id == token_id, agent_tokens.c.revoked_at.is_(None))
        async with self._database.write(durable=True) as connection:
            await connection.execute(query.values(revoked_at=to_micros(self._clock())))
            found = select(agent_tokens.c.agent_id, *_token_columns()).where(agent_tokens.c.id == token_id)
            row = (await connection.execute(found)).one_or_none()
        if row is None:
            raise NotFound("token", token_id)
        return _token_of(row)


class ApiTokens:
    """The tokens for kas' own API. Every method may raise StoreUnavailable; hashes as in Tokens."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    @whole
    async def create(
        self, name: str, role: str, token_hash: str, *, expires_at: datetime | None = None
    ) -> ApiTokenRecord:
        """Register a token.

        Raises:
            TokenExists: that secret is already registered.
        """
        now = self._clock()
        values = {
            "name": name,
            "role": role,
            "token_hash": token_hash,
            "created_at": to_micros(now),
            "expires_at": to_micros(expires_at),
        }
        async with self._database.write(durable=True) as connection:
            try:
                result = await connection.execute(api_tokens.insert().values(values).returning(api_tokens.c.id))
            except IntegrityError:
                raise TokenExists(name) from None
            return ApiTokenRecord(
                id=int(result.scalar_one()),
                name=name,
                role=role,
                created_at=now,
                expires_at=expires_at,
                revoked_at=None,
            )

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
    async def revoke(self, token_id: int) -> ApiTokenRecord:
        """End a token for good. Revoking it again keeps the first time.

        Raises:
            NotFound: no token has that id.
        """
        query = update(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.revoked_at.is_(None))
        async with self._database.write(durable=True) as connection:
            await connection.execute(query.values(revoked_at=to_micros(self._clock())))
            found = select(api_tokens).where(api_tokens.c.id == token_id)
            row = (await connection.execute(found)).one_or_none()
        if row is None:
            raise NotFound("API token", token_id)
        return _api_token_of(row)


def _token_columns() -> tuple[Any, ...]:
    column = agent_tokens.c
    return (
        column.id.label("token_id"),
        column.name.label("token_name"),
        column.description,
        column.created_at.label("token_created_at"),
        column.last_used_at,
        column.revoked_at,
    )


def _token_of(row: Row[Any]) -> TokenRecord:
    return TokenRecord(
        id=row.token_id,
        agent_id=row.agent_id,
        name=row.token_name,
        description=row.description,
        created_at=from_micros(row.token_created_at),
        last_used_at=from_micros(row.last_used_at),
        revoked_at=from_micros(row.revoked_at),
    )


def _api_token_of(row: Row[Any]) -> ApiTokenRecord:
    return ApiTokenRecord(
        id=row.id,
        name=row.name,
        role=row.role,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        revoked_at=from_micros(row.revoked_at),
    )
