"""Where agents connect: gRPC on a port of its own, and gRPC in websockets on another.

Both lead to one gRPC server; the websockets reach it by a Unix socket that only this process's user can open. Why two
ports: docs/decisions/0001-agent-listener-ports.md.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError

from agentlink import limits, logs
from agentlink.newcomers import NewcomerLimits
from agentlink.tunnel_server import TunnelServer
from kas.doorkeeper import Doorkeeper
from kas.garbage import Garbage
from kas.rpc.admission import Admission, AdmissionLimits
from kas.rpc.ages import AGE_SECONDS, GRACE_SECONDS, Ages
from kas.rpc.auth import Authenticator
from kas.rpc.calls import bind
from kas.rpc.gitlab_agents import GitlabAgents
from kas.rpc.rates import RateLimits, Rates
from kas.rpc.service import AgentLinkService, SessionObserver, address_of
from kas.rpc.sessions import Sessions
from kas.store.errors import StoreError
from kas.tls import Certificate, CertificateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.doorkeeper import Door
    from kas.rpc.auth import Refusal, TokenStore
    from kas.rpc.service import Answers, Identifier, Publisher, ReportSink
    from kas.rpc.sessions import AgentIdentity
    from kas.tls import TlsFiles

STOP_SECONDS = 5.0
"""How long reports on their way in may take to be stored when kas stops."""

TURN_SECONDS = 0.25
"""How often it is looked whether sessions have to move; a look costs next to nothing."""

log = logs.get_logger("rpc")


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what gRPC logs of bytes that are no message: strangers could fill the log with its tracebacks."""
    return not (record.exc_info and isinstance(record.exc_info[1], DecodeError))


logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)


class ListenerError(Exception):
    """The listener cannot start. The text names the setting to look at."""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Where to listen. A port of 0 takes any free one, ``grpc_port`` of None leaves direct gRPC out.

    ``host`` is for websockets, ``grpc_host`` for direct gRPC; empty: the same. Sessions are asked to move when they are
    about ``age`` seconds old (0: never) and ended ``grace`` seconds later. When kas stops it asks all of them over
    ``drain`` seconds; 0 ends them at once.
    """

    host: str = "127.0.0.1"
    websocket_port: int = 8150
    grpc_port: int | None = 8152
    grpc_host: str = ""
    tls: TlsFiles | None = None
    age: float = AGE_SECONDS
    grace: float = GRACE_SECONDS
    drain: float = 0.0
    newcomers: NewcomerLimits = field(default_factory=NewcomerLimits)
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    rates: RateLimits = field(default_factory=RateLimits)


class ListenerObserver(SessionObserver, Protocol):
    """Who is told what happens on the listener, in order to record events. Must not block."""

    def on_refused(self, reason: Refusal, peer: str, agent_id: int | None) -> None:
        """Note that a caller was refused; ``agent_id`` is known when the token was an agent's once."""

    def on_gitlab_agent(self, identity: AgentIdentity, version: str) -> None:
        """Note that GitLab's agentk called with an agent's token; ``version`` is empty if it did not tell."""


