"""Binds the service to a gRPC server, so that who calls is known before the message of a call is read.

The generated binding reads a whole message first, of 4 MiB if the caller likes, and waits for it for ever. On the wire
a call with one message is a stream of one, so kas takes it as a stream: it looks at the token, then reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError

from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.streams import abort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from google.protobuf.message import Message

    from kas.rpc.service import AgentLinkService
    from kas.rpc.sessions import AgentIdentity

    Context = grpc.aio.ServicerContext[Any, Any]

Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response", bound="Message")

MESSAGE_SECONDS: Final = 60.0
"""How long a message may take to arrive; agents give a call up after 30 s."""

_CALL_BYTES: Final = 512
"""What a call is besides its message, at most in ordinary cases."""

SERVICE: Final = "agentlink.v1.AgentLink"


class Entrance(Protocol):
    """Who lets callers in."""

    async def enter(self, context: Context) -> AgentIdentity:
        """Return who the caller is, or abort the call."""

    def took(self, context: Context, size: int) -> None:
        """Note that a message of so many bytes has come."""


def bind(service: AgentLinkService, server: grpc.aio.Server) -> None:
    """Have a server answer by the service."""
    handlers = {
        "Connect": grpc.stream_stream_rpc_method_handler(
            service.Connect,
            request_deserializer=wire.AgentMessage.FromString,
            response_serializer=wire.KasMessage.SerializeToString,
        ),
        "Report": _known_first(service, wire.ReportRequest, service.Report),
        "Identify": _known_first(service, wire.IdentifyRequest, service.Identify),
        "Answer": _known_first(service, wire.AnswerRequest, service.Answer),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def _known_first(
    entrance: Entrance, kind: type[Request], method: Callable[[Request, Context], Awaitable[Response]]
) -> grpc.RpcMethodHandler[Any, Any]:
    async def call(messages: AsyncIterator[bytes], context: Context) -> Response:
        await entrance.enter(context)
        try:
            async with asyncio.timeout(MESSAGE_SECONDS):
                data = await anext(messages, None)
        except TimeoutError:
            await abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, f"no message came within {MESSAGE_SECONDS:.0f} s")
        if data is None:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")
        entrance.took(context, len(data) + _CALL_BYTES)
        try:
            request = kind.FromString(data)
        except DecodeError:
            name = kind.DESCRIPTOR.name
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"what was sent is no {name}")
        return await method(request, context)

    return grpc.stream_unary_rpc_method_handler(call, response_serializer=lambda response: response.SerializeToString())
