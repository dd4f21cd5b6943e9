"""Who is connected to which replica, known to all of them.

Each replica tells the others who came and who left, and every second how many such changes it has told so far. Who has
counted another number, or is new, asks for the whole list. A replica that is silent for a few seconds is gone, and its
sessions with it: so one that was killed, or cut off from Redis, is not asked in vain for long.

Only who can hear may call another one silent. While Redis is away nobody is forgotten: what was known last is nearer to
the truth than that there is nobody else. Silence is counted in own beats that came back, not on the clock.
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from agentlink.capabilities import able_of
from agentlink.logs import get_logger
from agentlink.v1.agentlink_pb2 import AgentMeta
from kas.replicas.port import Gap
from kas.rpc.sessions import AgentIdentity, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kas.replicas.port import Bus, Heard

BEAT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 5.0
"""After so long without a word, in which others could be heard, a replica counts as gone."""

_ASK_SECONDS: Final = 2.0
_LIST_PART: Final = 500
_TOPIC: Final = "presence"

log = get_logger("replicas")


@dataclass(slots=True)
class _Replica:
    """What is known of another replica."""

    name: str = ""
    version: int = -1
    heard_at: int = 0
    asked_at: float = 0.0
    sessions: dict[str, Session] = field(default_factory=dict)
    coming: dict[str, Session] = field(default_factory=dict)


class Presence:
    """The sessions of the other replicas. ``added`` and ``removed`` tell them of ours.

    Args:
        bus: reaches them.
        name: what people call this replica.
        mine: returns the open sessions of this one.
        came: told of each session that begins elsewhere.
        clock: seconds.
    """

    def __init__(
        self,
        bus: Bus,
        name: str,
        mine: Callable[[], tuple[Session, ...]],
        *,
        came: Callable[[Session], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._name = name
        self._mine = mine
        self._came = came
        self._clock = clock
        self._version = 0
        self._replicas: dict[str, _Replica] = {}
        self._by_agent: dict[int, dict[str, tuple[str, Session]]] = {}
        self._unsure_until = -math.inf
        self.lost: list[Callable[[str], None]] = []
        """Called with the id of each replica that is no more."""

    @property
    def replicas(self) -> Mapping[str, str]:
        """The other replicas that can be reached: their names by id."""
        return {} if self._bus.trouble else {replica: known.name for replica, known in self._replicas.items()}

    def sessions(self) -> tuple[Session, ...]:
        """Return all sessions at other replicas."""
        return tuple(session for known in self._replicas.values() for session in known.sessions.values())

    def of_agent(self, agent_id: int) -> tuple[Session, ...]:
        """Return the sessions of one agent at other replicas."""
        return tuple(session for _, session in self._by_agent.get(agent_id, {}).values())

    def holders(self, agent_id: int) -> Mapping[str, str]:
        """Return the other replicas that an agent is connected to, in reach or not: their names by id."""
        held = (replica for replica, _ in self._by_agent.get(agent_id, {}).values())
        return {replica: self._replicas[replica].name for replica in held}

    @property
    def is_unsure(self) -> bool:
        """Whether an agent may be connected elsewhere though nothing is known of it.

        So it is while the others cannot be reached, for a moment after they could not, and until their lists are here.
        """
        return (
            bool(self._bus.trouble)
            or self._clock() < self._unsure_until
            or any(known.asked_at for known in self._replicas.values())
        )

    def added(self, session: Session) -> None:
        """Tell the others of a session that has begun here."""
        # What the same agentk had elsewhere is over, also where nobody can say so now.
        for replica, held in list(self._by_agent.get(session.identity.agent_id, {}).values()):
            if held.meta.instance_id and held.meta.instance_id == session.meta.instance_id:
                self._drop(self._replicas[replica], held.connection_id)
        self._version += 1
        self._say("add", sessions=[_told(session)])

    def removed(self, session: Session) -> None:
        """Tell the others that a session here has ended."""
        self._version += 1
        self._say("gone", connection=session.connection_id)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the others as long as the block runs, and tell them of its end."""
        with ExitStack() as stack:
            stack.enter_context(self._bus.listen(_TOPIC, self._heard))
            stack.callback(lambda: self._say("left"))
            yield

    async def run(self) -> NoReturn:
        """Tell the others that this one is there, and notice who is no more, for ever."""
        with self.listening():
            while True:
                self.turn()
                await asyncio.sleep(BEAT_SECONDS)

    def turn(self) -> None:
        """Say that this one is there; forget the silent."""
        self._say("beat")
        for replica, known in list(self._replicas.items()):
            if self._bus.beats - known.heard_at > SILENT_SECONDS:
                log.warning("A replica is no more", name=known.name, sessions=len(known.sessions))
                self._forget(replica)

    def _say(self, kind: str, *, to: str = "", **more: object) -> None:
        said = {"kind": kind, "name": self._name, "version": self._version, **more}
        self._bus.publish(_TOPIC, orjson.dumps(said), to=to)

    def _heard(self, heard: Heard) -> None:
        if isinstance(heard, Gap):
            # The numbers in the next beats tell whose changes were missed.
            self._unsure_until = self._clock() + SILENT_SECONDS
            return
        said = orjson.loads(heard.body)
        if said["kind"] == "left":
            self._forget(heard.sender)
            return
        known = self._replicas.setdefault(heard.sender, _Replica())
        known.heard_at = self._bus.beats
        known.name = said["name"]
        match said["kind"]:
            case "add" if said["version"] == known.version + 1:
                for told in said["sessions"]:
                    session = _session_of(told)
                    self._put(heard.sender, known, session)
                    self._came(session)
                known.version += 1
            case "gone" if said["version"] == known.version + 1:
                self._drop(known, said["connection"])
                known.version += 1
            case "ask":
                self._list(heard.sender)
            case "list":
                self._listed(heard.sender, known, said)
            case "beat" | "add" | "gone" if said["version"] != known.version:
                self._ask(heard.sender, known)
            case _:
                pass

    def _ask(self, replica: str, known: _Replica) -> None:
        if not known.asked_at or self._clock() - known.asked_at > _ASK_SECONDS:
            known.asked_at = self._clock()
            self._say("ask", to=replica)

    def _list(self, to: str) -> None:
        told = [_told(session) for session in self._mine()]
        parts = [told[start : start + _LIST_PART] for start in range(0, len(told), _LIST_PART)] or [[]]
        for number, part in enumerate(parts):
            self._say("list", to=to, part=number, last=number == len(parts) - 1, sessions=part)

    def _listed(self, replica: str, known: _Replica, said: dict[str, object]) -> None:
        """Take in a part of a list; a part that is lost shows in the next beat's number once more."""
        if said["part"] == 0:
            known.coming = {}
        sessions = said["sessions"]
        assert isinstance(sessions, list)  # noqa: S101 -- our own format
        for told in sessions:
            session = _session_of(told)
            known.coming[session.connection_id] = session
        if not said["last"]:
            return
        for connection_id in [held for held in known.sessions if held not in known.coming]:
            self._drop(known, connection_id)
        for session in known.coming.values():
            if session.connection_id not in known.sessions:
                self._put(replica, known, session)
                self._came(session)
        known.coming = {}
        known.version = int(str(said["version"]))
        known.asked_at = 0.0

    def _put(self, replica: str, known: _Replica, session: Session) -> None:
        known.sessions[session.connection_id] = session
        self._by_agent.setdefault(session.identity.agent_id, {})[session.connection_id] = (replica, session)

    def _drop(self, known: _Replica, connection_id: str) -> None:
        session = known.sessions.pop(connection_id, None)
        if session is not None:
            of_agent = self._by_agent[session.identity.agent_id]
            del of_agent[connection_id]
            if not of_agent:
                del self._by_agent[session.identity.agent_id]

    def _forget(self, replica: str) -> None:
        known = self._replicas.pop(replica, None)
        if known is None:
            return
        for connection_id in list(known.sessions):
            self._drop(known, connection_id)
        for lost in self.lost:
            lost(replica)


def _told(session: Session) -> dict[str, object]:
    identity = session.identity
    return {
        "id": session.connection_id,
        "agent": [identity.agent_id, identity.agent_name, identity.project, identity.token_id],
        "meta": base64.b64encode(session.meta.SerializeToString()).decode(),
        "at": session.connected_at.isoformat(),
        "transport": session.transport,
        "peer": session.peer,
        "able": sorted(session.able),
    }


def _session_of(told: dict[str, object]) -> Session:
    agent, able = told["agent"], told.get("able", [])
    assert isinstance(agent, list)  # noqa: S101 -- our own format
    assert isinstance(able, list)  # noqa: S101 -- as above
    return Session(
        connection_id=str(told["id"]),
        identity=AgentIdentity(*agent),
        meta=AgentMeta.FromString(base64.b64decode(str(told["meta"]))),
        connected_at=datetime.fromisoformat(str(told["at"])),
        transport=str(told["transport"]),
        peer=str(told["peer"]),
        able=able_of(able),
    )
