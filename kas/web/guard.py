"""Lets callers do what they may, and writes down who tried what they may not."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from agentlink.logs import get_logger
from kas.rpc.refusals import Refusals
from kas.store.errors import NotFound
from kas.web.errors import ApiError

if TYPE_CHECKING:
    from kas.store.records import AgentRecord
    from kas.store.store import Store
    from kas.web.authorization import Action, Caller

log = get_logger("web")


class Guard:
    """Stands before every change. What a caller may not see does not exist for them.

    Args:
        store: has the agents and the audit log.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refusals = Refusals(time.monotonic)

    async def agent(self, caller: Caller, agent_id: int) -> AgentRecord:
        """Return an agent that the caller may see.

        Raises:
            NotFound: there is none for them.
        """
        record = await self._store.agents.get(agent_id)
        if not caller.sees(record.project):
            raise NotFound("agent", agent_id)
        return record

    async def refused(self, caller: Caller, project: str, attempt: str, what: str, reason: str) -> None:
        """Note an attempt that was refused, so many for each token; the arguments are those of ``authorize``."""
        if self._refusals.take(str(caller.actor.token_id)):
            log.warning("Refused", attempt=attempt, token_id=caller.actor.token_id, peer=caller.actor.peer)
            await self._store.audit.refused(caller.actor, attempt, project=project, subject=what, reason=reason)

    async def authorize(self, caller: Caller, action: Action, project: str, attempt: str, what: str) -> None:
        """Make sure that a caller may do something.

        Args:
            caller: who asks.
            action: what kind of thing.
            project: the configuration project that it concerns.
            attempt: what the audit log calls it, such as ``agent.create``.
            what: what it is about, for the audit log.

        Raises:
            ApiError: 403; the attempt is noted, so many for each token.
        """
        if caller.may(action, project):
            return
        grant = caller.grant
        bound = f" of {grant.project}" if grant.project else ""
        reason = f"role {grant.role}{bound} does not allow it"
        await self.refused(caller, project, attempt, what, reason)
        message = f"your API token does not allow this: {attempt.replace('.', ' ')}"
        hint = f"its role is {grant.role}{bound}; ask an administrator for a token that may (kas api-token create)"
        raise ApiError(HTTPStatus.FORBIDDEN, "Forbidden", message, hint)
