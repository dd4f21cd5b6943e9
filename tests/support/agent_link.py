"""A real agent listener over a real store, and real links to it; what kas would send is put in by the test."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentk.gitops.link import Link
from agentlink.address import parse_kas_address
from agentlink.capabilities import CAPABILITIES
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.auth import new_agent_token
from kas.rpc.listener import AgentListener, ListenerSettings
from kas.rpc.service import AnswerRefusedError
from kas.rush import Rush
from kas.store.errors import NotFound
from kas.store.store import Store
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from kas.rpc.auth import Refusal
    from kas.rpc.sessions import AgentIdentity, Session
    from kas.tls import TlsFiles


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, what="the state of link and listener")


class Sent:
    """The stream of one connection: what the test puts in for its agent, whichever connection comes first for it."""

    def __init__(self, kas: Kas, name: str, ready: Callable[[], None]) -> None:
        self._kas = kas
        self._name = name
        self.ready = ready
        kas.streams.append(self)

    def take(self) -> wire.KasMessage | None:
        waiting = self._kas.waiting.get(self._name)
        if not waiting:
            return None
        self._kas.taken += 1
        return waiting.popleft()

    def close(self) -> None:
        self._kas.streams.remove(self)


@dataclass
class Kas:
    """Everything the listener asks for, and what it was told."""

    settings: ListenerSettings
    database: Store
    hellos: list[tuple[AgentIdentity, wire.Hello]] = field(default_factory=list)
    streams: list[Sent] = field(default_factory=list)
    waiting: dict[str, deque[wire.KasMessage]] = field(default_factory=dict)
    stored: list[tuple[AgentIdentity, wire.ReportRequest]] = field(default_factory=list)
    store_error: Exception | None = None
    connected: list[Session] = field(default_factory=list)
    disconnected: list[tuple[Session, str]] = field(default_factory=list)
    refused: list[tuple[Refusal, int | None]] = field(default_factory=list)
    of_gitlab: list[tuple[AgentIdentity, str]] = field(default_factory=list)
    taken: int = 0
    answers: list[wire.AnswerRequest] = field(default_factory=list)
    may_store: asyncio.Event = field(default_factory=asyncio.Event)
    storing: int = 0
    rush: Rush = field(default_factory=Rush)

    def __post_init__(self) -> None:
        self.may_store.set()
        self.listener = AgentListener(
            self.settings, tokens=self.database.tokens, publisher=self, sink=self, observer=self, answers=self
        )

    async def register(self, name: str = "my-agent") -> tuple[str, int]:
        """Give a new token of an agent, which is made when it is new: the secret and the token's id."""
        agents = self.database.agents
        try:
            agent = await agents.find("group/config", name)
        except NotFound:
            agent = await agents.create("group/config", name)
        secret, token_hash = new_agent_token()
        token = await self.database.tokens.create(agent.id, "t", "", token_hash)
        return secret, token.id

    async def revoke(self, token_id: int) -> None:
        await self.database.tokens.revoke(token_id)
        self.listener.token_revoked(token_id)

    def open(
        self, identity: AgentIdentity, hello: wire.Hello, tasks: asyncio.TaskGroup, ready: Callable[[], None]
    ) -> Sent:
        assert tasks
        self.hellos.append((identity, hello))
        return Sent(self, identity.agent_name, ready)

    async def store(self, identity: AgentIdentity, request: wire.ReportRequest) -> None:
        if self.store_error is not None:
            raise self.store_error
        self.storing += 1
        try:
            await self.may_store.wait()
        finally:
            self.storing -= 1
        self.stored.append((identity, request))

    async def answer(self, agent_id: int, answerer: str, request: wire.AnswerRequest) -> None:
        assert agent_id, answerer
        if not request.command_id:
            raise AnswerRefusedError("nobody waits for the answer to this command")
        self.answers.append(request)

    def on_connected(self, session: Session) -> None:
        self.connected.append(session)

    def on_disconnected(self, session: Session, reason: str) -> None:
        self.disconnected.append((session, reason))

    def on_refused(self, reason: Refusal, peer: str, agent_id: int | None) -> None:
        assert peer == "127.0.0.1"
        self.refused.append((reason, agent_id))

    def on_gitlab_agent(self, identity: AgentIdentity, version: str) -> None:
        self.of_gitlab.append((identity, version))

    def send(self, message: wire.KasMessage, name: str = "my-agent") -> None:
        self.waiting.setdefault(name, deque()).append(message)
        for stream in self.streams:
            stream.ready()

    def url(self, transport: str) -> str:
        secure = "s" if self.settings.tls else ""
        port = self.listener.websocket_port if transport == "ws" else self.listener.grpc_port
        return f"{transport}{secure}://localhost:{port}"


@asynccontextmanager
async def running(settings: ListenerSettings, folder: Path) -> AsyncIterator[Kas]:
    """Run a listener; several in one folder share its database."""
    database = await Store.open(f"sqlite:///{folder}/kas.db")
    try:
        kas = Kas(settings, database)
        async with kas.listener.listening():
            yield kas
    finally:
        await database.close()


@dataclass
class Agent:
    """A link and what it received."""

    link: Link
    task: asyncio.Task[None]
    received: list[wire.KasMessage]


@asynccontextmanager
async def agent(
    url: str,
    secret: str,
    *,
    instance_id: str = "instance",
    ca: Path | None = None,
    consume: Callable[[wire.KasMessage], Awaitable[None]] | None = None,
    token: Callable[[], str] | None = None,
) -> AsyncIterator[Agent]:
    received: list[wire.KasMessage] = []

    async def keep(message: wire.KasMessage) -> None:
        received.append(message)

    link = Link(
        parse_kas_address(url),
        token=token or (lambda: secret),
        hello=lambda: wire.Hello(
            meta=wire.AgentMeta(version="1.0", instance_id=instance_id), capabilities=CAPABILITIES
        ),
        ca_cert_file=ca,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run(consume or keep))
        try:
            yield Agent(link, task, received)
        finally:
            task.cancel()


@dataclass(frozen=True)
class Authority:
    certificate: Path
    server: TlsFiles
