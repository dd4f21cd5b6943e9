"""The beginning and the end of an agent's stream, as gRPC has them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import grpc

from agentlink.metadata import CONNECTION_ID
from agentlink.v1 import agentlink_pb2 as wire
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.rpc.service import AnyContext, ConnectContext
    from kas.rpc.sessions import Session

HELLO_SECONDS = 10.0
"""How long an agent may take to say Hello."""

META_CHARACTERS = 256
"""The longest value an agent may give of itself; Kubernetes names end at 253."""

HOLDINGS = 10_000
"""The most snapshots an agent may say that it holds, and the most capabilities."""


async def announce(session: Session, context: ConnectContext) -> None:
    """Tell the agent that it is in, before there is anything to send."""
    # Whole: gRPC takes no status, and so no reason for the end, while this is on its way.
    await whole(context.send_initial_metadata)(((CONNECTION_ID, session.connection_id),))
    # nginx passes gRPC's metadata on with the first message, which may be long in coming.
    await context.write(wire.KasMessage())


async def listen(request_iterator: AsyncIterator[wire.AgentMessage]) -> NoReturn:
    """Read what newer agents may say later, so that it does not pile up; go on when they have nothing more to say."""
    with suppress(grpc.RpcError):
        async for _ in request_iterator:
            pass
    await asyncio.get_running_loop().create_future()
    raise AssertionError("only a cancellation ends this")


def is_lost(error: BaseException) -> bool:
    """Tell whether all that went wrong is that gRPC had no connection any more to write to."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_lost(one) for one in error.exceptions)
    return isinstance(error, grpc.aio.InternalError)


async def read_hello(request_iterator: AsyncIterator[wire.AgentMessage], context: ConnectContext) -> wire.Hello:
    """Return the agent's first message, or abort the call."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await anext(request_iterator, None)
    except TimeoutError:
        await abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, f"no Hello came within {HELLO_SECONDS:.0f} s")
    if first is None or first.WhichOneof("message") != "hello":
        await abort(context, grpc.StatusCode.FAILED_PRECONDITION, "the first message must be Hello")
    hello = first.hello
    meta = hello.meta
    values = (meta.version, meta.commit, meta.pod_namespace, meta.pod_name, meta.kubernetes_version, meta.instance_id)
    if (
        any(len(value) > META_CHARACTERS for value in (*values, hello.installation_id, *hello.capabilities))
        or max(len(hello.holding), len(hello.capabilities)) > HOLDINGS
    ):
        await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a value in Hello is too long")
    return hello


async def abort(context: AnyContext, code: grpc.StatusCode, text: str) -> NoReturn:
    """End a call with a status and the text that says why."""
    await context.abort(code, text)
    raise AssertionError("abort raises")
