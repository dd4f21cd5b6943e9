"""Who is connected now. Kept in memory only: a connection never outlives the process that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from agentlink.v1.agentlink_pb2 import AgentMeta


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """Which agent a token stands for. ``project`` is the path of its configuration project."""

    agent_id: int
    agent_name: str
    project: str
    token_id: int


@dataclass(frozen=True, slots=True)
class Session:
    """One open Connect stream.

    ``transport`` is ``websocket`` or ``grpc``, ``peer`` the caller's address, ``meta`` what the agent says of itself.
    """

    connection_id: str
    identity: AgentIdentity
    meta: AgentMeta
    connected_at: datetime
    transport: str
    peer: str


class Ending(StrEnum):
    """Why kas ends a session; the value is what people read."""

    REVOKED = "the token was revoked"
    REMOVED = "the agent was removed"
    REPLACED = "the same agentk connected again"
    STOPPING = "kas is stopping"


class Sessions:
    """Every open session of this kas."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Session, Callable[[Ending], None]]] = {}
        self._by_agent: dict[int, dict[str, Session]] = {}

    def add(self, session: Session, end: Callable[[Ending], None]) -> None:
        """Register a session and end the older ones of the same running agentk, whose connection was lost unseen.

        Only sessions of the same agent are looked at: no agent can end another one's by repeating its instance id.
        """
        instance = session.meta.instance_id
        older = [held for held in self.of_agent(session.identity.agent_id) if held.meta.instance_id == instance]
        self._open[session.connection_id] = (session, end)
        self._by_agent.setdefault(session.identity.agent_id, {})[session.connection_id] = session
        if instance:
            self._close(older, Ending.REPLACED)

    def remove(self, connection_id: str) -> None:
        """Forget a session; its stream has ended."""
        found = self._open.pop(connection_id, None)
        if found is None:
            return
        agent_id = found[0].identity.agent_id
        of_agent = self._by_agent[agent_id]
        del of_agent[connection_id]
        if not of_agent:
            del self._by_agent[agent_id]

    def list(self) -> tuple[Session, ...]:
        """Return the open sessions, oldest first."""
        return tuple(session for session, _ in self._open.values())

    def of_agent(self, agent_id: int) -> tuple[Session, ...]:
        """Return the open sessions of one agent, oldest first; several pods, several sessions."""
        return tuple(self._by_agent.get(agent_id, {}).values())

    def close_token(self, token_id: int) -> int:
        """End every session that was opened with a token that is now revoked; return how many."""
        return self._close((s for s in self.list() if s.identity.token_id == token_id), Ending.REVOKED)

    def close_agent(self, agent_id: int) -> int:
        """End every session of an agent that was removed; return how many."""
        return self._close(self.of_agent(agent_id), Ending.REMOVED)

    def close_all(self) -> int:
        """End every session because kas stops; return how many."""
        return self._close(self.list(), Ending.STOPPING)

    def _close(self, sessions: Iterable[Session], ending: Ending) -> int:
        connection_ids = [session.connection_id for session in sessions]
        for connection_id in connection_ids:
            self._open[connection_id][1](ending)
        return len(connection_ids)
