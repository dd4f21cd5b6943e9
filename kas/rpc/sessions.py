"""Who is connected now. Kept in memory only: a connection never outlives the process that holds it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from kas.rpc.ages import Ages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from agentlink.capabilities import Capability
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

    ``transport`` is ``websocket`` or ``grpc``, ``peer`` the caller's address, ``meta`` what the agent says of itself
    and ``able`` what it is able to hold to.
    """

    connection_id: str
    identity: AgentIdentity
    meta: AgentMeta
    connected_at: datetime
    transport: str
    peer: str
    able: frozenset[Capability] = frozenset()


class Ending(StrEnum):
    """Why kas ends a session; the value is what people read."""

    REVOKED = "the token was revoked"
    REMOVED = "the agent was removed"
    REPLACED = "the same agentk connected again"
    MOVED = "the agent has moved to a new connection"
    OLD = "the connection was as old as kas lets one become"
    STOPPING = "kas is stopping"


@dataclass(frozen=True, slots=True)
class _Open:
    session: Session
    end: Callable[[Ending], None]
    move: Callable[[], None]


def _stay() -> None:
    """Do nothing when asked to move."""


class Sessions:
    """Every open session of this kas. ``ages`` says when they are to move."""

    def __init__(self, ages: Ages | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ages = ages or Ages(age=0)
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self._by_agent: dict[int, dict[str, Session]] = {}
        self._draining = False
        self._ended = 0

    @property
    def draining(self) -> bool:
        """Tell whether kas is stopping: those who are here are on their way to other replicas, and none is let in."""
        return self._draining

    @property
    def ended(self) -> int:
        """Tell how many sessions have ended so far."""
        return self._ended

    def __len__(self) -> int:
        return len(self._open)

    def add(self, session: Session, end: Callable[[Ending], None], move: Callable[[], None] = _stay) -> None:
        """Register a session and end the older ones of the same running agentk: lost unseen, or asked to move.

        Only sessions of the same agent are looked at: no agent can end another one's by repeating its instance id.

        Args:
            session: what is open now.
            end: ends it.
            move: asks the agent to connect anew. Like ``end`` it must not block.
        """
        instance = session.meta.instance_id
        older = [held for held in self.of_agent(session.identity.agent_id) if held.meta.instance_id == instance]
        self._open[session.connection_id] = _Open(session, end, move)
        self._ages.began(session.connection_id, self._clock())
        self._by_agent.setdefault(session.identity.agent_id, {})[session.connection_id] = session
        if instance:
            for held in older:
                self._close([held], Ending.MOVED if self.asked_to_move(held.connection_id) else Ending.REPLACED)

    def connected_elsewhere(self, session: Session) -> None:
        """End what the same running agentk left behind here, now that it has a newer session at another kas.

        Their clocks are compared: where these differ by more than a reconnection takes, an old session may stay until
        it is noticed to be dead.
        """
        for held in self.of_agent(session.identity.agent_id):
            same = session.meta.instance_id and held.meta.instance_id == session.meta.instance_id
            if same and held.connected_at < session.connected_at:
                self._close([held], Ending.MOVED if self.asked_to_move(held.connection_id) else Ending.REPLACED)

    def remove(self, connection_id: str) -> None:
        """Forget a session; its stream has ended."""
        found = self._open.pop(connection_id, None)
        if found is None:
            return
        self._ended += 1
        self._ages.ended(connection_id)
        agent_id = found.session.identity.agent_id
        of_agent = self._by_agent[agent_id]
        del of_agent[connection_id]
        if not of_agent:
            del self._by_agent[agent_id]

    def list(self) -> tuple[Session, ...]:
        """Return the open sessions, oldest first."""
        return tuple(held.session for held in self._open.values())

    def of_agent(self, agent_id: int) -> tuple[Session, ...]:
        """Return the open sessions of one agent, oldest first; several pods, several sessions."""
        return tuple(self._by_agent.get(agent_id, {}).values())

    def beside(self, identity: AgentIdentity, instance_id: str) -> int:
        """Count the sessions that are open with the same token and would stay beside a new one."""
        return sum(
            held.identity.token_id == identity.token_id and not (instance_id and held.meta.instance_id == instance_id)
            for held in self._by_agent.get(identity.agent_id, {}).values()
        )

    def opened_by(self, identity: AgentIdentity) -> bool:
        """Tell whether a session is open that this identity's token has opened."""
        return self.beside(identity, "") > 0

    def asked_to_move(self, connection_id: str) -> bool:
        """Tell whether a session was asked to move, and so ends because of that."""
        return self._ages.asked(connection_id)

    def drain(self, period: float) -> None:
        """Let nobody in any more and have everybody move, spread over so many seconds."""
        self._draining = True
        self._ages.drain(self._clock(), period)

    def turn(self) -> None:
        """Ask those to move whose time has come, and end those who were asked long ago. To be called now and then."""
        due = self._ages.due(self._clock())
        for connection_id in due.move:
            self._open[connection_id].move()
        self._close([self._open[connection_id].session for connection_id in due.end], Ending.OLD)

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
            self._open[connection_id].end(ending)
        return len(connection_ids)
