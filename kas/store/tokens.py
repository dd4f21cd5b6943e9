"""Tokens of agents. Only hashes are kept; tokens stay after their end, for audit. People's are in ``api_tokens.py``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, func, or_, select, update

from kas.store.agents import agent_of, select_agents
from kas.store.audit import note
from kas.store.errors import NotFound
from kas.store.records import TokenRecord
from kas.store.schema import agent_tokens, agents
from kas.store.times import from_micros, to_micros
from kas.store.together import Together
from kas.store.token_rows import add_token, end_token
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kas.store.database import Database
    from kas.store.records import Actor, AgentRecord

TOUCH_EVERY: Final = timedelta(minutes=1)
"""How exact ``last_used_at`` is. An agent reports many times a second; a write for each would be waste."""

_ASKED_AT_ONCE: Final = 1_000
"""Values in one statement; databases have their limits."""


class Tokens:
    """The agents' tokens of one store. Every method may raise StoreUnavailable.

    A ``token_hash`` is the SHA-256 of the secret as 64 hexadecimal digits.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._touched: dict[int, datetime] = {}
        self._finding: Together[str, tuple[TokenRecord, AgentRecord] | None] = Together(self._find)
        self._touching: Together[tuple[int, datetime], None] = Together(self._touch)

    @whole
    async def create(
        self, agent_id: int, name: str, description: str, token_hash: str, *, by: Actor | None = None
    ) -> TokenRecord:
        """Register a token of an agent. An agent may have several at once, for rotation.

        ``by`` is noted in the audit log, in the same transaction.

        Raises:
            NotFound: no agent has that id.
            TokenExists: that secret is already registered.
        """
        now = self._clock()
        more = {"agent_id": agent_id, "description": description}
        async with self._database.write(durable=True) as connection:
            found = (await connection.execute(select_agents().where(agents.c.id == agent_id))).one_or_none()
            if found is None:
                raise NotFound("agent", agent_id)
            record = TokenRecord(
                id=await add_token(connection, agent_tokens, name, token_hash, at=now, more=more),
                agent_id=agent_id,
                name=name,
                description=description,
                created_at=now,
                last_used_at=None,
                revoked_at=None,
            )
            await _note(connection, by, "token.create", record, agent_of(found), at=now)
            return record

    @whole
    async def get(self, token_id: int) -> tuple[TokenRecord, AgentRecord]:
        """Return a token and its agent, even when revoked.

        Raises:
            NotFound: no token has that id.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(_select().where(agent_tokens.c.id == token_id))).one_or_none()
        if row is None:
            raise NotFound("token", token_id)
        return _token_of(row), agent_of(row)

    async def find(self, token_hash: str) -> tuple[TokenRecord, AgentRecord] | None:
        """Return the token with that hash and its agent, even when revoked; None where there is none."""
        return await self._finding.do(token_hash)

    async def _find(self, hashes: Sequence[str]) -> Sequence[tuple[TokenRecord, AgentRecord] | None]:
        query = _select().add_columns(agent_tokens.c.token_hash).where(agent_tokens.c.token_hash.in_(set(hashes)))
        async with self._database.read() as connection:
            found = {row.token_hash: (_token_of(row), agent_of(row)) for row in await connection.execute(query)}
        return [found.get(token_hash) for token_hash in hashes]

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
    async def ended(self, token_ids: Collection[int]) -> frozenset[int]:
        """Return those of the tokens that are revoked, or gone with their agent."""
        return await self._not_among(token_ids, select(agent_tokens.c.id).where(agent_tokens.c.revoked_at.is_(None)))

    @whole
    async def gone(self, token_ids: Collection[int]) -> frozenset[int]:
        """Return those of the tokens that are gone with their agent."""
        return await self._not_among(token_ids, select(agent_tokens.c.id))

    async def _not_among(self, token_ids: Collection[int], those: Select[tuple[int]]) -> frozenset[int]:
        found: set[int] = set()
        asked = sorted(token_ids)
        async with self._database.read() as connection:
            for start in range(0, len(asked), _ASKED_AT_ONCE):
                some = asked[start : start + _ASKED_AT_ONCE]
                found.update(await connection.scalars(those.where(agent_tokens.c.id.in_(some))))
        return frozenset(asked) - found

    @whole
    async def live(self, most: int) -> Collection[str]:
        """Return the hashes of tokens that are not revoked, at most so many: those that were used last."""
        column = agent_tokens.c
        query = select(column.token_hash).where(column.revoked_at.is_(None))
        # Databases do not agree on where NULL stands.
        used = func.coalesce(column.last_used_at, column.created_at)
        async with self._database.read() as connection:
            return tuple(await connection.scalars(query.order_by(used.desc(), column.id.desc()).limit(most)))

    @whole
    async def touch(self, token_id: int) -> None:
        """Note that a token was used just now; written once in ``TOUCH_EVERY``."""
        now = self._clock()
        before = self._touched.get(token_id)
        if before is not None and before <= now < before + TOUCH_EVERY:
            return
        self._touched[token_id] = now
        await self._touching.do((token_id, now))

    async def _touch(self, touched: Sequence[tuple[int, datetime]]) -> Sequence[None]:
        column = agent_tokens.c.last_used_at
        query = (
            update(agent_tokens)
            .where(agent_tokens.c.id == bindparam("of"), or_(column.is_(None), column <= bindparam("older")))
            .values(last_used_at=bindparam("at"))
        )
        # In one order, so that two kas that do this do not wait for each other.
        values = [
            {"of": token_id, "at": to_micros(at), "older": to_micros(at - TOUCH_EVERY)}
            for token_id, at in sorted(touched)
        ]
        async with self._database.write(durable=False) as connection:
            await connection.execute(query, values)
        return [None for _ in touched]

    @whole
    async def revoke(self, token_id: int, *, by: Actor | None = None) -> TokenRecord:
        """End a token for good. Revoking it again keeps the first time, and is no news for the audit log.

        Raises:
            NotFound: no token has that id.
        """
        now = self._clock()
        async with self._database.write(durable=True) as connection:
            ended = await end_token(connection, agent_tokens, token_id, now)
            row = (await connection.execute(_select().where(agent_tokens.c.id == token_id))).one_or_none()
            if row is None:
                raise NotFound("token", token_id)
            if ended:
                await _note(connection, by, "token.revoke", _token_of(row), agent_of(row), at=now)
        return _token_of(row)


async def _note(
    connection: AsyncConnection, by: Actor | None, action: str, token: TokenRecord, agent: AgentRecord, *, at: datetime
) -> None:
    if by is not None:
        named = f"{token.id} {token.name!r}" if token.name else str(token.id)
        subject = f"token {named} of agent {agent.project}:{agent.name} (id {agent.id})"
        await note(connection, by, action, at=at, project=agent.project, subject=subject)


def _select() -> Select[Any]:
    columns = select_agents().add_columns(*_token_columns())
    return columns.join(agent_tokens, agent_tokens.c.agent_id == agents.c.id)


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
