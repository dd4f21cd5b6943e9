"""The AgentLink service: lets agents in, hands each stream to the publisher and each report to the sink.

Everything that can go wrong becomes one of two answers: UNAVAILABLE, after which an agent tries again by itself, or a
status that names what a person has to change.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol
from urllib.parse import unquote

import grpc

from agentlink import limits, logs
from agentlink.callers import with_port
from agentlink.capabilities import able_of
from agentlink.metadata import AUTHORIZATION, REMOVED, RETRY_AFTER
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from kas.rpc.admission import Admission, AdmissionLimits, BusyError
from kas.rpc.auth import RefusedError
from kas.rpc.rates import TOO_MUCH, RateLimits, Rates
from kas.rpc.sessions import Ending, Session
from kas.rpc.streams import abort, announce, is_lost, listen, read_hello
from kas.rpc.writer import Writer
from kas.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kas.rpc.auth import Authenticator
    from kas.rpc.sessions import AgentIdentity, Sessions
    from kas.rush import Rush

    ConnectContext = grpc.aio.ServicerContext[wire.AgentMessage, wire.KasMessage]
    ReportContext = grpc.aio.ServicerContext[wire.ReportRequest, wire.ReportResponse]
    IdentifyContext = grpc.aio.ServicerContext[wire.IdentifyRequest, wire.IdentifyResponse]
    AnswerContext = grpc.aio.ServicerContext[wire.AnswerRequest, wire.AnswerResponse]
    AnyContext = ConnectContext | ReportContext | IdentifyContext | AnswerContext

_STATUS = {
    Ending.REVOKED: grpc.StatusCode.UNAUTHENTICATED,
    Ending.REMOVED: grpc.StatusCode.UNAUTHENTICATED,
    Ending.REPLACED: grpc.StatusCode.ABORTED,
    Ending.MOVED: grpc.StatusCode.ABORTED,
    Ending.OLD: grpc.StatusCode.UNAVAILABLE,
    Ending.STOPPING: grpc.StatusCode.UNAVAILABLE,
}

log = logs.get_logger("rpc")


class Stream(Protocol):
    """What an agent is to be sent. Must not block."""

    def take(self) -> wire.KasMessage | None:
        """Return the next message, None while there is none."""

    def close(self) -> None:
        """End it; what it has begun in its group of tasks ends with that."""


class Publisher(Protocol):
    """What produces agents' streams; ``kas.gitops.publisher.Publisher`` is one."""

    @property
    def rush(self) -> Rush:
        """What is told all agents just now; reports wait for it."""

    def open(
        self, identity: AgentIdentity, hello: wire.Hello, tasks: asyncio.TaskGroup, ready: Callable[[], None]
    ) -> Stream:
        """Begin an agent's stream.

        Args:
            identity: the agent.
            hello: what it has said.
            tasks: where the stream has its work done; an error there ends the connection.
            ready: to be called when there is a message to take; does not block.
        """


class ReportSink(Protocol):
    """What stores reports."""

    async def store(self, identity: AgentIdentity, request: wire.ReportRequest) -> None:
        """Return when all of the batch is on disk; storing it again changes nothing."""


class Identifier(Protocol):
    """What tells how an agent's configuration stands; ``kas.gitops.identify.Identifier`` is one."""

    async def configuration(self, identity: AgentIdentity) -> wire.ConfigurationState | None:
        """Return how the newest configuration stands; None where that is not known in time."""


class AnswerRefusedError(Exception):
    """A part of an answer is not wanted. ``too_much``: the whole answer is larger than anybody would read."""

    def __init__(self, message: str, *, too_much: bool = False) -> None:
        super().__init__(message)
        self.too_much = too_much


class Answers(Protocol):
    """Who waits for what agents answer to commands; ``kas.gitops.commands.LocalCommands`` is one."""

    async def answer(self, agent_id: int, answerer: str, request: wire.AnswerRequest) -> None:
        """Take a part of an answer of an agent, or raise AnswerRefusedError. ``answerer`` tells its replicas apart."""


class SessionObserver(Protocol):
    """Who is told of sessions, in order to record events. Must not block: hand over and return."""

    def on_connected(self, session: Session) -> None:
        """Note that an agent is connected; called before its stream begins."""

    def on_disconnected(self, session: Session, reason: str) -> None:
        """Note that its stream has ended; ``reason`` is for people."""


class Peer(NamedTuple):
    """Where a call comes from. ``transport`` is ``websocket`` or ``grpc``; ``host`` is the address without the port."""

    transport: str
    address: str
    host: str


