"""Ends what was opened with a token that another kas on the same database has revoked, or whose agent it deleted.

What is revoked at this kas ends at once (``AgentListener.token_revoked``). Of the others' changes it may be told, and
then looks at once: the store alone says what has ended.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from agentlink import logs
from kas.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kas.rpc.sessions import Sessions

SECONDS: Final = 2.0
"""How often the tokens of open sessions are looked at: 5 s after a revocation nothing of it may be open."""

log = logs.get_logger("rpc")


class Doubts:
    """Tokens that somebody says have ended; they are looked at now."""

    def __init__(self) -> None:
        self.token_ids: set[int] = set()
        self.something = asyncio.Event()

    def add(self, token_id: int) -> None:
        """Have a token looked at."""
        self.token_ids.add(token_id)
        self.something.set()


class EndedTokens(Protocol):
    """What is asked of the store; ``kas.store.tokens.Tokens`` is one."""

    async def ended(self, token_ids: Collection[int]) -> frozenset[int]:
        """Return those of the tokens that are revoked or gone."""

    async def gone(self, token_ids: Collection[int]) -> frozenset[int]:
        """Return those of the tokens that are gone, as they are with their agent alone."""


async def follow_revocations(
    tokens: EndedTokens, sessions: Sessions, token_revoked: Callable[[int], None], doubts: Doubts
) -> NoReturn:
    """Look at the tokens of open sessions, and at those that are doubted, for ever; say which of them have ended."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await doubts.something.wait()
        doubts.something.clear()
        used = {session.identity.token_id for session in sessions.list()} | doubts.token_ids
        if not used:
            continue
        try:
            ended = await tokens.ended(used)
            gone = await tokens.gone(ended) if ended else ended
        except StoreError as error:
            # Agents work on while the database is away; who was revoked ends when it is back.
            log.debug("Tokens in use could not be looked at", why=str(error))
            continue
        doubts.token_ids -= used
        for session in sessions.list() if gone else ():
            if session.identity.token_id in gone:
                sessions.close_agent(session.identity.agent_id)
        for token_id in ended:
            token_revoked(token_id)
