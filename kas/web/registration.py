"""Changes to agents and tokens: the one way in for REST, GraphQL and whatever else people use.

Each change is authorized here, written with its line of the audit log, and then told to the parts that must act at
once. What a caller may not see does not exist for them; what they may see and not change is forbidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from agentlink.logs import get_logger
from kas.rpc.auth import new_agent_token
from kas.store.errors import NotFound
from kas.web.authentication import new_api_token
from kas.web.authorization import EVERYWHERE, Action
from kas.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kas.store.records import AgentRecord, ApiTokenRecord, TokenRecord
    from kas.store.store import Store
    from kas.web.authorization import Caller
    from kas.web.connected import Connected
    from kas.web.queries import NewAgent, NewApiToken, NewToken

DoubtAbout: TypeAlias = "Callable[[str], Awaitable[str]]"

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new agent token; ``secret`` is nowhere else."""

    record: TokenRecord
    agent: AgentRecord
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreatedApiToken:
    """A new API token; ``secret`` is nowhere else."""

    record: ApiTokenRecord
    secret: str = field(repr=False)


class Registration:
    """Makes changes for callers.

    Every method raises ApiError (403) for what the caller may not do, NotFound for what does not exist for them, and
    other StoreErrors.

    Args:
        store: keeps what is registered.
        sessions: who is connected; what is revoked or deleted ends there.
        token_revoked: told the id of each agent token that was just revoked, so that no cache goes on believing it.
        doubt_about: tells why a project cannot be reached, with an empty text where it can; None asks nobody.
    """

    def __init__(
        self,
        store: Store,
        sessions: Connected,
        token_revoked: Callable[[int], None],
        doubt_about: DoubtAbout | None = None,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._token_revoked = token_revoked
        self._doubt_about = doubt_about
        self._guard = Guard(store)

    async def create_agent(self, caller: Caller, new: NewAgent) -> AgentRecord:
        """Register an agent.

        Raises:
            AgentExists: the project has one of that name, or the id is taken.
        """
        what = f"agent {new.project}:{new.name}"
        await self._guard.authorize(caller, Action.REGISTER, new.project, "agent.create", what)
        record = await self._store.agents.create(new.project, new.name, agent_id=new.agent_id, by=caller.actor)
        log.info("Agent registered", agent_id=record.id, agent=record.name, project=record.project)
        return record

    async def doubts(self, project: str) -> list[str]:
        """Return what may be wrong with the project of a new agent.

        The agent is registered all the same: the project may be made, or kas be let in, afterwards.
        """
        doubt = "" if self._doubt_about is None else await self._doubt_about(project)
        return [doubt] if doubt else []

    async def delete_agent(self, caller: Caller, agent_id: int) -> AgentRecord:
        """Revoke an agent's tokens, end its connections, forget it; return what it was."""
        record = await self.agent(caller, agent_id)
        what = f"agent {record.project}:{record.name} (id {record.id})"
        await self._guard.authorize(caller, Action.REGISTER, record.project, "agent.delete", what)
        tokens = await self._store.tokens.list(record.id)
        await self._store.agents.delete(record.id, by=caller.actor)
        # First, so that the agent hears that it is gone, and not only its token.
        closed = self._sessions.close_agent(record.id)
        for token in tokens:
            self._token_revoked(token.id)
        log.info("Agent deleted", agent_id=record.id, agent=record.name, project=record.project, connections=closed)
        return record

    async def create_token(self, caller: Caller, agent_id: int, new: NewToken) -> CreatedToken:
        """Make a token of an agent."""
        agent = await self.agent(caller, agent_id)
        what = f"a token of agent {agent.project}:{agent.name} (id {agent.id})"
        await self._guard.authorize(caller, Action.REGISTER, agent.project, "token.create", what)
        secret, token_hash = new_agent_token()
        record = await self._store.tokens.create(agent.id, new.name, new.description, token_hash, by=caller.actor)
        log.info("Agent token created", agent_id=agent.id, token_id=record.id)
        return CreatedToken(record, agent, secret)

    async def revoke_token(self, caller: Caller, token_id: int) -> tuple[TokenRecord, AgentRecord]:
        """Revoke an agent's token; its connections end at once."""
        token, agent = await self._store.tokens.get(token_id)
        if not caller.sees(agent.project):
            raise NotFound("token", token_id)
        what = f"token {token.id} of agent {agent.project}:{agent.name} (id {agent.id})"
        await self._guard.authorize(caller, Action.REGISTER, agent.project, "token.revoke", what)
        record = await self._store.tokens.revoke(token.id, by=caller.actor)
        self._token_revoked(record.id)
        closed = self._sessions.close_token(record.id)
        log.info("Agent token revoked", agent_id=agent.id, token_id=record.id, connections=closed)
        return record, agent

    async def create_api_token(self, caller: Caller, new: NewApiToken) -> CreatedApiToken:
        """Make a token for people."""
        grant = new.grant
        await self._guard.authorize(
            caller, Action.ADMINISTER, EVERYWHERE, "api-token.create", f"a token of role {grant.role}"
        )
        secret, token_hash = new_api_token()
        record = await self._store.api_tokens.create(
            new.name, grant.role, token_hash, project=grant.project, expires_at=new.expires_at, by=caller.actor
        )
        log.info("API token created", token_id=record.id, role=record.role)
        return CreatedApiToken(record, secret)

    async def api_tokens(self, caller: Caller) -> tuple[ApiTokenRecord, ...]:
        """Return every token for people, oldest first."""
        await self._guard.authorize(caller, Action.ADMINISTER, EVERYWHERE, "api-token.list", "the API tokens")
        return await self._store.api_tokens.list()

    async def revoke_api_token(self, caller: Caller, token_id: int) -> ApiTokenRecord:
        """Revoke a token for people; watches that use it end within a few seconds."""
        await self._guard.authorize(caller, Action.ADMINISTER, EVERYWHERE, "api-token.revoke", f"API token {token_id}")
        record = await self._store.api_tokens.revoke(token_id, by=caller.actor)
        log.info("API token revoked", token_id=record.id)
        return record

    async def agent(self, caller: Caller, agent_id: int) -> AgentRecord:
        """Return an agent that the caller may see."""
        return await self._guard.agent(caller, agent_id)

    async def agent_named(self, caller: Caller, project: str, name: str) -> AgentRecord:
        """Return an agent that the caller may see, by its configuration project and name."""
        if not caller.sees(project):
            raise NotFound("agent", f"{project}:{name}")
        return await self._store.agents.find(project, name)
