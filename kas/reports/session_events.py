"""Who connected, who left, and who was refused, as events. The listener must not wait for the store, so they queue."""

from __future__ import annotations

import asyncio
import functools
import uuid
from typing import TYPE_CHECKING, Final

from agentlink.logs import get_logger
from kas.reports.feed import EventAdded
from kas.reports.texts import SENTENCE, inert
from kas.store.errors import StoreError
from kas.store.patience import when_available
from kas.store.records import EventRecord
from kas.store.times import utc_now

if TYPE_CHECKING:
    from kas.reports.feed import Feed
    from kas.rpc.auth import Refusal
    from kas.rpc.sessions import Session
    from kas.store.store import Store

WAITING: Final = 10_000
"""Events that wait while the store is away; more are dropped, since logs have them too."""

log = get_logger("reports")

_REFUSED: Final = {
    "TokenMissing": "an agent was refused: it sent no token",
    "TokenMalformed": "an agent was refused: what it sent is not a token",
    "TokenUnknown": "an agent was refused: its token is not known here",
    "TokenRevoked": "the agent was refused: its token was revoked; give it a new one (`kas token create`)",
}


class SessionEvents:
    """Records what the agent listener sees; ``run`` it as a part of the program."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._waiting: asyncio.Queue[EventRecord] = asyncio.Queue(WAITING)

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
        self._add(reason.value, f"{_REFUSED[reason.value]} (from {peer})", agent_id, warning=True)

    async def run(self) -> None:
        """Store what was noted, for ever."""
        while True:
            event = await self._waiting.get()
            try:
                added = await when_available(functools.partial(self._store.events.add, event), what="an event")
            except StoreError as error:
                log.warning("An event could not be stored", reason=event.reason, why=str(error))
                continue
            if added is not None:
                self._feed.publish([EventAdded(added)])

    def _add(self, reason: str, message: str, agent_id: int | None, *, warning: bool = False) -> None:
        event = EventRecord(
            id=uuid.uuid4().hex,
            at=utc_now(),
            source="kas",
            type="Warning" if warning else "Normal",
            reason=reason,
            message=inert(message, SENTENCE),
            agent_id=agent_id,
        )
        if not self._waiting.full():
            self._waiting.put_nowait(event)
