"""Ends what was opened with a token that another kas on the same database has revoked, or whose agent it deleted.

What is revoked at this kas ends at once (``AgentListener.token_revoked``); nobody tells it of the others' changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from agentlink import logs
from kas.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kas.rpc.sessions import Sessions

SECONDS: Final = 2.0
"""How often the tokens of open sessions are looked at: 5 s after a revocation nothing of it may be open."""

log = logs.get_logger("rpc")


class EndedTokens(Protocol):
    """What is asked of the store; ``kas.store.tokens.Tokens`` is one."""

    async def ended(self, token_ids: Collection[int]) -> frozenset[int]:
        """Return those of the tokens that are revoked or gone."""


async def follow_revocations(tokens: EndedTokens, sessions: Sessions, token_revoked: Callable[[int], None]) -> NoReturn:
    """Look at the tokens of open sessions for ever, and say which of them have ended."""
    while True:
        await asyncio.sleep(SECONDS)
        used = {session.identity.token_id for session in sessions.list()}
        if not used:
            continue
        try:
            ended = await tokens.ended(used)
        except StoreError as error:
            # Agents work on while the database is away; who was revoked ends when it is back.
            log.debug("Tokens in use could not be looked at", why=str(error))
            continue
        for token_id in ended:
            token_revoked(token_id)