class AgentListener:
    """The listener of one kas. ``sessions`` tells who is connected."""

    def __init__(
        self,
        settings: ListenerSettings,
        *,
        tokens: TokenStore,
        publisher: Publisher,
        sink: ReportSink,
        observer: ListenerObserver,
        identifier: Identifier | None = None,
        answers: Answers | None = None,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self._settings = settings
        self._doorkeeper = doorkeeper or Doorkeeper()
        self._identifier = identifier
        self._answers = answers
        self.sessions = Sessions(Ages(age=settings.age, grace=settings.grace))
        self.websocket_port = 0
        self.grpc_port = 0
        self._authenticator = Authenticator(tokens, observer.on_refused, in_use=self.sessions.opened_by)
        self._garbage = Garbage()
        self._publisher = publisher
        self._sink = sink
        self._observer = observer

    def token_revoked(self, token_id: int) -> None:
        """End what was opened with a token, and believe it no longer; call it after the store has revoked it."""
        self._authenticator.revoke(token_id)
        self.sessions.close_token(token_id)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take agents while the context lasts; leaving it tells them to go and waits for reports under way.

        Raises:
            ListenerError: a port or a certificate cannot be used.
        """
        settings = self._settings
        try:
            await self._authenticator.prepare()
        except StoreError as error:
            log.warning("The tokens that there are could not be read; agents come in all the same", why=str(error))
        certificate = _certificate(settings.tls)
        credentials = certificate.grpc_credentials() if certificate else None
        ssl_context = certificate.context if certificate else None
        async with AsyncExitStack() as stack:
            if certificate is not None:
                await stack.enter_async_context(certificate.following())
            directory = Path(tempfile.mkdtemp(prefix="kas-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            # At the websocket port only until TLS is agreed on: then the tunnel knows better, and answers politely.
            unseen = self._doorkeeper.door(settings.newcomers)
            direct = self._doorkeeper.door(settings.newcomers, weighs=True)
            tunnel = TunnelServer(directory / "grpc", settings.newcomers, accepted=unseen.let_in)
            server = grpc.aio.server(options=limits.server_options())
            service = self._service(tunnel, direct)
            bind(service, server)
            server.add_generic_rpc_handlers((GitlabAgents(service, self._observer.on_gitlab_agent),))
            self._bind(server, directory / "grpc", credentials)
            await server.start()
            stack.push_async_callback(server.stop, None)
            try:
                await stack.enter_async_context(tunnel.listening(settings.host, settings.websocket_port, ssl_context))
            except OSError as error:
                address = _at(settings.host, settings.websocket_port)
                raise ListenerError(f"the agents' websocket listener cannot listen on {address}: {error}") from error
            self.websocket_port = tunnel.port
            self._doorkeeper.open(unseen, self.websocket_port)
            self._doorkeeper.open(direct, self.grpc_port)
            stack.push_async_callback(self._send_away, server)
            await stack.enter_async_context(self._turning(tunnel))
            self._log_addresses()
            yield

    def _service(self, tunnel: TunnelServer, direct: Door) -> AgentLinkService:
        def let_in(grpc_peer: str, brought: int) -> None:
            if not tunnel.let_in(grpc_peer, brought):
                direct.let_in(address_of(grpc_peer), brought)

        def refused(grpc_peer: str) -> None:
            if tunnel.peer_of(grpc_peer):
                tunnel.refused(grpc_peer)
            else:
                direct.refused(address_of(grpc_peer))

        return AgentLinkService(
            authenticator=self._authenticator,
            sessions=self.sessions,
            publisher=self._publisher,
            sink=self._sink,
            observer=self._observer,
            tunnel_peer=tunnel.peer_of,
            let_in=let_in,
            refused=refused,
            identifier=self._identifier,
            answers=self._answers,
            admission=Admission(self._settings.admission),
            rates=Rates(self._settings.rates),
        )

    @asynccontextmanager
    async def _turning(self, tunnel: TunnelServer) -> AsyncIterator[None]:
        """Have sessions move while the context lasts, and all of them when it is left."""
        async with asyncio.TaskGroup() as group:
            turning = group.create_task(self._turn(tunnel))
            try:
                yield
            finally:
                turning.cancel()
        await self._drain()

    async def _turn(self, tunnel: TunnelServer) -> NoReturn:
        while True:
            self.sessions.turn()
            tunnel.turn()
            self._doorkeeper.turn()
            self._garbage.turn(len(self.sessions), self.sessions.ended)
            await asyncio.sleep(TURN_SECONDS)

    async def _drain(self) -> None:
        """Wait until nobody is left, or the time is over: other replicas take them in."""
        if not self._settings.drain or not len(self.sessions):
            return
        log.info("Agents are asked to move", sessions=len(self.sessions), seconds=self._settings.drain)
        self.sessions.drain(self._settings.drain)
        end = time.monotonic() + self._settings.drain
        while len(self.sessions) and time.monotonic() < end:
            self.sessions.turn()
            await asyncio.sleep(TURN_SECONDS)

    def _log_addresses(self) -> None:
        secure = "s" if self._settings.tls else ""
        settings = self._settings
        addresses = [f"ws{secure}://{_at(settings.host, self.websocket_port)}"]
        if self.grpc_port:
            addresses.append(f"grpc{secure}://{_at(settings.grpc_host or settings.host, self.grpc_port)}")
        log.info("Listening for agents", addresses=addresses)

    async def _send_away(self, server: grpc.aio.Server) -> None:
        async with asyncio.TaskGroup() as group:
            # First no new calls, then an end for those that would never end by themselves.
            stopping = group.create_task(server.stop(STOP_SECONDS))
            while not stopping.done():
                self.sessions.close_all()
                await asyncio.wait([stopping], timeout=0.1)

    def _bind(self, server: grpc.aio.Server, socket_path: Path, credentials: grpc.ServerCredentials | None) -> None:
        settings = self._settings
        try:
            server.add_insecure_port(f"unix:{socket_path}")
        except RuntimeError as error:
            raise ListenerError(
                f"no private socket can be made at {socket_path}: set TMPDIR to a writable directory with a short name"
            ) from error
        if settings.grpc_port is None:
            return
        address = _at(settings.grpc_host or settings.host, settings.grpc_port)
        try:
            self.grpc_port = (
                server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise ListenerError(
                f"the agents' gRPC listener cannot listen on {address}: is another kas running, or the port taken?"
            ) from error


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certificate(files: TlsFiles | None) -> Certificate | None:
    try:
        return Certificate(files) if files else None
    except CertificateError as error:
        raise ListenerError(f"the agents' listener {error}") from error
