"""Who connected, who left, and who was refused, as events; refusals are lines of the audit log too.

The listener must not wait for the store, so they queue. How often a caller's refusals are told is bounded before.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from kas.reports.event_ids import new_event_id
from kas.reports.feed import EventAdded
from kas.reports.quota import EventRoom
from kas.reports.texts import SENTENCE, inert
from kas.rpc.auth import Refusal
from kas.rpc.gitlab_agents import advice
from kas.store.errors import NotFound, StoreError
from kas.store.patience import when_available
from kas.store.records import Actor, EventRecord
from kas.store.times import utc_now

if TYPE_CHECKING:
    from kas.reports.feed import Feed
    from kas.rpc.sessions import AgentIdentity, Session
    from kas.store.store import Store

WAITING: Final = 10_000
"""Events that wait while the store is away; more are dropped, since logs have them too."""

KEPT: Final = 1_000
"""Events of an agent that are kept, unless said otherwise."""

_AT_ONCE: Final = 200
"""Events that are written together, when thousands of agents come at once."""

log = get_logger("reports")

_REFUSED: Final = {
    Refusal.MISSING: "an agent was refused: it sent no token",
    Refusal.MALFORMED: "an agent was refused: what it sent is not a token",
    Refusal.WRONG_KIND: "an agent was refused: it sent a token of kas' API, which is for people; revoke that token "
    "(`kas api-token revoke`) and give the agent one of its own (`kas token create`)",
    Refusal.UNKNOWN: "an agent was refused: its token is not known here",
    Refusal.REVOKED: "the agent was refused: its token was revoked; give it a new one (`kas token create`)",
}


@dataclass(frozen=True, slots=True)
class _Refused:
    """A caller that was not let in, for the audit log."""

    why: str
    peer: str
    agent_id: int | None


class SessionEvents:
    """Records what the agent listener sees; ``run`` it as a part of the program."""

    def __init__(self, store: Store, feed: Feed, *, keep: int = KEPT) -> None:
        """Store into ``store`` and tell ``feed``; about ``keep`` of the newest of each agent stay."""
        self._store = store
        self._feed = feed
        self._room = EventRoom(store, keep)
        self._waiting: asyncio.Queue[EventRecord | _Refused] = asyncio.Queue(WAITING)

    def on_connected(self, session: Session) -> None:
        """Note that an agent is connected."""
        meta = session.meta
        message = f"connected by {session.transport} from {session.peer}, agentk {meta.version or 'of no version'}"
        self._add("Connected", message, session.identity.agent_id)

    def on_disconnected(self, session: Session, reason: str) -> None:
        """Note that its stream has ended."""
        self._add("Disconnected", f"disconnected: {reason}", session.identity.agent_id)

    def on_refused(self, reason: Refusal, peer: str, agent_id: int | None) -> None:
        """Note that a caller was refused."""
        why = _REFUSED[reason]
        self._add(reason.value, f"{why} (from {peer})", agent_id, warning=True)
        self._put(_Refused(why, peer, agent_id))

    def on_gitlab_agent(self, identity: AgentIdentity, version: str) -> None:
        """Note that GitLab's agentk called with an agent's token."""
        self._add("GitlabAgentRefused", advice(version), identity.agent_id, warning=True)

    async def run(self) -> None:
        """Store what was noted, for ever."""
        while True:
            noted = [await self._waiting.get()]
            while not self._waiting.empty() and len(noted) < _AT_ONCE:
                noted.append(self._waiting.get_nowait())
            async with asyncio.TaskGroup() as group:
                for one in noted:  # in this order they reach the store, which writes them together
                    group.create_task(self._try_to_keep(one))

    async def _try_to_keep(self, noted: EventRecord | _Refused) -> None:
        try:
            await when_available(functools.partial(self._keep, noted), what="an event")
        except StoreError as error:
            log.warning("An event could not be stored", why=str(error))

    async def _keep(self, noted: EventRecord | _Refused) -> None:
        if isinstance(noted, _Refused):
            await self._keep_refusal(noted)
            return
        await self._room.come(noted.agent_id, None, 1)
        if (added := await self._store.events.add(noted)) is not None:
            self._feed.publish([EventAdded(added)])

    async def _keep_refusal(self, refused: _Refused) -> None:
        project, subject = "", "the agent listener"
        if refused.agent_id is not None:
            with suppress(NotFound):  # deleted since
                agent = await self._store.agents.get(refused.agent_id)
                project, subject = agent.project, f"agent {agent.project}:{agent.name} (id {agent.id})"
        by = Actor("", None, refused.peer)
        await self._store.audit.refused(by, "agent.connect", project=project, subject=subject, reason=refused.why)

    def _add(self, reason: str, message: str, agent_id: int | None, *, warning: bool = False) -> None:
        event = EventRecord(
            id=new_event_id(),
            at=utc_now(),
            source="kas",
            type="Warning" if warning else "Normal",
            reason=reason,
            message=inert(message, SENTENCE),
            agent_id=agent_id,
        )
        self._put(event)

    def _put(self, noted: EventRecord | _Refused) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(noted)
