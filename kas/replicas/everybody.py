"""The sessions of all replicas as one, and what ends them wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from kas.replicas.port import Gap
from kas.replicas.presence import Presence

if TYPE_CHECKING:
    from kas.replicas.port import Bus, Heard
    from kas.rpc.auth import Refusal
    from kas.rpc.listener import AgentListener, ListenerObserver
    from kas.rpc.revocations import Doubts
    from kas.rpc.sessions import AgentIdentity, Session

_TOPIC: Final = "ended"


class Observing:
    """A ``ListenerObserver`` that tells the others of who comes and goes, besides recording it."""

    def __init__(self, record: ListenerObserver) -> None:
        self._record = record
        self.presence: Presence | None = None

    def on_connected(self, session: Session) -> None:
        """See ``SessionObserver``."""
        if self.presence is not None:
            self.presence.added(session)
        self._record.on_connected(session)

    def on_disconnected(self, session: Session, reason: str) -> None:
        """See ``SessionObserver``."""
        if self.presence is not None:
            self.presence.removed(session)
        self._record.on_disconnected(session, reason)

    def on_refused(self, reason: Refusal, peer: str, agent_id: int | None) -> None:
        """See ``ListenerObserver``."""
        self._record.on_refused(reason, peer, agent_id)

    def on_gitlab_agent(self, identity: AgentIdentity, version: str) -> None:
        """See ``ListenerObserver``."""
        self._record.on_gitlab_agent(identity, version)


class Everybody:
    """Who is connected to any replica, and the end of tokens and agents at all of them.

    That something has ended is believed of nobody: what others say of it is put among the ``doubts``.
    """

    def __init__(self, listener: AgentListener, bus: Bus, name: str, observing: Observing, doubts: Doubts) -> None:
        self._listener = listener
        self._bus = bus
        self._mine = listener.sessions
        self._doubts = doubts
        self.presence = Presence(bus, name, self._mine.list, came=self._came)
        observing.presence = self.presence

    def list(self) -> tuple[Session, ...]:
        """Return the open sessions of all replicas, this one's first."""
        return self._mine.list() + self.presence.sessions()

    def of_agent(self, agent_id: int) -> tuple[Session, ...]:
        """Return the open sessions of one agent, wherever they are."""
        return self._mine.of_agent(agent_id) + self.presence.of_agent(agent_id)

    def token_revoked(self, token_id: int) -> None:
        """End what was opened with a token, everywhere; call it after the store has revoked it."""
        self._listener.token_revoked(token_id)
        self._tell("token", token_id)

    def close_token(self, token_id: int) -> int:
        """End the sessions of a token that is now revoked; return how many."""
        elsewhere = sum(session.identity.token_id == token_id for session in self.presence.sessions())
        return self._mine.close_token(token_id) + elsewhere

    def close_agent(self, agent_id: int) -> int:
        """End the sessions of an agent that was removed; return how many."""
        elsewhere = len(self.presence.of_agent(agent_id))
        self._tell("agent", agent_id)
        return self._mine.close_agent(agent_id) + elsewhere

    async def run(self) -> NoReturn:
        """Tell the others of this replica, and hear what ended at theirs, for ever."""
        with self._bus.listen(_TOPIC, self._heard):
            await self.presence.run()

    def _tell(self, what: str, number: int) -> None:
        self._bus.publish(_TOPIC, orjson.dumps({what: number}))

    def _heard(self, heard: Heard) -> None:
        # Whatever is in a gap, kas.rpc.revocations finds: it looks at the store every other second.
        if isinstance(heard, Gap):
            return
        said = orjson.loads(heard.body)
        if "token" in said:
            self._doubts.add(said["token"])
        elif "agent" in said:
            for session in self._mine.of_agent(said["agent"]):
                self._doubts.add(session.identity.token_id)

    def _came(self, session: Session) -> None:
        """End what an agentk left behind here that has since connected elsewhere."""
        self._mine.connected_elsewhere(session)