class AgentLinkService(agentlink_pb2_grpc.AgentLinkServicer):
    """Serves agents.

    ``tunnel_peer`` gives the websocket's address for a gRPC peer that came through the tunnel. ``let_in`` is told every
    gRPC peer that has shown a good token, and the bytes of each message that it brought; ``refused``, who has not.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        sessions: Sessions,
        publisher: Publisher,
        sink: ReportSink,
        observer: SessionObserver,
        tunnel_peer: Callable[[str], str | None],
        identifier: Identifier | None = None,
        answers: Answers | None = None,
        admission: Admission | None = None,
        rates: Rates | None = None,
        let_in: Callable[[str, int], None] = lambda _peer, _brought: None,
        refused: Callable[[str], None] = lambda _peer: None,
    ) -> None:
        self._admission = admission or Admission(AdmissionLimits())
        self._rates = rates or Rates(RateLimits())
        self._let_in = let_in
        self._refused = refused
        self._authenticator = authenticator
        self._sessions = sessions
        self._publisher = publisher
        self._sink = sink
        self._observer = observer
        self._tunnel_peer = tunnel_peer
        self._identifier = identifier
        self._answers = answers

    async def enter(self, context: AnyContext) -> AgentIdentity:
        """Return whose token the caller has shown, or abort the call."""
        return await self._authenticate(context, self._peer(context.peer()))

    def took(self, context: AnyContext, size: int) -> None:
        """Note that a message of so many bytes has come."""
        self._let_in(context.peer(), size)

    # The generated base knows generators only; writing by the context is what lets a stream be interrupted while it
    # waits for its reader.
    async def Connect(  # type: ignore[override] # noqa: N802 - named by the wire contract
        self, request_iterator: AsyncIterator[wire.AgentMessage], context: ConnectContext
    ) -> None:
        """Serve one agent's stream until either side ends it."""
        peer = self._peer(context.peer())
        identity = await self._authenticate(context, peer)
        hello = await read_hello(request_iterator, context)
        await self._admit(identity, hello, context)
        session = Session(
            connection_id=uuid.uuid4().hex,
            identity=identity,
            meta=hello.meta,
            connected_at=datetime.now(UTC),
            transport=peer.transport,
            peer=peer.address,
            able=able_of(hello.capabilities),
        )
        ending = await self._stream(session, hello, request_iterator, context)
        if ending is not None:
            trailing = ((REMOVED, "1"),) if ending is Ending.REMOVED else ()
            await context.abort(_STATUS[ending], ending.value, trailing)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "kas ended this stream because of an error; connect again")

    async def Report(  # noqa: N802 - named by the wire contract
        self, request: wire.ReportRequest, context: ReportContext
    ) -> wire.ReportResponse:
        """Store one batch of reports."""
        peer = self._peer(context.peer())
        identity = await self._authenticate(context, peer)
        if wait := self._rates.take(identity.token_id, request.ByteSize()):
            await _abort_busy(context, BusyError(TOO_MUCH, wait))
        outcomes = sum(len(report.outcomes.outcomes) for report in request.reports)
        if len(request.reports) > limits.REPORTS_PER_BATCH or outcomes > limits.OUTCOMES_PER_BATCH:
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{len(request.reports)} reports with {outcomes} outcomes in one batch: send at most "
                f"{limits.REPORTS_PER_BATCH} and {limits.OUTCOMES_PER_BATCH}",
            )
        if await self._publisher.rush.over():
            # The token may have been revoked meanwhile.
            identity = await self._authenticate(context, peer)
        if not await self._store(identity, request):
            await abort(context, grpc.StatusCode.UNAVAILABLE, "the reports could not be stored; send them again")
        return wire.ReportResponse()

    async def Identify(  # noqa: N802 - named by the wire contract
        self, request: wire.IdentifyRequest, context: IdentifyContext
    ) -> wire.IdentifyResponse:
        """Say whom kas takes the caller for."""
        del request
        identity = await self._authenticate(context, self._peer(context.peer()))
        configuration = None
        if self._identifier is not None:
            try:
                configuration = await self._identifier.configuration(identity)
            except Exception:
                log.exception("The configuration could not be looked at", agent_id=identity.agent_id)
        return wire.IdentifyResponse(
            agent_id=identity.agent_id,
            agent_name=identity.agent_name,
            project=identity.project,
            configuration=configuration,
        )

    async def Answer(  # noqa: N802 - named by the wire contract
        self, request: wire.AnswerRequest, context: AnswerContext
    ) -> wire.AnswerResponse:
        """Take a part of the answer to a command."""
        identity = await self._authenticate(context, self._peer(context.peer()))
        if self._answers is None:
            await abort(context, grpc.StatusCode.NOT_FOUND, "nobody waits for the answer to this command")
        try:
            # A replica answers over the connection that its stream has, which so tells it from the others.
            await self._answers.answer(identity.agent_id, context.peer(), request)
        except AnswerRefusedError as error:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED if error.too_much else grpc.StatusCode.NOT_FOUND
            await abort(context, code, str(error))
        return wire.AnswerResponse()

    async def _store(self, identity: AgentIdentity, request: wire.ReportRequest) -> bool:
        try:
            await self._sink.store(identity, request)
        except StoreError as error:
            log.warning("Reports could not be stored", agent_id=identity.agent_id, error=error)
        except Exception:
            log.exception("Reports could not be stored", agent_id=identity.agent_id)
        else:
            return True
        return False

    async def _authenticate(self, context: AnyContext, peer: Peer) -> AgentIdentity:
        metadata = context.invocation_metadata() or ()
        authorization = next((value for key, value in metadata if key == AUTHORIZATION), None)
        text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
        try:
            identity = await self._authenticator.authenticate(text, peer.host)
        except RefusedError as error:
            self._refused(context.peer())
            code = grpc.StatusCode.RESOURCE_EXHAUSTED if error.limited else grpc.StatusCode.UNAUTHENTICATED
            slower = "; too many attempts were refused, try less often" if error.limited else ""
            await abort(context, code, f"{error}{slower}")
        except StoreError as error:
            log.warning("A token could not be checked", error=error)
            await abort(context, grpc.StatusCode.UNAVAILABLE, "the token cannot be checked now; try again")
        except BusyError as error:
            self._refused(context.peer())
            await _abort_busy(context, error)
        self._let_in(context.peer(), 0)
        return identity

    async def _admit(self, identity: AgentIdentity, hello: wire.Hello, context: ConnectContext) -> None:
        if self._sessions.draining:
            await abort(context, grpc.StatusCode.UNAVAILABLE, "this kas is stopping: another one takes agents in")
        try:
            self._admission.enter(self._sessions.beside(identity, hello.meta.instance_id))
        except BusyError as error:
            log.debug("An agent has to wait", agent_id=identity.agent_id, why=str(error), seconds=error.retry_after)
            await _abort_busy(context, error)

    async def _stream(
        self,
        session: Session,
        hello: wire.Hello,
        request_iterator: AsyncIterator[wire.AgentMessage],
        context: ConnectContext,
    ) -> Ending | None:
        """Send the publisher's messages; return why kas ended the session, None after an error."""
        endings: list[Ending] = []
        reason = "the connection was lost"
        try:
            async with asyncio.timeout(None) as scope, asyncio.TaskGroup() as tasks:

                def end(ending: Ending) -> None:
                    if not endings:
                        endings.append(ending)
                        # A deadline that has passed interrupts whatever the stream waits for, a slow reader too.
                        scope.reschedule(0)

                writer = Writer(self._publisher.rush, context, tasks)
                self._sessions.add(session, end, writer.ask_to_move)
                self._observer.on_connected(session)
                log.info("Agent connected", **_fields(session))
                try:
                    if self._authenticator.is_revoked(session.identity.token_id):
                        end(Ending.REVOKED)
                    stream = self._publisher.open(session.identity, hello, tasks, writer.wake)
                    try:
                        await announce(session, context)
                        writer.begin(stream.take)
                        await listen(request_iterator)
                    finally:
                        stream.close()
                finally:
                    if self._sessions.asked_to_move(session.connection_id):
                        reason = Ending.MOVED.value
                    self._sessions.remove(session.connection_id)
        except Exception as error:
            if endings:
                reason = endings[0].value
            elif not is_lost(error):
                reason = "an error in kas"
                log.exception("An agent's stream failed", **_fields(session))
        finally:
            self._observer.on_disconnected(session, reason)
            log.info("Agent disconnected", reason=reason, **_fields(session))
        return endings[0] if endings else None

    def _peer(self, grpc_peer: str) -> Peer:
        through_tunnel = self._tunnel_peer(grpc_peer)
        address = through_tunnel or address_of(grpc_peer)
        return Peer("websocket" if through_tunnel else "grpc", address, address.rpartition(":")[0] or address)


def address_of(grpc_peer: str) -> str:
    """Return the address of a peer as gRPC gives it, with the port."""
    host, _, port = unquote(grpc_peer).partition(":")[2].rpartition(":")
    return with_port(host, int(port)) if port.isdecimal() else grpc_peer


async def _abort_busy(context: AnyContext, error: BusyError) -> NoReturn:
    await context.abort(
        grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), ((RETRY_AFTER, str(round(error.retry_after * 1000))),)
    )
    raise AssertionError("abort raises")


def _fields(session: Session) -> dict[str, object]:
    return {
        "agent_id": session.identity.agent_id,
        "agent_name": session.identity.agent_name,
        "connection_id": session.connection_id,
        "transport": session.transport,
        "peer": session.peer,
        "version": session.meta.version,
    }
